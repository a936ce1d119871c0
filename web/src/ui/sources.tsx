// Where prices come from, and how that fares.

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import type { Source } from "../api/client";
import { collectSource, useSources } from "../api/market";
import { keys } from "../api/queries";
import { ago, count, quantity, timeOf } from "../lib/format";
import { sourceName, sourceState, telling } from "../lib/market";
import { useNow } from "./hooks";
import { Empty, ErrorNote, Loaded, Panel, Scroll, State } from "./parts";

export function SourcesPanel() {
  const sources = useSources();
  const [all, setAll] = useState(false);
  const set = telling(sources.data ?? []);
  const list = (sources.data ?? []).filter((s) => s.says || set.includes(s));
  const shown = all ? list : set;
  return (
    <Panel title="Sources of prices" note={list.length > 0 && <span className="panel-note">{`${set.length} in use`}</span>} className="sources">
      <Loaded query={sources} what="The sources cannot be read">
        {() =>
          list.length === 0 ? (
            <Empty title="There is no source of prices." />
          ) : (
            <>
              <SourceTable sources={shown} />
              {list.length > set.length && (
                <p className="panel-foot">
                  <button type="button" className="link-button" onClick={() => setAll(!all)}>
                    {all ? "Show those in use" : `Show all ${count(list.length, "source")}`}
                  </button>
                </p>
              )}
            </>
          )
        }
      </Loaded>
    </Panel>
  );
}

/** How long a collection that was asked for may take to begin. */
const patienceMs = 30_000;
const lookMs = 1_000;

interface Collecting {
  source: string;
  /** What the source said when it was asked. */
  before: string;
}

const stamp = (s: Source) => `${s.began_at ?? ""} ${s.ended_at ?? ""}`;

/** Asks for a collection and looks often until it has begun, since it does so in its own time. */
function useCollect(sources: Source[]) {
  const queries = useQueryClient();
  const [asked, setAsked] = useState<Collecting | null>(null);
  const collect = useMutation({
    mutationFn: (s: Source) => collectSource(s.name),
    onMutate: (s) => setAsked({ source: s.name, before: stamp(s) }),
    onError: () => setAsked(null),
  });
  const of = sources.find((s) => s.name === asked?.source);
  const waits = asked !== null && (of === undefined || stamp(of) === asked.before);
  useEffect(() => {
    if (!waits) return;
    const look = setInterval(() => void queries.invalidateQueries({ queryKey: keys.sources }), lookMs);
    const give = setTimeout(() => setAsked(null), patienceMs);
    return () => {
      clearInterval(look);
      clearTimeout(give);
    };
  }, [waits, queries]);
  return { error: collect.error, ask: (s: Source) => collect.mutate(s), waits: (s: Source) => waits && s.name === asked.source, asked: of };
}

function SourceTable({ sources }: { sources: Source[] }) {
  const now = useNow();
  const collect = useCollect(sources);
  const told = collect.asked && sourceState(collect.asked, now);
  return (
    <>
      {collect.error && <ErrorNote error={collect.error} what="The collection was not begun" />}
      <p className="visually-hidden" role="status">
        {collect.asked && told && (collect.waits(collect.asked) ? `${collect.asked.name}: asked to collect` : `${collect.asked.name}: ${told.word}`)}
      </p>
      <Scroll label="Sources of prices as a table">
        <table className="data sources-table">
          <caption className="visually-hidden">Sources of prices and how they fare</caption>
          <thead>
            <tr>
              <th scope="col">Source</th>
              <th scope="col">State</th>
              <th scope="col" className="right wide">
                Offers
              </th>
              <th scope="col" className="right wide">
                Prices of
              </th>
              <th scope="col" className="right wide">
                Next run
              </th>
              <th scope="col" className="right">
                <span className="visually-hidden">What to do</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {sources.map((s) => (
              <SourceRow key={s.name} source={s} now={now} waits={collect.waits(s)} onCollect={() => collect.ask(s)} />
            ))}
          </tbody>
        </table>
      </Scroll>
    </>
  );
}

function SourceRow({ source: s, now, waits, onCollect }: { source: Source; now: number; waits: boolean; onCollect: () => void }) {
  const state = sourceState(s, now);
  const busy = waits || s.began_at !== undefined;
  return (
    <tr>
      <th scope="row">
        <span className="source-name">{sourceName(s.name)}</span>
        {s.says && <span className="cell-more">{s.says}</span>}
      </th>
      <td>
        <State state={state.word} tone={state.tone} />
        {state.more && (
          <span className={`cell-more source-more source-${state.tone}`} title={state.more}>
            {state.more}
          </span>
        )}
        {s.alarm && state.more !== s.alarm && (
          <span className="cell-more source-more source-warn" title={s.alarm}>
            in doubt: {s.alarm}
          </span>
        )}
        {s.next_at && <span className="cell-more narrow">next run {ago(s.next_at, now)}</span>}
      </td>
      <td className="right wide">
        {quantity(s.offers)}
        <span className="cell-more">
          {[s.regions > 0 && count(s.regions, "region"), s.quarantined > 0 && `${quantity(s.quarantined)} not believed`].filter(Boolean).join(", ")}
        </span>
      </td>
      <td className="right wide nowrap" title={s.last_at}>
        {Number.isNaN(timeOf(s.last_at)) ? "–" : ago(s.last_at, now)}
      </td>
      <td className="right wide nowrap" title={s.schedule}>
        {s.next_at ? ago(s.next_at, now) : "–"}
      </td>
      <td className="right">
        {s.says && (
          <button type="button" className="link-button nowrap" disabled={busy} onClick={onCollect} aria-label={`${busy ? "Collecting" : "Collect now"}: ${s.name}`}>
            {busy ? "Collecting …" : "Collect now"}
          </button>
        )}
      </td>
    </tr>
  );
}
