import type { EChartsCoreOption } from "echarts/core";
import { lazy, Suspense, useEffect, useState } from "react";
import { useTheme } from "./hooks";

const Chart = lazy(() => import("./chart"));

/** The page's colours as a chart needs them: as values. */
export interface Colours {
  text: string;
  quiet: string;
  line: string;
  strong: string;
  surface: string;
  accent: string;
  font: string;
}

function read(): Colours {
  const style = getComputedStyle(document.documentElement);
  const of = (name: string) => style.getPropertyValue(name).trim();
  return {
    text: of("--text"),
    quiet: of("--quiet"),
    line: of("--line"),
    strong: of("--line-strong"),
    surface: of("--surface"),
    accent: of("--accent"),
    font: of("--font"),
  };
}

function useColours(): Colours {
  const [theme] = useTheme();
  const [colours, setColours] = useState(read);
  useEffect(() => setColours(read()), [theme]);
  return colours;
}

interface FrameProps {
  label: string;
  heightPx: number;
  option: (colours: Colours) => EChartsCoreOption;
}

/** A chart that is loaded when it is first shown, in the colours of the theme. */
export function ChartFrame({ label, heightPx, option }: FrameProps) {
  const colours = useColours();
  return (
    <Suspense fallback={<div className="chart loading" style={{ height: heightPx }} />}>
      <Chart label={label} heightPx={heightPx} option={option(colours)} />
    </Suspense>
  );
}

/** What every tooltip has: text drawn by the chart itself, no markup, no inline style. */
export function tooltipOf(c: Colours) {
  return {
    renderMode: "richText",
    confine: true,
    backgroundColor: c.surface,
    borderColor: c.line,
    borderWidth: 1,
    padding: [8, 10],
    textStyle: { color: c.text, fontSize: 12, fontFamily: c.font },
    transitionDuration: 0,
  };
}
