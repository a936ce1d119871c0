// The cheapest of what is asked for over time.

import { useState } from "react";
import type { CheapestStep } from "../api/client";
import { useCheapest, type Span } from "../api/market";
import { count, moment } from "../lib/format";
import { cheapestLevels, fine, partsOf, perWords, type Asked, type Per } from "../lib/market";
import { ChartFrame } from "./chart-frame";
import { priceLine } from "./line-chart";
import { Choices, Empty, Loaded, Scroll } from "./parts";

export type View = "chart" | "table";
export type Days = "30" | "90" | "365";

/** How far back, and as what. */
export function TimeChoices(props: { days: Days; view: View; onDays: (days: Days) => void; onView: (view: View) => void }) {
  return (
    <div className="panel-actions">
      <Choices
        label="How far back"
        value={props.days}
        onChoose={props.onDays}
        choices={[
          { value: "30", label: "30 days" },
          { value: "90", label: "90 days" },
          { value: "365", label: "1 year" },
        ]}
      />
      <Choices
        label="How the prices are shown"
        value={props.view}
        onChoose={props.onView}
        choices={[
          { value: "chart", label: "Chart" },
          { value: "table", label: "Table" },
        ]}
      />
    </div>
  );
}

export function CheapestOverTime({ asked, onOpen }: { asked: Asked; onOpen: (offer: string) => void }) {
  const [days, setDays] = useState<Days>("30");
  const [view, setView] = useState<View>("chart");
  const cheapest = useCheapest(asked, Number(days));
  return (
    <section className="over-time" aria-label="Cheapest over time">
      <header className="panel-head">
        <h3>Cheapest over time</h3>
        <TimeChoices days={days} view={view} onDays={setDays} onView={setView} />
      </header>
      <Loaded query={cheapest} what="The prices of that time cannot be read">
        {({ steps, span, per }) => (
          <div className={cheapest.isPlaceholderData ? "waiting" : undefined}>
            {!steps.some((s) => s.offer) ? (
              <Empty title="Nothing of it could be had in that time, as far as is known." />
            ) : view === "chart" ? (
              <CheapestChart steps={steps} span={span} per={per} />
            ) : (
              <CheapestTable steps={steps} per={per} onOpen={onOpen} />
            )}
          </div>
        )}
      </Loaded>
    </section>
  );
}

function CheapestChart({ steps, span, per }: { steps: CheapestStep[]; span: Span; per: Per }) {
  const had = steps.filter((s) => s.offer).map((s) => s.usd_per_hour);
  const tip = (i: number) => {
    const step = steps[i];
    if (!step?.offer) return `nothing could be had\nfrom ${moment(step?.from)} on`;
    const { type, place, option } = partsOf(step.offer);
    return `${fine(step.usd_per_hour)} ${perWords[per].long}\n${type}, ${place}, ${option}\nfrom ${moment(step.from)} on`;
  };
  return (
    <ChartFrame
      heightPx={240}
      label={`Line of the cheapest price ${perWords[per].long}, from ${fine(Math.min(...had))} to ${fine(Math.max(...had))}; the table has every change`}
      option={(c) => priceLine({ levels: cheapestLevels(steps), from: span.from, to: span.to, tip }, c)}
    />
  );
}

const rowsAtFirst = 10;
const rowsAtMost = 200;

function CheapestTable({ steps, per, onOpen }: { steps: CheapestStep[]; per: Per; onOpen: (offer: string) => void }) {
  const [all, setAll] = useState(false);
  const newest = [...steps].reverse().slice(0, all ? rowsAtMost : rowsAtFirst);
  return (
    <>
      <Scroll label="Cheapest over time as a table">
        <table className="data">
          <caption className="visually-hidden">The cheapest offer {perWords[per].long} and since when, newest first</caption>
          <thead>
            <tr>
              <th scope="col">From (UTC)</th>
              <th scope="col" className="right">
                Price {perWords[per].short}
              </th>
              <th scope="col">Offer</th>
            </tr>
          </thead>
          <tbody>
            {newest.map((s) => (
              <tr key={s.from}>
                <th scope="row">{moment(s.from)}</th>
                <td className="right">{s.offer ? fine(s.usd_per_hour) : "–"}</td>
                <td>{s.offer ? <OfferName id={s.offer} onOpen={onOpen} /> : <span className="quiet">none could be had</span>}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      {steps.length > rowsAtFirst && (
        <p className="panel-foot">
          <button type="button" className="link-button" onClick={() => setAll(!all)}>
            {all ? "Show fewer" : `Show ${Math.min(steps.length, rowsAtMost)} of ${count(steps.length, "change")}`}
          </button>
        </p>
      )}
    </>
  );
}

/** An offer by its name alone; it opens how its price went. */
export function OfferName({ id, onOpen }: { id: string; onOpen: (offer: string) => void }) {
  const { type, place, option } = partsOf(id);
  return (
    <>
      <button type="button" className="link-button" onClick={() => onOpen(id)} title={id}>
        {type}
      </button>
      <span className="cell-more">
        {place}, {option}
      </span>
    </>
  );
}
