// The details of one offer: what it is, how its price went, and how often such a
// machine is taken back.

import { useState } from "react";
import type { Offer, PriceDay } from "../api/client";
import { useHazard, useHistory, useOffer } from "../api/market";
import { date, gib, moment, money, moneyPerHour, optionName, quantity } from "../lib/format";
import { ageOf, changeLevels, dayLevels, dayMs, fine, hazardWords, partsOf, placeOf, sourceName, type Level } from "../lib/market";
import { BlockButton } from "./block";
import { ChartFrame } from "./chart-frame";
import { TimeChoices, type Days, type View } from "./cheapest";
import { Drawer } from "./dialogs";
import { useNow } from "./hooks";
import { priceLine } from "./line-chart";
import { Stale } from "./offers";
import { Empty, Loaded, Scroll } from "./parts";

export function OfferDrawer({ offer: id, onClose }: { offer: string; onClose: () => void }) {
  const offer = useOffer(id);
  const named = partsOf(id);
  return (
    <Drawer title={named.type} mark={offer.data?.stale && <Stale />} onClose={onClose}>
      <Loaded query={offer} what="The offer cannot be read">
        {(data) =>
          data ? (
            <Facts offer={data} />
          ) : (
            <div className="drawer-part">
              <Empty title="It cannot be had now.">
                {named.place}
                {named.option && `, ${named.option}`}. What its price was stands below.
              </Empty>
            </div>
          )
        }
      </Loaded>
      <History id={id} />
    </Drawer>
  );
}

function Facts({ offer: o }: { offer: Offer }) {
  const now = useNow(30_000);
  return (
    <div className="drawer-part">
      <dl className="facts">
        <dt>Where</dt>
        <dd>
          {placeOf(o)}
          {o.country && ` (${o.country})`}
        </dd>
        <dt>Sold as</dt>
        <dd>{optionName(o.purchase_option)}</dd>
        <dt>Machine</dt>
        <dd>
          {o.devices > 0 && `${quantity(o.devices)} × ${o.accelerator ?? "device"}${o.device_memory_gib ? ` with ${quantity(o.device_memory_gib)} GiB` : ""}, `}
          {quantity(o.vcpus)} vCPU, {gib(o.memory_gib)}
        </dd>
        <dt>Price</dt>
        <dd>
          <strong>{moneyPerHour(o.usd_per_hour)}</strong>
          {o.usd_per_device_hour !== undefined && o.devices !== 1 && `, ${money(o.usd_per_device_hour)} per device`}
          {o.usd_per_gib_hour !== undefined && `, ${fine(o.usd_per_gib_hour)} per GiB`}
          {o.usd_per_tflop_hour !== undefined && `, ${fine(o.usd_per_tflop_hour)} per TFLOP/s`}
        </dd>
        <dt>In force</dt>
        <dd>since {date(o.valid_from)}</dd>
        <dt>Source</dt>
        <dd title={o.observed_at}>
          {sourceName(o.source)}, {ageOf(o, now)}
        </dd>
        {o.limit >= 0 && (
          <>
            <dt>Supply</dt>
            <dd>{quantity(o.limit)} at most</dd>
          </>
        )}
        <Terms terms={o.terms} />
        {o.purchase_option === "spot" && <Hazard offer={o} />}
      </dl>
      <p className="drawer-action">
        <BlockButton offer={o} />
      </p>
    </div>
  );
}

/** The conditions of a serverless offer; 0 is not known or not bounded. */
function Terms({ terms: t }: { terms: Offer["terms"] }) {
  if (!t) return null;
  const said = [
    t.billing_step_seconds > 0 && `billed by ${quantity(t.billing_step_seconds)} s`,
    t.cold_start_seconds > 0 && `cold start ${quantity(t.cold_start_seconds)} s`,
    t.max_request_seconds > 0 && `a request may take ${quantity(t.max_request_seconds)} s`,
    t.max_concurrent > 0 && `${quantity(t.max_concurrent)} at once`,
    t.idle_billed_seconds > 0 && `${quantity(t.idle_billed_seconds)} s are billed after a request`,
    t.usd_per_request > 0 && `${fine(t.usd_per_request)} per request`,
  ].filter(Boolean);
  if (said.length === 0) return null;
  return (
    <>
      <dt>Terms</dt>
      <dd>{said.join(", ")}</dd>
    </>
  );
}

