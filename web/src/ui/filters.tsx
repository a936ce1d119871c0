// What is asked of the market.

import { useId, useState, type ReactNode } from "react";
import type { Offer } from "../api/client";
import { optionName, options } from "../lib/format";
import { everything, perWords, today, valuesOf, type Asked, type Per } from "../lib/market";

interface FiltersProps {
  asked: Asked;
  /** Offers to take the choices from. */
  known: Offer[];
  /** known is all that there is. */
  whole: boolean;
  now: number;
  onAsk: (asked: Asked) => void;
}

const pers: Per[] = ["device", "gib", "tflop", "machine"];
const memories = ["16", "24", "32", "40", "48", "80", "96", "141", "180"];

export function Filters({ asked, known, whole, now, onAsk }: FiltersProps) {
  const set = (part: Partial<Asked>) => onAsk({ ...asked, ...part });
  const sold = valuesOf(known, (o) => o.purchase_option, asked.option);
  const changed = (Object.keys(everything) as (keyof Asked)[]).some((k) => k !== "per" && asked[k] !== everything[k]);
  return (
    <form className="filters" role="search" aria-label="Which prices are shown" onSubmit={(event) => event.preventDefault()}>
      <Select label="Accelerator" value={asked.accelerator} onChoose={(accelerator) => set({ accelerator })} all="All" values={valuesOf(known, (o) => o.accelerator, asked.accelerator)} />
      <Select label="Sold as" value={asked.option} onChoose={(option) => set({ option })} all="Any" values={whole ? sold : options} name={optionName} />
      <Select label="Price" value={asked.per} onChoose={(per) => set({ per: pers.find((p) => p === per) ?? "device" })} values={pers} name={(p) => perWords[pers.find((x) => x === p) ?? "device"].short} />
      <Select label="Provider" value={asked.provider} onChoose={(provider) => set({ provider })} all="Any" values={valuesOf(known, (o) => o.provider, asked.provider)} />
      <Region value={asked.region} onChoose={(region) => set({ region })} values={valuesOf(known, (o) => (asked.provider === "" || o.provider === asked.provider ? o.region : ""), asked.region)} />
      <Select label="Device memory" value={asked.memory} onChoose={(memory) => set({ memory })} all="Any" values={memories} name={(m) => `${m} GiB or more`} />
      <Labelled label="As of">
        {(id) => <input id={id} type="date" value={asked.day} max={today(now)} onChange={(event) => set({ day: event.target.value >= today(now) ? "" : event.target.value })} />}
      </Labelled>
      {changed && (
        <button type="button" className="quiet-button" onClick={() => onAsk({ ...everything, per: asked.per })}>
          Clear
        </button>
      )}
    </form>
  );
}

function Labelled({ label, children }: { label: string; children: (id: string) => ReactNode }) {
  const id = useId();
  return (
    <div className="filter">
      <label htmlFor={id}>{label}</label>
      {children(id)}
    </div>
  );
}

function Select(props: { label: string; value: string; values: string[]; all?: string; name?: (value: string) => string; onChoose: (value: string) => void }) {
  return (
    <Labelled label={props.label}>
      {(id) => (
        <select id={id} value={props.value} onChange={(event) => props.onChoose(event.target.value)}>
          {props.all !== undefined && <option value="">{props.all}</option>}
          {props.values.map((v) => (
            <option key={v} value={v}>
              {props.name ? props.name(v) : v}
            </option>
          ))}
        </select>
      )}
    </Labelled>
  );
}

/** Regions are too many for a list: one is typed, with those that are known offered. */
function Region({ value, values, onChoose }: { value: string; values: string[]; onChoose: (value: string) => void }) {
  const list = useId();
  const [typed, setTyped] = useState<string | null>(null); // null: what is asked for
  const take = (text: string) => {
    setTyped(null);
    if (text.trim() !== value) onChoose(text.trim());
  };
  return (
    <Labelled label="Region">
      {(id) => (
        <>
          <input
            id={id}
            list={list}
            placeholder="Any"
            autoComplete="off"
            spellCheck={false}
            value={typed ?? value}
            onChange={(event) => {
              const text = event.target.value;
              if (text === "" || values.includes(text)) take(text);
              else setTyped(text);
            }}
            onBlur={() => typed !== null && take(typed)}
            onKeyDown={(event) => event.key === "Enter" && typed !== null && take(typed)}
          />
          <datalist id={list}>
            {values.map((v) => (
              <option key={v} value={v} />
            ))}
          </datalist>
        </>
      )}
    </Labelled>
  );
}
