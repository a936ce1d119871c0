// The mock server's answers, in the shapes of the REST API.

import { offers } from "./offers.mjs";

/** @typedef {import("./world.mjs").World} World */
/** @typedef {World["jobs"][number]} Job */

const iso = (/** @type {number} */ t) => new Date(t).toISOString();
const ended = ["succeeded", "failed", "cancelled"];

/** @param {World} w @param {Job} j */
export function jobView(w, j) {
  const tasks = { queued: 0, placed: 0, running: 0, succeeded: 0, failed: 0, lost: 0, cancelled: 0 };
  for (const t of j.tasks) tasks[/** @type {keyof typeof tasks} */ (t.state)]++;
  const state = tasks.failed ? "failed" : tasks.cancelled ? "cancelled" : tasks.succeeded === j.tasks.length ? "succeeded" : tasks.running + tasks.placed > 0 ? "running" : "queued";
  return {
    id: j.id, project: j.wish.project, name: j.wish.name, labels: j.wish.labels ?? {}, priority: 0, state,
    ...(j.wish.reason ? { reason: j.wish.reason } : {}),
    submitted_at: iso(j.submitted),
    ...(ended.includes(state) ? { ended_at: iso(j.submitted + j.wish.hours * 3_600_000) } : {}),
    groups: [{ name: "main", kind: j.wish.kind, replicas: j.wish.replicas, variants: [j.tasks[0]?.variant ?? ""] }],
    tasks, progress: j.tasks.reduce((s, t) => s + w.progress(t, j.wish), 0) / j.tasks.length, billed_cost_usd: w.cost(j), rehearsal: true,
  };
}

/** @param {World} w @param {Job} j */
export function taskViews(w, j) {
  return j.tasks.map((t) => ({
    id: t.id, job: t.job, group: t.group, replica: t.replica, attempt: t.attempt, failures: 0, state: t.state, lease: t.lease, variant: t.variant,
    milli_devices: t.devices * 1000, milli_cpu: t.vcpus * 1000, memory_mib: t.memory * 1024, progress: w.progress(t, j.wish),
    ...(t.state === "failed" ? { exit_code: 1, reason: "Traceback: CUDA out of memory" } : {}),
    queued_at: iso(j.submitted), ...(t.state === "queued" ? {} : { started_at: iso(t.started ?? 0) }),
  }));
}

/** @param {World} w */
export function leaseViews(w) {
  return w.leases.map((l) => {
    const on = w.jobs.flatMap((j) => j.tasks.filter((t) => t.lease === l.id && !ended.includes(t.state)).map((t) => ({ t, j })));
    return {
      id: l.id, plan: "plan-0007", offer: l.offer, holder: "local", rehearsal: true, state: l.state, attempt: 1, created_at: iso(l.created), running_at: iso(l.created),
      tasks: on.map(({ t, j }) => ({
        task: t.id, job: j.id, job_name: j.wish.name, group: t.group, replica: t.replica, variant: t.variant, state: t.state,
        devices: t.devices, vcpus: t.vcpus, memory_gib: t.memory, progress: w.progress(t, j.wish),
      })),
      billed_cost_usd: (l.offer.usd_per_hour * (Date.now() - l.created)) / 3_600_000,
    };
  });
}

/** @param {World} w */
export function spendView(w) {
  const now = new Date();
  const month = Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), 1);
  const next = Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1);
  const rows = w.jobs.map((j) => ({ project: j.wish.project, job: j.wish.name, billed_cost_usd: w.cost(j), list_cost_usd: w.cost(j) * 2.1 })).filter((r) => r.billed_cost_usd > 0);
  if (rows.length > 0) rows.push({ project: "", job: "", billed_cost_usd: rows.reduce((s, r) => s + r.billed_cost_usd, 0) * 0.11, list_cost_usd: rows.reduce((s, r) => s + r.billed_cost_usd, 0) * 0.2 });
  const sum = (/** @type {"billed_cost_usd" | "list_cost_usd"} */ k) => rows.reduce((s, r) => s + r[k], 0);
  const end = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long", timeZone: "UTC" }).format(next);
  return {
    rehearsal: true, at: now.toISOString(), usd_per_hour: w.rate(), month_start: iso(month), month_to_date_usd: sum("billed_cost_usd"), month_to_date_list_usd: sum("list_cost_usd"),
    month_end_usd: sum("billed_cost_usd") + (w.rate() * (next - now.getTime())) / 3_600_000,
    assumption: w.rate() > 0 ? `if what runs now ($${w.rate().toFixed(2)}/h) runs on until ${end}` : "if nothing more is run this month",
    by_job: rows, charged_through: rows.length > 0 ? iso(now.getTime() - 9_000) : "0001-01-01T00:00:00Z",
  };
}

/** @param {World} w */
export function planView(w) {
  const leases = leaseViews(w).map((l) => ({
    offer: l.offer, held: l.id, hours: 4,
    placements: l.tasks.map((t) => ({ job_id: t.job, job: t.job_name, group: t.group, replica: t.replica, variant: t.variant, devices: t.devices, vcpus: t.vcpus, memory_gib: t.memory_gib })),
  }));
  const price = w.leases.reduce((s, l) => s + l.offer.usd_per_hour, 0);
  const waiting = w.jobs.filter((j) => j.tasks.some((t) => t.state === "queued") && j.wish.reason);
  return {
    id: "plan-0007", created_at: iso(w.began - 150_000), status: "feasible", rehearsal: true, horizon_hours: 24, objective_usd: price * 11.3, bound_usd: price * 11.3 * (1 - 0.00047), gap: 0.00047,
    usd_per_hour: price, baseline_usd_per_hour: price * 3.4, solve_seconds: 0.214, summary: "", leases,
    unplaced: waiting.map((j) => ({ job: j.wish.name, group: "main", replicas: j.wish.replicas, reason: "no offer is left within the quota aws-p-spot (192 vCPUs)" })),
    refusals: waiting.map((j) => ({ job: j.wish.name, group: "main", offers: offers.length, allowed: 2, reasons: { accelerator: 196, devices: 21, quota: 6 } })),
    runners_up: [],
  };
}

/** @param {World} w @param {Job} j @param {number} after @param {number} limit */
export function logView(w, j, after, limit) {
  const per = 40;
  const lines = [];
  const running = j.tasks.some((t) => t.state === "running");
  const total = j.tasks.length * per + (running ? Math.floor((Date.now() - w.began) / 1000) : 0);
  for (let n = after; n < Math.min(total, after + limit); n++) {
    const t = j.tasks[n % j.tasks.length];
    if (!t) break;
    const step = Math.floor(n / j.tasks.length);
    const stream = step === 0 ? "agent" : step % 17 === 9 ? "stderr" : "stdout";
    const text = step === 0 ? `${j.wish.name}/main replica ${t.replica} starts` : stream === "stderr" ? "warning: gradient norm 12.4 was clipped to 1.0" : `step ${step * 50}: loss ${(2.6 / (1 + step / 30)).toFixed(4)}, ${1210 + ((step * 37) % 60)} tokens/s`;
    lines.push({ task: t.id, seq: step + 1, at: iso(w.began - 60_000 + n * 900), stream, text });
  }
  return { lines, next: String(after + lines.length), ended: !running && after + lines.length >= total };
}
