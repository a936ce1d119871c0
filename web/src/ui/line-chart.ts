// How prices are drawn over time: a line of steps with gaps, and a band where a
// price moved within a day.

import type { EChartsCoreOption } from "echarts/core";
import { dayShort } from "../lib/format";
import { fine, heldAt, joined, type Level } from "../lib/market";
import { tooltipOf, type Colours } from "./chart-frame";

interface Drawn {
  levels: Level[];
  from: number;
  to: number;
  /** The lowest and highest price from one moment to another. */
  band?: [from: number, to: number, low: number, high: number][];
  /** What to say of the level that holds. */
  tip: (level: number) => string;
}

interface Drawing {
  value: (dimension: number) => number;
  coord: (point: [number, number]) => [number, number];
}

export function priceLine(d: Drawn, c: Colours): EChartsCoreOption {
  const text = { fontFamily: c.font, fontSize: 12, color: c.quiet };
  return {
    useUTC: true, // as price lists are dated
    textStyle: { fontFamily: c.font },
    grid: { left: 4, right: 16, top: 12, bottom: 4, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    tooltip: { ...tooltipOf(c), trigger: "axis", axisPointer: { type: "line", lineStyle: { color: c.strong } }, formatter: (points: unknown) => tipAt(points, d) },
    xAxis: {
      type: "time",
      min: d.from,
      max: d.to,
      // The step that the pointer is over counts, not the nearest change.
      axisPointer: { snap: false },
      axisLabel: { ...text, formatter: dayShort, hideOverlap: true },
      splitNumber: 4,
      axisLine: { lineStyle: { color: c.strong } },
      axisTick: { show: false },
    },
    yAxis: {
      type: "value",
      scale: true,
      min: (v: { min: number; max: number }) => Math.max(0, v.min - 0.15 * (v.max - v.min || v.max)),
      max: (v: { min: number; max: number }) => v.max + 0.15 * (v.max - v.min || v.max),
      axisLabel: { ...text, formatter: fine, showMinLabel: false, showMaxLabel: false },
      splitLine: { lineStyle: { color: c.line }, showMinLine: false, showMaxLine: false },
    },
    series: [
      {
        type: "custom",
        silent: true,
        data: d.band ?? [],
        encode: { x: [0, 1], y: [2, 3] },
        renderItem: (_: unknown, api: Drawing) => {
          const [x, top] = api.coord([api.value(0), api.value(3)]);
          const [right, bottom] = api.coord([api.value(1), api.value(2)]);
          return { type: "rect", shape: { x, y: top, width: Math.max(1, right - x), height: Math.max(1, bottom - top) }, style: { fill: c.accent, opacity: 0.25 } };
        },
        clip: true,
      },
      {
        type: "line",
        step: "end",
        data: joined(d.levels, d.to),
        symbol: "none",
        lineStyle: { color: c.accent, width: 2 },
        itemStyle: { color: c.accent },
        emphasis: { disabled: true },
      },
    ],
  };
}

function tipAt(points: unknown, d: Drawn): string {
  const first: unknown = Array.isArray(points) ? points[0] : points;
  if (typeof first !== "object" || first === null || !("axisValue" in first)) return "";
  const level = heldAt(d.levels, Number(first.axisValue));
  return level < 0 ? "" : d.tip(level);
}
