// The cheapest offers of what is asked for.

import { useState } from "react";
import type { Offer } from "../api/client";
import { date, money, optionName, quantity } from "../lib/format";
import { ageOf, fine, perWords, placeOf, priceOf, sourceName, type Asked } from "../lib/market";
import { BlockButton } from "./block";
import { useNow } from "./hooks";
import { Scroll } from "./parts";

const rowsAtFirst = 8;
const rowsAtMost = 200;

export function OfferTable({ offers, whole, asked, onOpen }: { offers: Offer[]; whole: boolean; asked: Asked; onOpen: (offer: string) => void }) {
  const [all, setAll] = useState(false);
  const now = useNow(30_000);
  const shown = offers.slice(0, all ? rowsAtMost : rowsAtFirst);
  const most = Math.min(offers.length, rowsAtMost);
  return (
    <>
      <Scroll label="Cheapest offers as a table">
        <table className="data offers-table">
          <caption className="visually-hidden">The cheapest offers {perWords[asked.per].long}, cheapest first</caption>
          <thead>
            <tr>
              <th scope="col">Offer</th>
              <th scope="col">Sold as</th>
              <th scope="col" className="wide">
                Devices
              </th>
              <th scope="col" className="right">
                Price {perWords[asked.per].short}
              </th>
              {asked.per !== "machine" && (
                <th scope="col" className="right wide">
                  Machine
                </th>
              )}
              <th scope="col" className="wide">
                {asked.day === "" ? "Age" : "In force"}
              </th>
              {asked.day === "" && (
                <th scope="col" className="right wide">
                  <span className="visually-hidden">What to do</span>
                </th>
              )}
            </tr>
          </thead>
          <tbody>
            {shown.map((o) => (
              <OfferRow key={o.id} offer={o} asked={asked} now={now} onOpen={onOpen} />
            ))}
          </tbody>
        </table>
      </Scroll>
      <p className="panel-foot">
        {offers.length > rowsAtFirst && (
          <button type="button" className="link-button" onClick={() => setAll(!all)}>
            {all ? "Show fewer" : `Show ${most === offers.length && whole ? "all " : ""}${most} offers`}
          </button>
        )}
        {!whole && <span>The list is long: the cheapest are shown, purser prices has all.</span>}
      </p>
    </>
  );
}

function OfferRow({ offer: o, asked, now, onOpen }: { offer: Offer; asked: Asked; now: number; onOpen: (offer: string) => void }) {
  const price = priceOf(o, asked.per);
  // The age of a price of another day is how long it had been in force.
  const age = asked.day === "" ? ageOf(o, now) : `since ${date(o.valid_from)}`;
  return (
    <tr>
      <th scope="row">
        <button type="button" className="link-button" onClick={() => onOpen(o.id)} title="Show how its price went">
          {o.instance_type}
        </button>
        <span className="cell-more">{placeOf(o)}</span>
        <span className="cell-more narrow">
          {age} {o.stale && <Stale />}
        </span>
      </th>
      <td>{optionName(o.purchase_option)}</td>
      <td className="wide nowrap">
        {quantity(o.devices)} × {o.accelerator}
        {o.device_memory_gib !== undefined && <span className="cell-more">{quantity(o.device_memory_gib)} GiB each</span>}
      </td>
      <td className="right">{price === undefined ? "–" : fine(price)}</td>
      {asked.per !== "machine" && <td className="right wide">{money(o.usd_per_hour)}</td>}
      <td className="wide" title={o.observed_at}>
        {age} {o.stale && <Stale />}
        <span className="cell-more">{sourceName(o.source)}</span>
      </td>
      {asked.day === "" && (
        <td className="right wide">
          <BlockButton offer={o} />
        </td>
      )}
    </tr>
  );
}

/** Marks a price that plans do not use. */
export function Stale() {
  return (
    <span className="tag tag-warn" title="Too old to plan with">
      stale
    </span>
  );
}
