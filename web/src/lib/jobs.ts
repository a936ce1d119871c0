// Jobs as the table shows them.

import type { Job } from "../api/client";

export interface Replicas {
  running: number;
  total: number;
}

export function replicasOf(job: Job): Replicas {
  const t = job.tasks;
  return { running: t.running, total: t.queued + t.placed + t.running + t.succeeded + t.failed + t.lost + t.cancelled };
}

/** What the replicas do, in words: 4 running, 2 queued. */
export function replicaWords(job: Job): string {
  const t = job.tasks;
  const parts: [number, string][] = [
    [t.running, "running"],
    [t.placed, "placed"],
    [t.queued, "queued"],
    [t.succeeded, "succeeded"],
    [t.failed, "failed"],
    [t.lost, "lost"],
    [t.cancelled, "cancelled"],
  ];
  return parts.filter(([n]) => n > 0).map(([n, word]) => `${n} ${word}`).join(", ") || "no replicas yet";
}

export function ended(state: string): boolean {
  return state === "succeeded" || state === "failed" || state === "cancelled";
}

/** A service has no end, so it has no progress. */
export function isService(job: Job): boolean {
  const groups = job.groups ?? [];
  return groups.length > 0 && groups.every((g) => g.kind === "inference");
}

export type JobFilter = "live" | "ended" | "all";

export function chosen(jobs: Job[], filter: JobFilter, search: string): Job[] {
  const words = search.trim().toLowerCase();
  return jobs.filter((j) => {
    if (filter === "live" && ended(j.state)) return false;
    if (filter === "ended" && !ended(j.state)) return false;
    return words === "" || `${j.project}/${j.name}`.toLowerCase().includes(words);
  });
}

export interface SpendLine {
  label: string;
  project: string;
  job: string;
  billed: number;
  list: number;
}

/** The month's spend by job, dearest first. What no job used is idle room. */
export function spendLines(rows: { project: string; job: string; billed_cost_usd: number; list_cost_usd: number }[]): SpendLine[] {
  return rows
    .filter((r) => r.billed_cost_usd > 0 || r.list_cost_usd > 0)
    .map((r) => ({ label: r.job === "" ? "idle room" : r.job, project: r.project, job: r.job, billed: r.billed_cost_usd, list: r.list_cost_usd }))
    .sort((a, b) => b.billed - a.billed || a.label.localeCompare(b.label));
}
