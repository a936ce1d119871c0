// The stream of events: it tells the page that something changed; what changed is
// read from the API. A stream that is silent for too long counts as lost.

import type { PurserEvent } from "./client";
import type { KeyName } from "./queries";

export type StreamState = "connecting" | "live" | "reconnecting";

/** The part of EventSource that is used. */
export interface Source {
  readonly readyState: number;
  addEventListener(type: "open" | "error" | "message" | "ping", listener: (event: Event) => void): void;
  close(): void;
}

export interface StreamOptions {
  open: (url: string) => Source;
  onState: (state: StreamState) => void;
  onEvent: (event: PurserEvent) => void;
  /** Called on every return after a loss: events may have been missed. */
  onReturn: () => void;
}

const path = "/v1/events/stream";
/** The server says every 15 s that it lives; three silences are a loss. */
const silenceMs = 45_000;
const firstDelayMs = 1_000;
const longestDelayMs = 15_000;
const closed = 2; // EventSource.CLOSED

/** Follows the stream until stop, reconnecting from the last event that it saw. */
export class EventStream {
  readonly #options: StreamOptions;
  #source: Source | null = null;
  #state: StreamState = "connecting";
  #last = -1;
  #delay = firstDelayMs;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #watch: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;

  constructor(options: StreamOptions) {
    this.#options = options;
  }

  start(): void {
    this.#connect();
  }

  stop(): void {
    this.#stopped = true;
    this.#drop();
    clearTimeout(this.#retry);
  }

  #connect(): void {
    if (this.#stopped) return;
    const source = this.#options.open(this.#last < 0 ? path : `${path}?after=${this.#last}`);
    this.#source = source;
    this.#heard();
    source.addEventListener("open", () => this.#opened());
    source.addEventListener("ping", () => this.#opened());
    source.addEventListener("message", (event) => this.#message(event));
    source.addEventListener("error", () => {
      this.#set("reconnecting");
      // The browser reconnects by itself after a cut; after a refusal it gives up.
      if (source.readyState === closed) this.#again();
    });
  }

  #opened(): void {
    this.#heard();
    this.#delay = firstDelayMs;
    const returned = this.#state === "reconnecting";
    this.#set("live");
    if (returned) this.#options.onReturn();
  }

  #message(event: Event): void {
    this.#opened();
    if (!(event instanceof MessageEvent) || typeof event.data !== "string") return;
    let parsed: unknown;
    try {
      parsed = JSON.parse(event.data);
    } catch {
      return; // a broken line tells nothing; the refetch interval will
    }
    if (!isEvent(parsed)) return;
    this.#last = Math.max(this.#last, parsed.id);
    this.#options.onEvent(parsed);
  }

  #heard(): void {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => this.#again(), silenceMs);
  }

  #again(): void {
    this.#drop();
    this.#set("reconnecting");
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#connect(), this.#delay);
    this.#delay = Math.min(2 * this.#delay, longestDelayMs);
  }

  #drop(): void {
    clearTimeout(this.#watch);
    this.#source?.close();
    this.#source = null;
  }

  #set(state: StreamState): void {
    if (this.#state === state || this.#stopped) return;
    this.#state = state;
    this.#options.onState(state);
  }
}

function isEvent(value: unknown): value is PurserEvent {
  return (
    typeof value === "object" && value !== null && "id" in value && typeof value.id === "number" && "subject" in value && typeof value.subject === "string"
  );
}

const affected = new Map<string, KeyName[]>([
  ["job", ["jobs", "tasks", "spend"]],
  ["task", ["jobs", "tasks", "leases"]],
  ["lease", ["leases", "spend", "plan", "providers"]],
  ["move", ["leases", "tasks"]],
  ["plan", ["plan", "leases", "jobs"]],
  ["price", ["sources", "doubts", "prices"]],
]);

/** The queries that an event may have made old. */
export function affectedBy(event: PurserEvent): KeyName[] {
  return affected.get(event.subject) ?? [];
}

/**
 * Gathers names and hands them on at most once per interval, the first at once:
 * a burst of a hundred events costs two refetches.
 */
export class Batch<T> {
  readonly #flush: (items: Set<T>) => void;
  readonly #intervalMs: number;
  #items = new Set<T>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(intervalMs: number, flush: (items: Set<T>) => void) {
    this.#intervalMs = intervalMs;
    this.#flush = flush;
  }

  add(items: Iterable<T>): void {
    for (const item of items) this.#items.add(item);
    if (this.#timer === undefined) this.#turn();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#items.clear();
  }

  #turn(): void {
    this.#timer = undefined;
    if (this.#items.size === 0) return;
    const items = this.#items;
    this.#items = new Set();
    this.#timer = setTimeout(() => this.#turn(), this.#intervalMs);
    this.#flush(items);
  }
}
