// What a job's tasks print, followed while it runs.

import { useEffect, useLayoutEffect, useRef, useState } from "react";
import { ApiError, type Job, type LogLine } from "../api/client";
import { readLogs, useTasks } from "../api/queries";
import { clock } from "../lib/format";
import { ErrorNote } from "./parts";

const pageLines = 5_000;
const keptLines = 2_000;
const askEveryMs = 1_000;
const askAfterErrorMs = 5_000;

interface Tail {
  lines: LogLine[];
  dropped: boolean;
  ended: boolean;
  read: boolean;
  error: Error | null;
}

const nothing: Tail = { lines: [], dropped: false, ended: false, read: false, error: null };

function grown(tail: Tail, lines: LogLine[], ended: boolean): Tail {
  const all = lines.length > 0 ? [...tail.lines, ...lines] : tail.lines;
  return { lines: all.slice(-keptLines), dropped: tail.dropped || all.length > keptLines, ended, read: true, error: null };
}

/** Reads a job's log from its beginning, keeps its last lines, and goes on until the job has ended. */
function useLogTail(job: string): Tail {
  const [tail, setTail] = useState<Tail>(nothing);
  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let after = "";
    const turn = async () => {
      let wait = askEveryMs;
      try {
        const page = await readLogs(job, after, pageLines, abort.signal);
        after = page.next || after;
        setTail((t) => grown(t, page.lines, page.ended));
        if (page.ended) return;
        if (page.lines.length === pageLines) wait = 0;
      } catch (error) {
        if (abort.signal.aborted) return;
        setTail((t) => ({ ...t, error: error instanceof Error ? error : new Error(String(error)) }));
        if (error instanceof ApiError && error.status >= 400 && error.status < 500) return;
        wait = askAfterErrorMs;
      }
      if (!abort.signal.aborted) timer = setTimeout(() => void turn(), wait);
    };
    void turn();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [job]);
  return tail;
}

export function Logs({ job }: { job: Job }) {
  const tail = useLogTail(job.id);
  const tasks = useTasks(job.id).data ?? [];
  const [replica, setReplica] = useState("");
  const box = useRef<HTMLDivElement>(null);
  const stuck = useRef(true); // to the end, until the reader scrolls up
  const names = new Map(tasks.map((t) => [t.id, `${t.group} ${t.replica}`]));
  const replicas = [...new Set(names.values())].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const lines = replica === "" ? tail.lines : tail.lines.filter((l) => names.get(l.task) === replica);
  useLayoutEffect(() => {
    if (stuck.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines.length]);
  return (
    <section className="drawer-part logs" aria-label="Log">
      <div className="logs-head">
        <h3>Log</h3>
        <span className="quiet">{tail.ended ? "ended" : tail.read ? "following" : "reading …"}</span>
        {replicas.length > 1 && (
          <select aria-label="Lines of which replica" value={replica} onChange={(e) => setReplica(e.target.value)}>
            <option value="">All replicas</option>
            {replicas.map((r) => (
              <option key={r}>{r}</option>
            ))}
          </select>
        )}
      </div>
      {tail.error && <ErrorNote error={tail.error} what="The log cannot be read" />}
      <div
        className="log"
        ref={box}
        role="log"
        aria-label={`What ${job.name} prints`}
        tabIndex={0}
        onScroll={(e) => {
          const el = e.currentTarget;
          stuck.current = el.scrollHeight - el.scrollTop - el.clientHeight < 40;
        }}
      >
        {tail.dropped && <p className="log-quiet">Earlier lines: purser logs {job.name}</p>}
        {tail.read && lines.length === 0 && <p className="log-quiet">Nothing has been printed yet.</p>}
        {lines.map((l) => (
          <p key={`${l.task}/${l.seq}`} className={`log-line log-${l.stream}`}>
            <span className="log-at">{clock(l.at)}</span>
            {replicas.length > 1 && <span className="log-who">{names.get(l.task) ?? ""}</span>}
            <span className="log-text">{l.text}</span>
          </p>
        ))}
      </div>
    </section>
  );
}
