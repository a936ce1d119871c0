// Small parts that every panel uses.

import { useId, type ReactNode } from "react";
import { ApiError } from "../api/client";
import { sentenceOf } from "../lib/format";

/** Stands wherever rehearsed money does. */
export function Rehearsed({ on }: { on: boolean }) {
  return on ? <span className="tag tag-rehearsal">Rehearsal</span> : null;
}

export function Panel(props: { title: ReactNode; note?: ReactNode; actions?: ReactNode; className?: string; children: ReactNode }) {
  const id = useId();
  return (
    <section className={`panel ${props.className ?? ""}`} aria-labelledby={id}>
      <header className="panel-head">
        <h2 id={id}>{props.title}</h2>
        {props.note}
        {props.actions && <div className="panel-actions">{props.actions}</div>}
      </header>
      {props.children}
    </section>
  );
}

export interface Choice<V extends string> {
  value: V;
  label: ReactNode;
}

/** Two or three buttons of which one is pressed. */
export function Choices<V extends string>(props: { label: string; value: V; choices: Choice<V>[]; onChoose: (value: V) => void }) {
  return (
    <div className="choices" role="group" aria-label={props.label}>
      {props.choices.map((c) => (
        <button key={c.value} type="button" aria-pressed={c.value === props.value} onClick={() => props.onChoose(c.value)}>
          {c.label}
        </button>
      ))}
    </div>
  );
}

/** A table that scrolls sideways by itself where it is too wide. */
export function Scroll({ label, children }: { label: string; children: ReactNode }) {
  return (
    <div className="scroll" role="region" aria-label={label} tabIndex={0}>
      {children}
    </div>
  );
}

const stateTone = new Map<string, string>([
  ["running", "good"],
  ["succeeded", "good-quiet"],
  ["launching", "busy"],
  ["placed", "busy"],
  ["planned", "quiet"],
  ["queued", "quiet"],
  ["draining", "warn"],
  ["lost", "warn"],
  ["failed", "bad"],
  ["cancelled", "quiet"],
  ["released", "quiet"],
  ["withdrawn", "quiet"],
]);

export function State({ state, tone }: { state: string; tone?: string }) {
  return (
    <span className={`state state-${tone ?? stateTone.get(state) ?? "quiet"}`}>
      <span className="dot" aria-hidden="true" />
      {state}
    </span>
  );
}

export function Progress({ share, label }: { share: number; label: string }) {
  const value = Math.round(Math.min(1, Math.max(0, share)) * 100);
  return (
    <span className="progress">
      <span className="progress-track" role="progressbar" aria-label={label} aria-valuemin={0} aria-valuemax={100} aria-valuenow={value}>
        <span className="progress-fill" style={{ width: `${value}%` }} />
      </span>
      <span className="progress-figure">{value} %</span>
    </span>
  );
}

/** What to do when there is nothing to show. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <p className="empty-title">{title}</p>
      {children && <p>{children}</p>}
    </div>
  );
}

/** Whether an error is the silence of the server, which one banner tells for all. */
function silence(error: Error): boolean {
  return error instanceof ApiError && error.status === 0;
}

/** The error of a query; nothing when the server is silent and what was read before still stands. */
export function QueryError({ query, what }: { query: Asked<unknown>; what: string }) {
  if (query.error === null || (silence(query.error) && query.data !== undefined)) return null;
  return <ErrorNote error={query.error} what={what} />;
}

export function ErrorNote({ error, what }: { error: Error; what: string }) {
  const hint = error instanceof ApiError ? error.hint : "";
  return (
    <div className="note note-bad" role="alert">
      <p>
        <strong>{what}:</strong> {error.message}.
      </p>
      {hint && <p className="note-hint">{sentenceOf(hint)}</p>}
    </div>
  );
}

interface Asked<T> {
  data: T | undefined;
  error: Error | null;
}

/** Shows what was asked for; its error above what is still known; nothing invented. */
export function Loaded<T>({ query, what, children }: { query: Asked<T>; what: string; children: (data: T) => ReactNode }) {
  return (
    <>
      <QueryError query={query} what={what} />
      {query.data !== undefined ? children(query.data) : query.error ? null : <p className="loading">Loading …</p>}
    </>
  );
}