function Hazard({ offer }: { offer: Offer }) {
  const hazard = useHazard(offer);
  return (
    <>
      <dt>Taken back</dt>
      <dd>
        <Loaded query={hazard} what="How often it is taken back cannot be read">
          {(h) =>
            h === null ? (
              <span className="quiet">nobody has said how often yet</span>
            ) : (
              <>
                {hazardWords(h)}
                <span className="cell-more">
                  {h.basis}
                  {(h.signals ?? []).map((s) => `; ${sourceName(s.source)}: ${s.detail}`)}
                </span>
              </>
            )
          }
        </Loaded>
      </dd>
    </>
  );
}

interface Line {
  at: string;
  words: string;
  more: string;
}

function History({ id }: { id: string }) {
  const [days, setDays] = useState<Days>("90");
  const [view, setView] = useState<View>("chart");
  const history = useHistory(id, Number(days));
  return (
    <section className="drawer-part" aria-label="Price over time">
      <header className="panel-head">
        <h3>Price per machine-hour</h3>
        <TimeChoices days={days} view={view} onDays={setDays} onView={setView} />
      </header>
      <Loaded query={history} what="The history cannot be read">
        {({ span, by, points, days: rows }) => {
          const levels = by === "day" ? dayLevels(rows, span.from) : changeLevels(points, span.from);
          const prices = levels.flatMap(([, usd]) => (usd === null ? [] : [usd]));
          if (prices.length === 0) return <Empty title="No price of that time is known." />;
          if (view === "table") {
            const lines: Line[] =
              by === "day"
                ? rows.map((d) => ({
                    at: date(d.day),
                    words: d.hours > 0 ? (d.low_usd_per_hour === d.high_usd_per_hour ? money(d.high_usd_per_hour) : `${money(d.low_usd_per_hour)} to ${money(d.high_usd_per_hour)}`) : "could not be had",
                    more: d.hours >= 24 ? "all day" : `${quantity(Math.round(d.hours * 10) / 10)} h`,
                  }))
                : points.map((p) => ({ at: moment(p.from), words: p.gone ? "could not be had" : money(p.usd_per_hour), more: sourceName(p.source) }));
            return <HistoryTable lines={lines} byDay={by === "day"} />;
          }
          return (
            <ChartFrame
              heightPx={220}
              label={`Line of the price per machine-hour over ${days} days, from ${money(Math.min(...prices))} to ${money(Math.max(...prices))}; the table has its changes`}
              option={(c) =>
                priceLine(
                  {
                    levels,
                    from: span.from,
                    to: span.to,
                    tip: (i) => tipOf(levels[i], rows),
                    band: rows
                      .filter((d) => d.high_usd_per_hour > d.low_usd_per_hour && Date.parse(d.day) + dayMs > span.from)
                      .map((d) => [Math.max(Date.parse(d.day), span.from), Math.min(Date.parse(d.day) + dayMs, span.to), d.low_usd_per_hour, d.high_usd_per_hour]),
                  },
                  c,
                )
              }
            />
          );
        }}
      </Loaded>
    </section>
  );
}

function tipOf(level: Level | undefined, days: PriceDay[]): string {
  if (level === undefined) return "";
  const [at, usd] = level;
  const day = days.find((d) => Date.parse(d.day) === at && d.high_usd_per_hour > d.low_usd_per_hour);
  const held = usd === null ? "could not be had" : moneyPerHour(usd);
  if (day) return `${held} on average\n${money(day.low_usd_per_hour)} to ${money(day.high_usd_per_hour)} on ${date(day.day)}`;
  return `${held}\nfrom ${moment(new Date(at).toISOString())} on`;
}

const rowsAtMost = 100;

function HistoryTable({ lines, byDay }: { lines: Line[]; byDay: boolean }) {
  return (
    <>
      <Scroll label="Price over time as a table">
        <table className="data">
          <caption className="visually-hidden">{byDay ? "Days on which the price changed" : "Changes of the price"}, newest first</caption>
          <thead>
            <tr>
              <th scope="col">{byDay ? "Day (UTC)" : "From (UTC)"}</th>
              <th scope="col" className="right">
                Price
              </th>
              <th scope="col">{byDay ? "Could be had" : "Source"}</th>
            </tr>
          </thead>
          <tbody>
            {[...lines]
              .reverse()
              .slice(0, rowsAtMost)
              .map((l) => (
                <tr key={l.at}>
                  <th scope="row">{l.at}</th>
                  <td className="right nowrap">{l.words}</td>
                  <td>{l.more}</td>
                </tr>
              ))}
          </tbody>
        </table>
      </Scroll>
      {lines.length > rowsAtMost && (
        <p className="panel-foot">
          The newest {rowsAtMost} of {lines.length}.
        </p>
      )}
    </>
  );
}
