// The cheapest price of each accelerator, spot beside on demand.

import type { EChartsCoreOption } from "echarts/core";
import { useMemo, useState } from "react";
import type { Offer } from "../api/client";
import { count, percent } from "../lib/format";
import { ageOf, families, fine, perWords, placeOf, priceOf, sourceName, type Per, type Row } from "../lib/market";
import { ChartFrame, tooltipOf, type Colours } from "./chart-frame";
import { useMedia, useNow } from "./hooks";
import { Scroll } from "./parts";

const rowsAtFirst = 14;

interface AcceleratorsProps {
  rows: Row[];
  /** All accelerators that are known are among the rows. */
  whole: boolean;
  per: Per;
  onChoose: (accelerator: string) => void;
}

export function Accelerators(props: AcceleratorsProps) {
  const now = useNow(30_000);
  return (
    <div className="prices-grid">
      <PriceChart rows={props.rows} per={props.per} />
      <PriceTable {...props} now={now} />
    </div>
  );
}

function amount(offer: Offer | null, per: Per): number | undefined {
  return offer === null ? undefined : priceOf(offer, per);
}

/** The accelerators that most people ask for, dearest first. */
function known(rows: Row[]): Row[] {
  const picked = rows.filter((r) => families.some((f) => r.accelerator === f || r.accelerator.startsWith(`${f}-`)));
  return (picked.length > 0 ? picked : rows).slice(0, rowsAtFirst);
}

function PriceChart({ rows, per }: { rows: Row[]; per: Per }) {
  const shown = useMemo(() => known(rows), [rows]);
  const narrow = useMedia("(max-width: 1000px)");
  return (
    <div className="prices-chart">
      <ChartFrame
        heightPx={shown.length * (narrow ? 28 : 44) + 64}
        label={`Dots of the cheapest price ${perWords[per].long} of ${count(shown.length, "accelerator")}, spot beside on demand; the table beside it has the figures`}
        option={(c) => priceOption(shown, per, c)}
      />
    </div>
  );
}

interface Drawing {
  value: (dimension: number) => number;
  coord: (point: [number, number]) => [number, number];
}

function priceOption(rows: Row[], per: Per, c: Colours): EChartsCoreOption {
  const drawn = [...rows].reverse();
  const point = (pick: (r: Row) => Offer | null) =>
    drawn.flatMap((r, i) => {
      const p = amount(pick(r), per);
      return p === undefined ? [] : [[p, i]];
    });
  const both = drawn.flatMap((r, i) => (r.spot && r.onDemand ? [[amount(r.spot, per) ?? 0, amount(r.onDemand, per) ?? 0, i]] : []));
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
    tooltip: { ...tooltipOf(c), trigger: "item", formatter: (p: unknown) => tipOf(p, drawn, per) },
    xAxis: {
      type: "log",
      position: "bottom",
      axisLabel: { ...text, color: c.quiet, formatter: (v: number) => (v < 1 ? `$${Number(v.toPrecision(2))}` : `$${v}`), hideOverlap: true },
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

function tipOf(p: unknown, rows: Row[], per: Per): string {
  if (typeof p !== "object" || p === null || !("data" in p) || !("seriesName" in p) || !Array.isArray(p.data)) return "";
  const row = rows[Number(p.data[1])];
  const offer = p.seriesName === "spot" ? row?.spot : row?.onDemand;
  if (!row || !offer) return "";
  return `${row.accelerator}, ${String(p.seriesName)}: ${fine(amount(offer, per) ?? 0)} ${perWords[per].long}\n${offer.instance_type}, ${placeOf(offer)}`;
}

function PriceTable({ rows, whole, per, now, onChoose }: AcceleratorsProps & { now: number }) {
  const [all, setAll] = useState(false);
  const shown = all ? rows : known(rows);
  return (
    <div className="prices-table">
      <Scroll label="Prices as a table">
        <table className="data">
          <caption className="visually-hidden">The cheapest spot and on-demand price of each accelerator, {perWords[per].long}</caption>
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
                  <button type="button" className="link-button" onClick={() => onChoose(r.accelerator)} title={`Show the offers of ${r.accelerator}`}>
                    {r.accelerator}
                  </button>
                </th>
                <Price offer={r.spot} per={per} now={now} />
                <Price offer={r.onDemand} per={per} now={now} />
                <td className="right wide">{saving(r, per)}</td>
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

function saving(r: Row, per: Per): string {
  const spot = amount(r.spot, per);
  const full = amount(r.onDemand, per);
  return spot === undefined || full === undefined || full <= 0 ? "–" : percent(1 - spot / full);
}

function Price({ offer, per, now }: { offer: Offer | null; per: Per; now: number }) {
  if (offer === null) return <td className="right quiet">–</td>;
  return (
    <td className="right" title={`${offer.instance_type}, ${placeOf(offer)}; ${sourceName(offer.source)}, ${ageOf(offer, now)}`}>
      {fine(amount(offer, per) ?? 0)}
      <span className="cell-more">
        <span className="part">{offer.provider}</span>
        <span className="part">{ageOf(offer, now)}</span>
      </span>
    </td>
  );
}
