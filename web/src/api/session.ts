// Whether the browser is signed in. The session itself is a cookie that scripts
// cannot read; the page learns of its end by a 401.

import { client, problemOf, unreachable, type ApiError } from "./client";

export interface SessionState {
  signedIn: boolean;
  /** Why the last attempt to sign in failed. */
  error: ApiError | null;
}

let state: SessionState = { signedIn: true, error: null };
const listeners = new Set<() => void>();

function set(next: SessionState): void {
  state = next;
  for (const tell of listeners) tell();
}

export function sessionState(): SessionState {
  return state;
}

export function onSession(tell: () => void): () => void {
  listeners.add(tell);
  return () => listeners.delete(tell);
}

export function signedOut(): void {
  if (state.signedIn) set({ ...state, signedIn: false });
}

/** Takes the code out of what people paste: the code itself or the whole link. */
export function codeOf(text: string): string {
  const at = text.indexOf("#signin=");
  const code = at < 0 ? text : text.slice(at + "#signin=".length);
  try {
    return decodeURIComponent(code.trim());
  } catch {
    return code.trim();
  }
}

/** Exchanges a one-time code for the session's cookie. */
export async function signIn(code: string): Promise<boolean> {
  let error: ApiError;
  try {
    const answer = await client.POST("/v1/session", { body: { code } });
    if (answer.response.ok) {
      set({ signedIn: true, error: null });
      return true;
    }
    error = problemOf(answer.response.status, answer.error);
  } catch {
    error = unreachable();
  }
  set({ ...state, error });
  return false;
}

export async function signOut(): Promise<void> {
  try {
    await client.DELETE("/v1/session");
  } catch {
    // The cookie stays; the next answer of the server tells.
  }
  set({ signedIn: false, error: null });
}

/** Uses the code of a sign-in link once, and takes it out of the address first. */
export async function signInByLink(location: Location, history: History): Promise<void> {
  if (!location.hash.startsWith("#signin=")) return;
  const code = codeOf(location.hash);
  history.replaceState(null, "", location.pathname + location.search);
  await signIn(code);
}
