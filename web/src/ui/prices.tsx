import type { EChartsCoreOption } from "echarts/core";
import { useMemo, useState } from "react";
import type { Offer, Source } from "../api/client";
import { useOffers, useSources } from "../api/queries";
import { count, date, money, percent, timeOf } from "../lib/format";
import { ageOf, families, market, sourceName, sourceState, telling, type Row } from "../lib/market";
import { ChartFrame, tooltipOf, type Colours } from "./chart-frame";
import { useMedia, useNow } from "./hooks";
import { Empty, Loaded, Panel, Scroll } from "./parts";

const rowsAtFirst = 14;

/** The newest prices per device-hour, how old they are, and who said them. */
export function PricesPanel() {
  const offers = useOffers();
  const sources = useSources();
  const rows = useMemo(() => market(offers.data?.offers ?? []), [offers.data]);
  return (
    <Panel title="Newest prices" note={<span className="panel-note">cheapest per device-hour</span>} className="prices">
      <Loaded query={offers} what="The prices cannot be read">
        {(data) =>
          rows.length === 0 ? (
            <Empty title="No price is known.">
              Import a price list: <code className="command">purser prices import FILE</code>
            </Empty>
          ) : (
            <div className="prices-grid">
              <PriceChart rows={rows} />
              <PriceTable rows={rows} whole={data.whole} />
            </div>
          )
        }
      </Loaded>
      {sources.data && <Sources sources={telling(sources.data)} offers={offers.data?.offers ?? []} />}
    </Panel>
  );
}

/** The accelerators that most people ask for, dearest first. */
function known(rows: Row[]): Row[] {
  const picked = rows.filter((r) => families.some((f) => r.accelerator === f || r.accelerator.startsWith(`${f}-`)));
  return (picked.length > 0 ? picked : rows).slice(0, rowsAtFirst);
}

function PriceChart({ rows }: { rows: Row[] }) {
  const shown = useMemo(() => known(rows), [rows]);
  const narrow = useMedia("(max-width: 1000px)");
  return (
    <div className="prices-chart">
      <ChartFrame
        heightPx={shown.length * (narrow ? 28 : 44) + 64}
        label={`Dots of the cheapest price per device-hour of ${count(shown.length, "accelerator")}, spot beside on demand; the table beside it has the figures`}
        option={(c) => priceOption(shown, c)}
      />
    </div>
  );
}

interface Drawing {
  value: (dimension: number) => number;
  coord: (point: [number, number]) => [number, number];
}

