// One machine as a bar to scale: a block for each group of replicas, ticks for its
// devices, hatching for the room that is idle.

import { useId, type PointerEvent } from "react";
import { fit, quantity } from "../lib/format";
import { cellSize, segmentLabel, type Hues, type Machine, type Segment } from "../lib/machines";
import { nameWidth, sizeWidth } from "./measure";

const height = 36;
const strip = 5; // of work that takes no device
const gap = 1.5;

export interface BarEvents {
  onOpen: (job: string) => void;
  onPoint: (segment: Segment | null, event: PointerEvent | null) => void;
}

interface BarProps extends BarEvents {
  machine: Machine;
  scale: number;
  width: number;
  hues: Hues;
  lit: string | null;
}

export function unitName(machine: Machine, n: number): string {
  return `${quantity(n)} ${machine.unit === "device" ? (n === 1 ? "device" : "devices") : n === 1 ? "vCPU" : "vCPUs"}`;
}

/** What the bar shows, in words. */
export function describe(machine: Machine): string {
  const parts = machine.segments.map((s) => `${segmentLabel(s)} ${unitName(machine, s.size)}`);
  parts.push(...machine.cpuOnly.map((s) => `${segmentLabel(s)} no device`));
  if (machine.idle > 0) parts.push(`idle ${unitName(machine, machine.idle)}`);
  return `${machine.lease.offer.instance_type}, ${unitName(machine, machine.size)}: ${parts.join(", ")}`;
}

/** The room for a name within a block of a width. */
const nameRoom = (width: number) => Math.max(1, width - gap) - 13;

/** The segments whose names do not fit into their blocks; they are named beside the bar. */
export function unnamed(machine: Machine, scale: number, width: number): Segment[] {
  const px = width / scale;
  return [...machine.segments.filter((s) => nameWidth(segmentLabel(s)) > nameRoom(s.size * px)), ...machine.cpuOnly];
}

function Block(props: { segment: Segment; x: number; width: number; machine: Machine; hue: number; dim: boolean } & BarEvents) {
  const { segment, x, width } = props;
  const waiting = segment.running === 0;
  const inner = Math.max(1, width - gap);
  const step = inner / segment.tasks.length;
  const label = fit(segmentLabel(segment), nameRoom(width), nameWidth);
  const amount = unitName(props.machine, segment.size);
  const size = sizeWidth(amount) <= nameRoom(width) ? amount : "";
  return (
    <g
      className={`block hue-${props.hue}${waiting ? " block-waiting" : ""}${props.dim ? " block-dim" : ""}`}
      onClick={() => props.onOpen(segment.job)}
      onPointerMove={(event) => props.onPoint(segment, event)}
      onPointerLeave={() => props.onPoint(null, null)}
    >
      <rect className="block-ground" x={x} y="0" width={inner} height={height} />
      {step >= 4 &&
        segment.tasks.slice(1).map((t, i) => <rect key={t.task} className="block-seam" x={x + step * (i + 1) - 0.5} y="0" width="1" height={height} />)}
      <rect className="block-edge" x={x} y="0" width={Math.min(3, inner)} height={height} />
      <text className="block-name" x={x + 9} y={size ? 15 : 22}>
        {label}
      </text>
      {label && size && (
        <text className="block-size" x={x + 9} y="28">
          {size}
        </text>
      )}
    </g>
  );
}

export function MachineBar({ machine, scale, width, hues, lit, ...events }: BarProps) {
  const id = useId();
  const px = width / scale;
  const full = Math.max(2, Math.max(machine.size, machine.used) * px);
  const cell = cellSize(machine.unit, scale, width) * px;
  const ticks: number[] = [];
  for (let x = cell; x < full - 1; x += cell) ticks.push(x);
  let x = 0;
  const blocks = machine.segments.map((segment) => {
    const at = x;
    x += segment.size * px;
    return { segment, at, width: segment.size * px };
  });
  const vcpus = Math.max(1, machine.lease.offer.vcpus);
  let sx = 0;
  return (
    <svg className={`bar bar-${machine.lease.state}`} width={full} height={height + (machine.cpuOnly.length > 0 ? strip + 3 : 0)} role="img" aria-label={describe(machine)}>
      <defs>
        <pattern id={`${id}-idle`} width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
          <rect className="idle-ground" width="6" height="6" />
          <rect className="idle-line" width="1.4" height="6" />
        </pattern>
        <clipPath id={`${id}-clip`}>
          <rect width={full} height={height} rx="4" />
        </clipPath>
      </defs>
      <g clipPath={`url(#${id}-clip)`}>
        <rect width={full} height={height} fill={`url(#${id}-idle)`} />
        {blocks.map((b) => (
          <Block
            key={b.segment.key}
            segment={b.segment}
            x={b.at}
            width={b.width}
            machine={machine}
            hue={hues.of(b.segment.job)}
            dim={lit !== null && lit !== b.segment.job}
            {...events}
          />
        ))}
        {ticks.map((t) => (
          <rect key={t} className="tick" x={t - 0.5} y={height - 4} width="1" height="4" />
        ))}
      </g>
      <rect className="bar-frame" x="0.5" y="0.5" width={full - 1} height={height - 1} rx="3.5" />
      {machine.cpuOnly.map((s) => {
        const w = Math.max(3, ((s.size * full) / vcpus) | 0);
        const at = sx;
        sx += w + 1;
        return (
          <rect
            key={s.key}
            className={`strip hue-${hues.of(s.job)}`}
            x={at}
            y={height + 3}
            width={w}
            height={strip}
            rx="1.5"
            onClick={() => events.onOpen(s.job)}
            onPointerMove={(event) => events.onPoint(s, event)}
            onPointerLeave={() => events.onPoint(null, null)}
          />
        );
      })}
    </svg>
  );
}
