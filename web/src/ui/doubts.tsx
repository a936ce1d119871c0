// Prices that are not believed, and what operators decided of such.

import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { PriceRule, Quarantined } from "../api/client";
import { doubtPage, endRule, keepPrice, releasePrice, useQuarantine, useRules } from "../api/market";
import { keys } from "../api/queries";
import { ago, count, date, moneyPerHour, optionName } from "../lib/format";
import { byHand, placeOf, rangeOf, reasonName, sourceName } from "../lib/market";
import { OfferName } from "./cheapest";
import { Ask } from "./dialogs";
import { useNow } from "./hooks";
import { Choices, Empty, Loaded, Panel, Scroll } from "./parts";

type Which = "open" | "all";

/** Rows of prices that are shown before one asks for all: a bad list has hundreds. */
const fewDoubts = 8;

export function DoubtsPanel({ onOpen }: { onOpen: (offer: string) => void }) {
  const [which, setWhich] = useState<Which>("open");
  const quarantine = useQuarantine(which === "all");
  const rules = useRules();
  return (
    <Panel
      title="Prices not believed"
      className="doubts"
      actions={
        <Choices
          label="Which of them are shown"
          value={which}
          onChoose={setWhich}
          choices={[
            { value: "open", label: "To review" },
            { value: "all", label: "Kept too" },
          ]}
        />
      }
    >
      <Loaded query={quarantine} what="The prices that are not believed cannot be read">
        {(list) => (list.length === 0 ? <Empty title={which === "all" ? "Every price that was seen is believed." : "No price waits for a review."} /> : <DoubtTable list={list} onOpen={onOpen} />)}
      </Loaded>
      <Loaded query={rules} what="The rules cannot be read">
        {(list) => list.length > 0 && <Rules rules={list} onOpen={onOpen} />}
      </Loaded>
    </Panel>
  );
}

/** Reads anew what a decision changes. */
function useDecided(): () => void {
  const queries = useQueryClient();
  return () => {
    for (const key of [keys.doubts, keys.sources, keys.prices]) void queries.invalidateQueries({ queryKey: key });
  };
}