function priceOption(rows: Row[], c: Colours): EChartsCoreOption {
  const drawn = [...rows].reverse();
  const point = (pick: (r: Row) => Offer | null) =>
    drawn.flatMap((r, i) => {
      const p = pick(r)?.usd_per_device_hour;
      return p === undefined ? [] : [[p, i]];
    });
  const both = drawn.flatMap((r, i) => (r.spot && r.onDemand ? [[r.spot.usd_per_device_hour ?? 0, r.onDemand.usd_per_device_hour ?? 0, i]] : []));
  const text = { fontFamily: c.font, fontSize: 12, color: c.text };
  const dots = (name: string, data: number[][], color: string, hollow: boolean) => ({
    name,
    type: "scatter",
    data,
    symbolSize: 10,
    itemStyle: hollow ? { color: c.surface, borderColor: color, borderWidth: 2 } : { color },
  });
  return {
    textStyle: { fontFamily: c.font },
    grid: { left: 4, right: 20, top: 30, bottom: 4, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    legend: { top: 0, left: 0, itemWidth: 12, itemHeight: 10, textStyle: text, data: ["spot", "on demand"], selectedMode: false },
    tooltip: { ...tooltipOf(c), trigger: "item", formatter: (p: unknown) => tipOf(p, drawn) },
    xAxis: {
      type: "log",
      position: "bottom",
      axisLabel: { ...text, color: c.quiet, formatter: (v: number) => (v < 1 ? `$${v.toFixed(2)}` : `$${v}`), hideOverlap: true },
      splitLine: { lineStyle: { color: c.line } },
      axisLine: { show: false },
    },
    yAxis: {
      type: "category",
      data: drawn.map((r) => r.accelerator),
      axisLine: { show: false },
      axisTick: { show: false },
      axisLabel: { ...text, interval: 0 },
    },
    series: [
      {
        type: "custom",
        silent: true,
        data: both,
        encode: { x: [0, 1], y: 2 },
        renderItem: (_: unknown, api: Drawing) => {
          const [x1, y] = api.coord([api.value(0), api.value(2)]);
          const [x2] = api.coord([api.value(1), api.value(2)]);
          return { type: "line", shape: { x1, y1: y, x2, y2: y }, style: { stroke: c.quiet, lineWidth: 2, opacity: 0.45 } };
        },
      },
      dots("on demand", point((r) => r.onDemand), c.accent, true),
      dots("spot", point((r) => r.spot), c.accent, false),
    ],
  };
}

function tipOf(p: unknown, rows: Row[]): string {
  if (typeof p !== "object" || p === null || !("data" in p) || !("seriesName" in p) || !Array.isArray(p.data)) return "";
  const row = rows[Number(p.data[1])];
  const offer = p.seriesName === "spot" ? row?.spot : row?.onDemand;
  if (!row || !offer) return "";
  return `${row.accelerator}, ${String(p.seriesName)}: ${money(offer.usd_per_device_hour ?? 0)} per device-hour\n${offer.instance_type}, ${offer.provider} ${offer.zone || offer.region}`;
}

function PriceTable({ rows, whole }: { rows: Row[]; whole: boolean }) {
  const now = useNow(30_000);
  const [all, setAll] = useState(false);
  const shown = all ? rows : known(rows);
  return (
    <div className="prices-table">
      <Scroll label="Prices as a table">
        <table className="data">
          <caption className="visually-hidden">The cheapest spot and on-demand price per device-hour of each accelerator</caption>
          <thead>
            <tr>
              <th scope="col">Accelerator</th>
              <th scope="col" className="right">
                Spot
              </th>
              <th scope="col" className="right">
                On demand
              </th>
              <th scope="col" className="right wide">
                Spot saves
              </th>
            </tr>
          </thead>
          <tbody>
            {shown.map((r) => (
              <tr key={r.accelerator}>
                <th scope="row" className="nowrap">
                  {r.accelerator}
                </th>
                <Price offer={r.spot} now={now} />
                <Price offer={r.onDemand} now={now} />
                <td className="right wide">{saving(r)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      <p className="panel-foot">
        {rows.length > shown.length || all ? (
          <button type="button" className="link-button" onClick={() => setAll(!all)}>
            {all ? "Show fewer" : `Show all ${rows.length} accelerators`}
          </button>
        ) : null}
        {!whole && <span className="quiet">The list is long: well-known accelerators are shown, purser prices has all.</span>}
      </p>
    </div>
  );
}

function saving(r: Row): string {
  const spot = r.spot?.usd_per_device_hour;
  const full = r.onDemand?.usd_per_device_hour;
  return spot === undefined || full === undefined || full <= 0 ? "–" : percent(1 - spot / full);
}

function Price({ offer, now }: { offer: Offer | null; now: number }) {
  if (offer === null) return <td className="right quiet">–</td>;
  return (
    <td className="right" title={`${offer.instance_type}, ${offer.provider} ${offer.zone || offer.region}; ${sourceName(offer.source)}, ${ageOf(offer, now)}`}>
      {money(offer.usd_per_device_hour ?? 0)}
      <span className="cell-more">
        <span className="part">{offer.provider}</span>
        <span className="part">{ageOf(offer, now)}</span>
      </span>
    </td>
  );
}

/** The dates of a source's prices: 21 Feb 2024 – 22 Aug 2026. */
function dates(source: string, offers: Offer[]): string {
  const times = offers.filter((o) => o.source === source || o.source.startsWith(`${source}:`)).map((o) => timeOf(o.observed_at));
  const seen = times.filter((t) => !Number.isNaN(t));
  if (seen.length === 0) return "";
  const first = date(new Date(Math.min(...seen)).toISOString());
  const last = date(new Date(Math.max(...seen)).toISOString());
  return first === last ? `, prices of ${first}` : `, prices of ${first} to ${last}`;
}

function Sources({ sources, offers }: { sources: Source[]; offers: Offer[] }) {
  const now = useNow(30_000);
  if (sources.length === 0) return null;
  return (
    <ul className="sources" aria-label="Sources of prices">
      {sources.map((s) => (
        <li key={s.name} className={s.last_error ? "sources-bad" : undefined}>
          <strong>{sourceName(s.name)}</strong> {count(s.offers, "offer")}
          {dates(s.name, offers)}, {sourceState(s, now)}
          {s.quarantined > 0 && `, ${quantityWords(s.quarantined)}`}
        </li>
      ))}
    </ul>
  );
}

function quantityWords(n: number): string {
  return `${count(n, "price")} not believed (purser prices quarantine)`;
}
