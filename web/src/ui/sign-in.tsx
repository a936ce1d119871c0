import { useState, useSyncExternalStore, type FormEvent } from "react";
import { codeOf, onSession, sessionState, signIn } from "../api/session";
import { ErrorNote } from "./parts";

/** Asks for the one-time code that the command line makes. */
export function SignIn({ onSignedIn }: { onSignedIn: () => void }) {
  const { error } = useSyncExternalStore(onSession, sessionState);
  const [text, setText] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const code = codeOf(text);
    if (code === "") return;
    setBusy(true);
    const ok = await signIn(code);
    setBusy(false);
    if (ok) onSignedIn();
  };
  return (
    <main className="sign-in">
      <h1>Sign in</h1>
      <p>
        On the host of the server, or wherever the command line is set up, run
        <code className="command">purser token link</code>
        and open the link that it prints, or paste it here. It works once, for ten minutes.
      </p>
      {error && <ErrorNote error={error} what="That did not work" />}
      <form onSubmit={(event) => void submit(event)}>
        <label htmlFor="code">Link or one-time code</label>
        <input id="code" value={text} onChange={(e) => setText(e.target.value)} autoComplete="off" spellCheck={false} autoFocus />
        <button type="submit" className="button" disabled={busy || text.trim() === ""}>
          {busy ? "Signing in …" : "Sign in"}
        </button>
      </form>
    </main>
  );
}
