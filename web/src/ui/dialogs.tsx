// What opens above the page: the drawer with the details of one thing, and the
// question before something is done.

import { useMutation } from "@tanstack/react-query";
import { useEffect, useId, useRef, useState, type ReactNode, type RefObject } from "react";
import { ErrorNote } from "./parts";

/** A dialog that is open as long as it is there. */
function useShown(): RefObject<HTMLDialogElement | null> {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const element = dialog.current;
    if (element && !element.open) element.showModal();
  }, []);
  return dialog;
}

export function Drawer(props: { title: string; mark?: ReactNode; onClose: () => void; children: ReactNode }) {
  const dialog = useShown();
  const title = useId();
  return (
    <dialog
      ref={dialog}
      className="drawer"
      aria-labelledby={title}
      onClose={props.onClose}
      onClick={(event) => {
        if (event.target === dialog.current) dialog.current.close();
      }}
    >
      <div className="drawer-inner">
        <header className="drawer-head">
          <h2 id={title}>{props.title}</h2>
          {props.mark}
          <button type="button" className="icon-button" onClick={() => dialog.current?.close()} aria-label="Close">
            <svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true">
              <path d="M5 5l10 10M15 5L5 15" stroke="currentColor" strokeWidth="1.8" strokeLinecap="round" />
            </svg>
          </button>
        </header>
        {props.children}
      </div>
    </dialog>
  );
}

interface AskProps {
  title: string;
  /** What will happen. */
  children: ReactNode;
  /** The word on the button that does it. */
  verb: string;
  bad?: boolean;
  /** A note is asked for and kept with what is decided. */
  noted?: boolean;
  run: (note: string) => Promise<unknown>;
  onDone: () => void;
  onClose: () => void;
}

/** Asks before something is done; closes once it is, and tells why when it is refused. */
export function Ask(props: AskProps) {
  const dialog = useShown();
  const title = useId();
  const field = useId();
  const [note, setNote] = useState("");
  const act = useMutation({
    mutationFn: () => props.run(note.trim()),
    onSuccess: () => {
      props.onDone();
      dialog.current?.close();
    },
  });
  return (
    <dialog ref={dialog} className="ask" aria-labelledby={title} onClose={props.onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          act.mutate();
        }}
      >
        <h2 id={title}>{props.title}</h2>
        <div className="ask-words">{props.children}</div>
        {props.noted && (
          <>
            <label htmlFor={field}>Note (kept with the decision)</label>
            <textarea id={field} rows={2} maxLength={500} value={note} onChange={(event) => setNote(event.target.value)} />
          </>
        )}
        {act.error && <ErrorNote error={act.error} what="It was not done" />}
        <div className="ask-buttons">
          <button type="submit" className={props.bad ? "button button-bad" : "button"} disabled={act.isPending}>
            {act.isPending ? "Working …" : props.verb}
          </button>
          <button type="button" className="button button-quiet" autoFocus={!props.noted} onClick={() => dialog.current?.close()}>
            Back
          </button>
        </div>
      </form>
    </dialog>
  );
}
