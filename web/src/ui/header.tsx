import { ApiError } from "../api/client";
import { useHealth } from "../api/queries";
import { signOut } from "../api/session";
import type { StreamState } from "../api/stream";
import { useTheme } from "./hooks";

const words: Record<StreamState, [label: string, title: string]> = {
  connecting: ["Connecting", "Opening the stream of events"],
  live: ["Live", "Changes appear as they happen"],
  reconnecting: ["Reconnecting", "The stream of events is lost. What is shown may be old; it is read again every 10 seconds where the server answers."],
};

function Live({ state }: { state: StreamState }) {
  const [label, title] = words[state];
  return (
    <span className={`live live-${state}`} role="status" title={title}>
      <span className="dot" aria-hidden="true" />
      {label}
    </span>
  );
}

function ThemeButton() {
  const [theme, choose] = useTheme();
  const next = theme === "dark" ? "light" : "dark";
  return (
    <button type="button" className="icon-button" onClick={() => choose(next)} aria-label={`Use ${next} colours`} title={`Use ${next} colours`}>
      <svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true">
        {theme === "dark" ? (
          <g fill="none" stroke="currentColor" strokeWidth="1.6" strokeLinecap="round">
            <circle cx="10" cy="10" r="3.4" />
            <path d="M10 2.2v2M10 15.8v2M2.2 10h2M15.8 10h2M4.5 4.5l1.4 1.4M14.1 14.1l1.4 1.4M4.5 15.5l1.4-1.4M14.1 5.9l1.4-1.4" />
          </g>
        ) : (
          <path d="M16.5 12.2A7 7 0 0 1 7.8 3.5a7 7 0 1 0 8.7 8.7Z" fill="none" stroke="currentColor" strokeWidth="1.6" strokeLinejoin="round" />
        )}
      </svg>
    </button>
  );
}

function Mark() {
  return (
    <svg className="mark" viewBox="0 0 32 32" width="26" height="26" aria-hidden="true">
      <rect className="mark-ground" width="32" height="32" rx="7" />
      <rect className="mark-full" x="6" y="7" width="20" height="5" rx="1.5" />
      <rect className="mark-full" x="6" y="14" width="13" height="5" rx="1.5" />
      <rect className="mark-half" x="20.5" y="14" width="5.5" height="5" rx="1.5" />
      <rect className="mark-half" x="6" y="21" width="8" height="5" rx="1.5" />
    </svg>
  );
}

export function Header({ stream, signedIn }: { stream: StreamState; signedIn: boolean }) {
  const health = useHealth().data;
  return (
    <header className="top">
      <div className="top-inner">
        <span className="brand">
          <Mark />
          Purser
        </span>
        {health && (
          <span className="top-host" title={`Purser ${health.version}, server ${health.server}`}>
            {health.host}
          </span>
        )}
        <span className="top-fill" />
        {signedIn && <Live state={stream} />}
        <ThemeButton />
        {signedIn && (
          <button type="button" className="quiet-button" onClick={() => void signOut()}>
            Sign out
          </button>
        )}
      </div>
    </header>
  );
}

/** Says what the figures are, and when a part of Purser is amiss. */
export function Banners() {
  const health = useHealth();
  const amiss = Object.entries(health.data?.parts ?? {}).filter(([, state]) => state !== "ok");
  return (
    <>
      {health.data?.rehearsal && (
        <p className="banner banner-rehearsal">
          <strong>Rehearsal:</strong> nothing is bought. Figures are what it would have cost.
        </p>
      )}
      {health.error && (
        <p className="banner banner-bad" role="alert">
          <strong>{health.error instanceof ApiError && health.error.status > 0 ? "The server is in trouble." : "The server does not answer."}</strong> What is shown is what was last read; this page tries again by itself.
        </p>
      )}
      {amiss.length > 0 && (
        <p className="banner banner-warn" role="status">
          <strong>Not all is well:</strong> {amiss.map(([part, state]) => `${part}: ${state}`).join("; ")}. See <code>purser doctor</code>.
        </p>
      )}
    </>
  );
}
