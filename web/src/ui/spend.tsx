import type { EChartsCoreOption } from "echarts/core";
import { useMemo, useState } from "react";
import { useSpend } from "../api/queries";
import { count, dayMonth, money } from "../lib/format";
import { spendLines, type SpendLine } from "../lib/jobs";
import { ChartFrame, tooltipOf, type Colours } from "./chart-frame";
import { Choices, Empty, Loaded, Panel, Rehearsed, Scroll } from "./parts";

type View = "chart" | "table";
const shown = 10;

/** The month's spend by job; what no job used is the pool's idle room. */
export function SpendPanel() {
  const spend = useSpend();
  const [view, setView] = useState<View>("chart");
  const rows = useMemo(() => spendLines(spend.data?.by_job ?? []), [spend.data]);
  return (
    <Panel
      title="Spend by job"
      note={<Rehearsed on={spend.data?.rehearsal ?? false} />}
      className="spend"
      actions={
        rows.length > 0 && (
          <Choices
            label="How the spend is shown"
            value={view}
            onChoose={setView}
            choices={[
              { value: "chart", label: "Chart" },
              { value: "table", label: "Table" },
            ]}
          />
        )
      }
    >
      <Loaded query={spend} what="The spend cannot be read">
        {(data) =>
          rows.length === 0 ? (
            <Empty title="Nothing has been charged this month.">Charges come by the second once a machine runs.</Empty>
          ) : view === "table" ? (
            <SpendTable rows={rows} />
          ) : (
            <SpendChart rows={rows} since={data.month_start} />
          )
        }
      </Loaded>
    </Panel>
  );
}

function SpendChart({ rows, since }: { rows: SpendLine[]; since: string }) {
  const lines = rows.slice(0, shown);
  const rest = rows.slice(shown);
  const dearest = lines[0];
  return (
    <>
      <ChartFrame
        heightPx={lines.length * 30 + 44}
        label={`Bars of the month's spend by job; the dearest is ${dearest ? `${dearest.label} with ${money(dearest.billed)}` : "none"}`}
        option={(c) => spendOption(lines, c)}
      />
      <p className="panel-foot">
        {rest.length > 0 && `${count(rest.length, "job")} more cost ${money(rest.reduce((n, l) => n + l.billed, 0))} together. `}
        Since {dayMonth(since)}. The outline is the on-demand list price of the same machine hours.
      </p>
    </>
  );
}

function cut(text: string): string {
  return text.length > 18 ? `${text.slice(0, 17)}…` : text;
}

function spendOption(lines: SpendLine[], c: Colours): EChartsCoreOption {
  const drawn = [...lines].reverse();
  const label = { fontFamily: c.font, fontSize: 12, color: c.text };
  return {
    textStyle: { fontFamily: c.font },
    grid: { left: 4, right: 64, top: 4, bottom: 4, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    tooltip: {
      ...tooltipOf(c),
      trigger: "axis",
      axisPointer: { type: "none" },
      formatter: (points: unknown) => {
        const line = drawn[indexOf(points)];
        if (line === undefined) return "";
        return `${line.label}${line.project ? ` (${line.project})` : ""}\n${money(line.billed)}, list price ${money(line.list)}`;
      },
    },
    xAxis: { type: "value", show: false, max: (v: { max: number }) => v.max },
    yAxis: {
      type: "category",
      data: drawn.map((l) => l.label),
      axisLine: { show: false },
      axisTick: { show: false },
      axisLabel: { ...label, formatter: cut },
    },
    series: [
      {
        name: "on-demand list price",
        type: "bar",
        data: drawn.map((l) => Math.max(l.list, l.billed)),
        barWidth: 16,
        barGap: "-100%",
        silent: true,
        itemStyle: { color: "transparent", borderColor: c.strong, borderWidth: 1, borderRadius: 3 },
      },
      {
        name: "spend",
        type: "bar",
        data: drawn.map((l) => l.billed),
        barWidth: 16,
        itemStyle: { color: c.accent, borderRadius: 3 },
        label: { ...label, show: true, position: "right", formatter: (p: { dataIndex: number }) => money(drawn[p.dataIndex]?.billed ?? 0) },
      },
    ],
  };
}

/** Which row a tooltip is asked for. */
function indexOf(points: unknown): number {
  const first: unknown = Array.isArray(points) ? points[0] : points;
  return typeof first === "object" && first !== null && "dataIndex" in first && typeof first.dataIndex === "number" ? first.dataIndex : -1;
}

function SpendTable({ rows }: { rows: SpendLine[] }) {
  return (
    <Scroll label="Spend by job as a table">
      <table className="data">
        <caption className="visually-hidden">The month's spend by job</caption>
        <thead>
          <tr>
            <th scope="col">Job</th>
            <th scope="col" className="right">
              Spend
            </th>
            <th scope="col" className="right">
              List price
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((r) => (
            <tr key={`${r.project}/${r.job}`}>
              <th scope="row">
                {r.label}
                {r.project && <span className="cell-more">{r.project}</span>}
              </th>
              <td className="right">{money(r.billed)}</td>
              <td className="right">{money(r.list)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}
