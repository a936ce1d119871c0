// The machines that are held, as they are drawn: to scale, with the jobs inside.

import type { Lease, LeaseTask } from "../api/client";

/** What a machine's width counts. */
export type Unit = "device" | "vCPU";

/** Replicas of one group on one machine, drawn as one block. */
export interface Segment {
  key: string;
  job: string;
  jobName: string;
  group: string;
  tasks: LeaseTask[];
  /** Width in the machine's unit. */
  size: number;
  /** Replicas whose process is alive. */
  running: number;
  progress: number;
}

export interface Machine {
  lease: Lease;
  unit: Unit;
  /** Width in its unit. */
  size: number;
  segments: Segment[];
  used: number;
  idle: number;
  /** Work on a machine with devices that takes none of them. */
  cpuOnly: Segment[];
}

export interface Fleet {
  unit: Unit;
  machines: Machine[];
  /** The widest machine: the scale of all. */
  scale: number;
  used: number;
  size: number;
}

function sizeOf(task: LeaseTask, unit: Unit): number {
  return unit === "device" ? task.devices : task.vcpus;
}

function gather(tasks: LeaseTask[], unit: Unit): Segment[] {
  const byGroup = new Map<string, Segment>();
  for (const task of tasks) {
    const key = `${task.job}/${task.group}`;
    let s = byGroup.get(key);
    if (s === undefined) {
      s = { key, job: task.job, jobName: task.job_name || task.job, group: task.group, tasks: [], size: 0, running: 0, progress: 0 };
      byGroup.set(key, s);
    }
    s.tasks.push(task);
    s.size += sizeOf(task, unit);
    if (task.state === "running") s.running++;
    s.progress += task.progress;
  }
  const out = [...byGroup.values()];
  for (const s of out) {
    s.progress /= s.tasks.length;
    s.tasks.sort((a, b) => a.replica - b.replica);
  }
  // Widest first; equal ones by name, so that a refresh moves nothing.
  return out.sort((a, b) => b.size - a.size || a.jobName.localeCompare(b.jobName) || a.key.localeCompare(b.key));
}

export function machineOf(lease: Lease): Machine {
  const unit: Unit = lease.offer.devices > 0 ? "device" : "vCPU";
  const size = unit === "device" ? lease.offer.devices : lease.offer.vcpus;
  const tasks = lease.tasks ?? [];
  const segments = gather(unit === "device" ? tasks.filter((t) => t.devices > 0) : tasks, unit);
  const cpuOnly = unit === "device" ? gather(tasks.filter((t) => t.devices <= 0), "vCPU") : [];
  const used = segments.reduce((sum, s) => sum + s.size, 0);
  return { lease, unit, size, segments, used, idle: Math.max(0, size - used), cpuOnly };
}

/** The machines of each unit, widest and dearest first; empty fleets are left out. */
export function fleets(leases: Lease[]): Fleet[] {
  const out: Fleet[] = [];
  const machines = leases.map(machineOf);
  for (const unit of ["device", "vCPU"] as const) {
    const mine = machines.filter((m) => m.unit === unit);
    if (mine.length === 0) continue;
    mine.sort(
      (a, b) => b.size - a.size || b.lease.offer.usd_per_hour - a.lease.offer.usd_per_hour || a.lease.id.localeCompare(b.lease.id),
    );
    out.push({
      unit,
      machines: mine,
      scale: Math.max(...mine.map((m) => Math.max(m.size, m.used))),
      used: mine.reduce((sum, m) => sum + m.used, 0),
      size: mine.reduce((sum, m) => sum + m.size, 0),
    });
  }
  return out;
}

/** How many units one drawn cell stands for, so that cells stay at least minPx wide. */
export function cellSize(unit: Unit, scale: number, widthPx: number, minPx = 6): number {
  const steps = unit === "device" ? [1, 4, 8, 16, 64, 256] : [1, 2, 4, 8, 16, 32, 64];
  return steps.find((s) => (widthPx * s) / scale >= minPx) ?? scale;
}

/** Jobs get one of ten hues, in the order in which the page first sees them. */
export class Hues {
  readonly #of = new Map<string, number>();

  static readonly count = 10;

  of(job: string): number {
    let hue = this.#of.get(job);
    if (hue === undefined) {
      hue = this.#of.size % Hues.count;
      this.#of.set(job, hue);
    }
    return hue;
  }

  /** The hue of a job that is on a machine; undefined for one that is on none. */
  known(job: string): number | undefined {
    return this.#of.get(job);
  }
}

/** What a segment is called inside its block. */
export function segmentLabel(s: Segment): string {
  return s.tasks.length > 1 ? `${s.jobName} ×${s.tasks.length}` : s.jobName;
}
