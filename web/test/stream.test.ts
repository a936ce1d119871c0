import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { PurserEvent } from "../src/api/client";
import { affectedBy, Batch, EventStream, type StreamState } from "../src/api/stream";

class FakeSource {
  readyState = 0;
  closed = false;
  readonly url: string;
  readonly #listeners = new Map<string, ((event: Event) => void)[]>();

  constructor(url: string) {
    this.url = url;
  }
  addEventListener(type: string, listener: (event: Event) => void): void {
    this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener]);
  }
  close(): void {
    this.closed = true;
  }
  tell(type: string, data?: string): void {
    const event = data === undefined ? new Event(type) : new MessageEvent(type, { data });
    for (const listener of this.#listeners.get(type) ?? []) listener(event);
  }
}

function event(id: number, subject = "job"): PurserEvent {
  return { id, at: "2026-07-10T12:00:00Z", actor: "test", subject, name: "x" };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function begin() {
  const sources: FakeSource[] = [];
  const states: StreamState[] = [];
  const events: number[] = [];
  let returns = 0;
  const stream = new EventStream({
    open: (url) => {
      const s = new FakeSource(url);
      sources.push(s);
      return s;
    },
    onState: (s) => states.push(s),
    onEvent: (e) => events.push(e.id),
    onReturn: () => returns++,
  });
  stream.start();
  const last = () => {
    const s = sources.at(-1);
    if (s === undefined) throw new Error("nothing was opened");
    return s;
  };
  return { stream, sources, states, events, last, returns: () => returns };
}

describe("the event stream", () => {
  it("is live once it is open, and hands events on", () => {
    const { last, states, events } = begin();
    last().tell("open");
    last().tell("message", JSON.stringify(event(7)));
    expect(states).toEqual(["live"]);
    expect(events).toEqual([7]);
  });

  it("says when the browser reconnects, and refreshes after it", () => {
    const { last, states, sources, returns } = begin();
    last().tell("open");
    last().tell("error"); // readyState is CONNECTING: the browser tries by itself
    expect(states).toEqual(["live", "reconnecting"]);
    last().tell("open");
    expect(states).toEqual(["live", "reconnecting", "live"]);
    expect([sources.length, returns()]).toEqual([1, 1]);
  });

  it("opens another stream after a refusal, from the last event, ever more slowly", () => {
    const { last, sources } = begin();
    last().tell("open");
    last().tell("message", JSON.stringify(event(41)));
    const waits: number[] = [];
    for (let i = 0; i < 7; i++) {
      last().readyState = 2;
      last().tell("error");
      const before = sources.length;
      let waited = 0;
      while (sources.length === before && waited < 60_000) {
        vi.advanceTimersByTime(500);
        waited += 500;
      }
      waits.push(waited);
    }
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
    expect(last().url).toBe("/v1/events/stream?after=41");
    expect(sources.slice(0, -1).every((s) => s.closed)).toBe(true);
  });

  it("counts long silence as a loss, but not while pings come", () => {
    const { last, states, sources } = begin();
    last().tell("open");
    for (let i = 0; i < 10; i++) {
      vi.advanceTimersByTime(15_000);
      last().tell("ping");
    }
    expect(states).toEqual(["live"]);
    vi.advanceTimersByTime(44_999);
    expect(states).toEqual(["live"]);
    vi.advanceTimersByTime(1);
    expect(states).toEqual(["live", "reconnecting"]);
    vi.advanceTimersByTime(1_000);
    expect(sources).toHaveLength(2);
  });

  it("lets broken lines pass", () => {
    const { last, events } = begin();
    last().tell("message", "{");
    last().tell("message", "null");
    last().tell("message", '{"id":"5","subject":"job"}');
    last().tell("message", JSON.stringify(event(6)));
    expect(events).toEqual([6]);
  });

  it("does nothing after stop", () => {
    const { stream, last, states, sources } = begin();
    last().tell("open");
    stream.stop();
    last().readyState = 2;
    last().tell("error");
    vi.advanceTimersByTime(120_000);
    expect(states).toEqual(["live"]);
    expect(sources).toHaveLength(1);
    expect(last().closed).toBe(true);
  });
});

describe("what an event makes old", () => {
  it("is known for each subject, and nothing for others", () => {
    expect(affectedBy(event(1, "lease"))).toContain("leases");
    expect(affectedBy(event(1, "price"))).toEqual(["sources", "doubts", "prices"]);
    expect(affectedBy(event(1, "token"))).toEqual([]);
    expect(affectedBy(event(1, "constructor"))).toEqual([]);
  });
});

describe("a batch", () => {
  it("flushes at once, and then at most twice a second", () => {
    const flushed: string[][] = [];
    const batch = new Batch<string>(500, (items) => flushed.push([...items].sort()));
    for (let ms = 0; ms < 2_000; ms += 10) {
      batch.add([ms % 20 === 0 ? "jobs" : "leases"]);
      vi.advanceTimersByTime(10);
    }
    expect(flushed.length).toBeLessThanOrEqual(5);
    expect(flushed.length).toBeGreaterThanOrEqual(4);
    expect(flushed[0]).toEqual(["jobs"]);
    expect(flushed[1]).toEqual(["jobs", "leases"]);
  });

  it("loses nothing that comes while it waits", () => {
    const flushed: string[][] = [];
    const batch = new Batch<string>(500, (items) => flushed.push([...items]));
    batch.add(["a"]);
    batch.add(["b"]);
    vi.advanceTimersByTime(500);
    vi.advanceTimersByTime(500);
    batch.add(["c"]);
    expect(flushed).toEqual([["a"], ["b"], ["c"]]);
  });

  it("is silent after stop", () => {
    const flushed: string[][] = [];
    const batch = new Batch<string>(500, (items) => flushed.push([...items]));
    batch.add(["a"]);
    batch.add(["b"]);
    batch.stop();
    vi.advanceTimersByTime(5_000);
    expect(flushed).toEqual([["a"]]);
  });
});