function DoubtTable({ list, onOpen }: { list: Quarantined[]; onOpen: (offer: string) => void }) {
  const now = useNow(30_000);
  const decided = useDecided();
  const [asked, setAsked] = useState<{ verb: "release" | "keep"; row: Quarantined } | null>(null);
  const [all, setAll] = useState(false);
  return (
    <>
      <Scroll label="Prices not believed as a table">
        <table className="data">
          <caption className="visually-hidden">Prices that are not believed, seen last first</caption>
          <thead>
            <tr>
              <th scope="col">Offer</th>
              <th scope="col" className="right">
                Price
              </th>
              <th scope="col">Why</th>
              <th scope="col" className="wide">
                Source
              </th>
              <th scope="col" className="wide">
                Seen
              </th>
              <th scope="col" className="right">
                <span className="visually-hidden">What to do</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {(all ? list : list.slice(0, fewDoubts)).map((q) => (
              <tr key={`${q.source} ${q.offer.id} ${q.reason}`}>
                <th scope="row">
                  <OfferName id={q.offer.id} onOpen={onOpen} />
                </th>
                <td className="right nowrap">{moneyPerHour(q.offer.usd_per_hour)}</td>
                <td>
                  {reasonName(q.reason)} {q.kept_at && <span className="tag">kept</span>}
                  <span className="cell-more">{q.detail}</span>
                </td>
                <td className="wide" title={q.place}>
                  {sourceName(q.source)}
                </td>
                <td className="wide nowrap">
                  {ago(q.last_seen_at, now)}
                  <span className="cell-more">first {ago(q.first_seen_at, now)}</span>
                </td>
                <td className="right doubt-actions">
                  {q.reason !== byHand && <Act verb="Release" row={q} onAct={() => setAsked({ verb: "release", row: q })} />}
                  {!q.kept_at && <Act verb="Keep" row={q} onAct={() => setAsked({ verb: "keep", row: q })} />}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      {list.length > fewDoubts && (
        <p className="panel-foot">
          <button type="button" className="link-button" aria-expanded={all} onClick={() => setAll(!all)}>
            {all ? "Show fewer" : `Show all ${count(list.length, "price")}`}
          </button>
        </p>
      )}
      {all && list.length >= doubtPage && <p className="panel-foot">The newest {count(doubtPage, "price")} are shown; purser prices quarantine has all.</p>}
      {asked && <Review {...asked} onDone={decided} onClose={() => setAsked(null)} />}
    </>
  );
}

function Act({ verb, row, onAct }: { verb: string; row: Quarantined; onAct: () => void }) {
  return (
    <button type="button" className="link-button nowrap" onClick={onAct} aria-label={`${verb} the price of ${row.offer.instance_type} in ${placeOf(row.offer)} …`}>
      {verb} …
    </button>
  );
}

function Review({ verb, row, onDone, onClose }: { verb: "release" | "keep"; row: Quarantined; onDone: () => void; onClose: () => void }) {
  const review = (note: string) => ({ source: row.source, offer: row.offer.id, reason: row.reason, ...(note && { note }) });
  const what = `${row.offer.instance_type}, ${placeOf(row.offer)}, ${optionName(row.offer.purchase_option)}, ${moneyPerHour(row.offer.usd_per_hour)}`;
  return verb === "release" ? (
    <Ask title="Believe this price?" verb="Release the price" noted run={(note) => releasePrice(review(note))} onDone={onDone} onClose={onClose}>
      <p>
        {what}: {reasonName(row.reason)}. It can be planned with at once, and for 30 days as long as its source says about the same.
      </p>
    </Ask>
  ) : (
    <Ask title="Keep it in quarantine?" verb="Keep it there" noted run={(note) => keepPrice(review(note))} onDone={onDone} onClose={onClose}>
      <p>{what}: it stays unbelieved and leaves the list of what is to be reviewed.</p>
    </Ask>
  );
}

function Rules({ rules, onOpen }: { rules: PriceRule[]; onOpen: (offer: string) => void }) {
  const decided = useDecided();
  const [asked, setAsked] = useState<PriceRule | null>(null);
  return (
    <section className="rules" aria-label="Rules">
      <h3>Rules</h3>
      <Scroll label="Rules as a table">
        <table className="data">
          <caption className="visually-hidden">What operators decided of offers' prices</caption>
          <thead>
            <tr>
              <th scope="col">Offer</th>
              <th scope="col">Rule</th>
              <th scope="col" className="wide">
                By
              </th>
              <th scope="col" className="right">
                <span className="visually-hidden">What to do</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {rules.map((r) => (
              <tr key={`${r.offer} ${r.reason}`}>
                <th scope="row">
                  <OfferName id={r.offer} onOpen={onOpen} />
                </th>
                <td>
                  {r.reason === byHand ? "not believed" : `believed in spite of “${reasonName(r.reason)}”`}
                  <span className="cell-more">
                    {rangeOf(r)}, until {date(r.until)}
                  </span>
                </td>
                <td className="wide">
                  {r.actor}, {date(r.made_at)}
                  {r.note && <span className="cell-more">{r.note}</span>}
                </td>
                <td className="right">
                  <button type="button" className="link-button nowrap" onClick={() => setAsked(r)} aria-label={`End rule about ${r.offer} …`}>
                    End rule …
                  </button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      {asked && (
        <Ask title="End the rule?" verb="End the rule" bad run={() => endRule(asked)} onDone={decided} onClose={() => setAsked(null)}>
          <p>
            {asked.reason === byHand
              ? `${asked.offer} can be believed again. It is there again once its source is collected.`
              : `${asked.offer} is judged like any other price from its next collection on.`}
          </p>
        </Ask>
      )}
    </section>
  );
}
