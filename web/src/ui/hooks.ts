import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState, useSyncExternalStore, type RefObject } from "react";
import { keys, type KeyName } from "../api/queries";
import { affectedBy, Batch, EventStream, type StreamState } from "../api/stream";

/** The present, renewed every few seconds, for ages in words. */
export function useNow(everyMs = 5_000): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

/** The width of an element in px, followed as it changes. */
export function useWidth<E extends Element>(initial: number): [RefObject<E | null>, number] {
  const ref = useRef<E>(null);
  const [width, setWidth] = useState(initial);
  useEffect(() => {
    const element = ref.current;
    if (element === null) return;
    const observer = new ResizeObserver((entries) => {
      const w = entries[0]?.contentRect.width;
      if (w !== undefined && w > 0) setWidth(Math.floor(w));
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return [ref, width];
}

/** Whether a media query holds, followed as it changes. */
export function useMedia(query: string): boolean {
  const follow = (tell: () => void) => {
    const media = matchMedia(query);
    media.addEventListener("change", tell);
    return () => media.removeEventListener("change", tell);
  };
  return useSyncExternalStore(follow, () => matchMedia(query).matches);
}

function onVisibility(tell: () => void): () => void {
  document.addEventListener("visibilitychange", tell);
  return () => document.removeEventListener("visibilitychange", tell);
}

const refreshMs = 500;
/** Prices are many, and while feeds are read each of their regions is an event. */
const refreshPricesMs = 30_000;

/**
 * Follows the server's events while signed in, and refreshes what they made old. A
 * hidden page lets go of its stream: browsers allow six connections to a host, and
 * six forgotten tabs would take them all. What it missed is read when it is seen again.
 */
export function useLive(signedIn: boolean): StreamState {
  const queries = useQueryClient();
  const [state, setState] = useState<StreamState>("connecting");
  const seen = useSyncExternalStore(onVisibility, () => document.visibilityState !== "hidden");
  useEffect(() => {
    if (!signedIn || !seen) return;
    const refresh = (names: Set<KeyName>) => {
      for (const name of names) void queries.invalidateQueries({ queryKey: keys[name] });
    };
    const batch = new Batch<KeyName>(refreshMs, refresh);
    const prices = new Batch<KeyName>(refreshPricesMs, refresh);
    const stream = new EventStream({
      open: (url) => new EventSource(url),
      onState: setState,
      onEvent: (event) => {
        const names = affectedBy(event);
        batch.add(names.filter((n) => n !== "prices"));
        prices.add(names.filter((n) => n === "prices"));
      },
      onReturn: () => void queries.invalidateQueries(),
    });
    stream.start();
    return () => {
      stream.stop();
      batch.stop();
      prices.stop();
      setState("connecting");
    };
  }, [signedIn, seen, queries]);
  return state;
}

export type Theme = "light" | "dark";
const themeKey = "purser.theme";
const themeListeners = new Set<() => void>();

function storedTheme(): Theme | null {
  try {
    const kept = localStorage.getItem(themeKey);
    return kept === "light" || kept === "dark" ? kept : null;
  } catch {
    return null; // storage is refused; the system's choice holds
  }
}

function putTheme(theme: Theme): void {
  document.documentElement.dataset["theme"] = theme;
  for (const tell of themeListeners) tell();
}

/** Puts the chosen theme on the page, or else the system's, and follows that. */
export function startTheme(): void {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const put = () => putTheme(storedTheme() ?? (system.matches ? "dark" : "light"));
  system.addEventListener("change", put);
  put();
}

function onTheme(tell: () => void): () => void {
  themeListeners.add(tell);
  return () => themeListeners.delete(tell);
}

function currentTheme(): Theme {
  return document.documentElement.dataset["theme"] === "dark" ? "dark" : "light";
}

export function useTheme(): [Theme, (next: Theme) => void] {
  const theme = useSyncExternalStore(onTheme, currentTheme);
  const choose = (next: Theme) => {
    try {
      localStorage.setItem(themeKey, next);
    } catch {
      // Not kept; it still holds for this page.
    }
    putTheme(next);
  };
  return [theme, choose];
}

const hashListeners = new Set<() => void>();

function onHash(tell: () => void): () => void {
  addEventListener("hashchange", tell);
  hashListeners.add(tell);
  return () => {
    removeEventListener("hashchange", tell);
    hashListeners.delete(tell);
  };
}

/** What the address can hold open: the details of a job or of an offer. */
type Opened = "job" | "offer";

function ofHash(kind: Opened): string | null {
  const start = `#${kind}=`;
  if (!location.hash.startsWith(start)) return null;
  const rest = location.hash.slice(start.length);
  try {
    return decodeURIComponent(rest) || null;
  } catch {
    return rest; // somebody typed it
  }
}

/** The job or offer whose details are open. It stands in the address, so that it can be shared. */
export function useOpen(kind: Opened): [string | null, (id: string | null) => void] {
  const id = useSyncExternalStore(onHash, () => ofHash(kind));
  const open = (next: string | null) => {
    history.replaceState(null, "", next === null ? location.pathname + location.search : `#${kind}=${encodeURIComponent(next)}`);
    for (const tell of hashListeners) tell();
  };
  return [id, open];
}
