// ECharts, with only the parts that the page draws. This file is a chunk of its
// own, loaded when the first chart is shown.

import { BarChart, CustomChart, LineChart, ScatterChart } from "echarts/charts";
import { GridComponent, LegendComponent, TooltipComponent } from "echarts/components";
import * as echarts from "echarts/core";
import type { EChartsCoreOption } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";
import { useEffect, useRef } from "react";

echarts.use([BarChart, CustomChart, LineChart, ScatterChart, GridComponent, LegendComponent, TooltipComponent, SVGRenderer]);

interface ChartProps {
  option: EChartsCoreOption;
  /** The chart in a sentence; its figures stand in the table beside it. */
  label: string;
  heightPx: number;
}

export default function Chart({ option, label, heightPx }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const chart = useRef<echarts.ECharts | null>(null);
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const made = echarts.init(element, null, { renderer: "svg" });
    chart.current = made;
    const observer = new ResizeObserver(() => made.resize());
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.dispose();
      chart.current = null;
    };
  }, []);
  useEffect(() => {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    // Merged, so that new figures move the bars and do not draw them anew.
    chart.current?.setOption({ animation: !still, animationDuration: 300, ...option });
  }, [option]);
  useEffect(() => chart.current?.resize(), [heightPx]);
  return <div className="chart" ref={box} role="img" aria-label={label} style={{ height: heightPx }} />;
}
