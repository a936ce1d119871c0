// What the mock server shows: jobs on machines, moved on by the clock. Nothing here
// is part of Purser; it only makes the page look at believable figures.

import { offers, offerWith } from "./offers.mjs";

/** @typedef {import("./offers.mjs").Offer} Offer */
/** @typedef {{ name: string, project: string, kind: "training" | "inference", replicas: number, devices: number, vcpus: number, memory: number, accelerator: string, hours: number, state?: string, reason?: string, ageMin: number, labels?: Record<string, string> }} Wish */
/** @typedef {{ id: string, job: string, group: string, replica: number, attempt: number, failures: number, state: string, lease?: string, variant: string, devices: number, vcpus: number, memory: number, started?: number }} Task */

/** @type {Wish[]} */
const realistic = [
  { name: "finetune-llama-70b", project: "language", kind: "training", replicas: 1, devices: 8, vcpus: 96, memory: 680, accelerator: "A100-80GB", hours: 9, ageMin: 310, labels: { team: "language", "cost-center": "4711" } },
  { name: "finetune", project: "language", kind: "training", replicas: 6, devices: 1, vcpus: 8, memory: 64, accelerator: "A100-40GB", hours: 4, ageMin: 64, labels: { team: "language" } },
  { name: "evaluate", project: "language", kind: "training", replicas: 2, devices: 1, vcpus: 4, memory: 32, accelerator: "A100-40GB", hours: 2, ageMin: 64 },
  { name: "embed-catalogue", project: "search", kind: "training", replicas: 3, devices: 0.5, vcpus: 1, memory: 4, accelerator: "L4", hours: 3, ageMin: 41, labels: { team: "search" } },
  { name: "chat", project: "search", kind: "inference", replicas: 4, devices: 0.5, vcpus: 1, memory: 4, accelerator: "L4", hours: 0, ageMin: 2900, labels: { team: "search", tier: "production" } },
  { name: "rank-nightly", project: "search", kind: "training", replicas: 1, devices: 0, vcpus: 6, memory: 24, accelerator: "", hours: 1.5, ageMin: 22 },
  { name: "protein-fold-sweep-with-a-rather-long-name-0017", project: "life-sciences", kind: "training", replicas: 3, devices: 1, vcpus: 6, memory: 40, accelerator: "T4", hours: 6, ageMin: 12 },
  { name: "pretrain-moe", project: "language", kind: "training", replicas: 4, devices: 8, vcpus: 192, memory: 1500, accelerator: "B300", hours: 40, state: "queued", reason: "no offer is left within the quota aws-p-spot (192 vCPUs)", ageMin: 6 },
  { name: "tokenise", project: "language", kind: "training", replicas: 8, devices: 0, vcpus: 2, memory: 4, accelerator: "", hours: 0.4, state: "succeeded", ageMin: 420 },
  { name: "distil-student", project: "search", kind: "training", replicas: 1, devices: 1, vcpus: 4, memory: 16, accelerator: "L4", hours: 1, state: "failed", reason: "the command ended with exit code 1 and no attempt is left", ageMin: 180 },
];

/** @returns {Wish[]} */
function crowd() {
  const shapes = [["A100-40GB", 8], ["L4", 1], ["T4", 1], ["H100", 8], ["A10G", 1], ["V100-16GB", 1]];
  /** @type {Wish[]} */
  const out = [];
  for (let i = 0; i < 200; i++) {
    const [accelerator, devices] = /** @type {[string, number]} */ (shapes[i % shapes.length]);
    const placed = i < 40;
    out.push({
      name: `experiment-${String(i).padStart(3, "0")}-${["baseline", "learning-rate-warm-up-and-cosine-decay", "ablation", "seed"][i % 4]}`,
      project: ["language", "vision", "search", "life-sciences-and-chemistry"][i % 4] ?? "",
      kind: i % 9 === 4 ? "inference" : "training",
      replicas: 1 + (i % 3),
      devices: devices === 8 ? 2 : devices,
      vcpus: 2,
      memory: 8,
      accelerator,
      hours: 1 + (i % 7),
      ...(placed ? {} : { state: ["succeeded", "succeeded", "queued", "failed", "cancelled"][i % 5] ?? "" }),
      ...(placed ? {} : i % 5 === 3 ? { reason: "the command ended with exit code 137 and no attempt is left" } : {}),
      ageMin: i * 7,
    });
  }
  return out;
}

const minute = 60_000;
const ended = ["succeeded", "failed", "cancelled"];

export class World {
  /** @param {string} scenario realistic, empty or crowd */
  constructor(scenario) {
    this.began = Date.now();
    /** @type {Wish[]} */
    const wishes = scenario === "empty" ? [] : scenario === "crowd" ? crowd() : realistic;
    this.machines = scenario === "crowd" ? 40 : 12;
    /** @type {{ id: string, wish: Wish, submitted: number, tasks: Task[] }[]} */
    this.jobs = [];
    /** @type {{ id: string, offer: Offer, state: string, created: number }[]} */
    this.leases = [];
    this.events = 0;
    for (const w of wishes) this.add(w, this.began - w.ageMin * minute);
  }

  /** @param {Wish} wish @param {number} submitted */
  add(wish, submitted) {
    const n = String(this.jobs.length + 1).padStart(4, "0");
    const id = `job-${n}`;
    const live = !wish.state || wish.state === "running";
    /** @type {Task[]} */
    const tasks = [];
    for (let r = 0; r < wish.replicas; r++) {
      const lease = live ? this.#room(wish, submitted) : undefined;
      const state = wish.state && wish.state !== "running" ? wish.state : lease?.state === "running" ? "running" : lease ? "placed" : "queued";
      tasks.push({
        id: `task-${n}-${r}`, job: id, group: "main", replica: r, attempt: r === 1 ? 2 : 1, failures: 0, state, variant: wish.kind === "inference" ? "fp16" : wish.accelerator || "cpu",
        devices: wish.devices, vcpus: wish.vcpus, memory: wish.memory, ...(lease ? { lease: lease.id } : {}), started: submitted + minute,
      });
      this.jobs = this.jobs.filter((j) => j.id !== id);
      this.jobs.push({ id, wish, submitted, tasks });
    }
    return id;
  }

  /** First fit, as no planner of ours would do it. @param {Wish} wish @param {number} at */
  #room(wish, at) {
    const used = (/** @type {string} */ lease, /** @type {"devices" | "vcpus"} */ dim) =>
      this.jobs.flatMap((j) => j.tasks).filter((t) => t.lease === lease && !ended.includes(t.state)).reduce((s, t) => s + t[dim], 0);
    let found = this.leases.find((l) =>
      (l.offer.accelerator ?? "") === wish.accelerator && used(l.id, "devices") + wish.devices <= l.offer.devices && used(l.id, "vcpus") + wish.vcpus <= l.offer.vcpus);
    // Work without devices goes where vCPUs are left, as it would in a plan.
    if (!found && wish.devices === 0 && wish.vcpus < 4) found = this.leases.find((l) => used(l.id, "vcpus") + wish.vcpus <= l.offer.vcpus);
    if (found) return found;
    if (this.leases.length >= this.machines) return undefined;
    const sizes = { "A100-40GB": 8, "A100-80GB": 8, H100: 8, T4: 4, L4: 1 };
    let offer;
    try {
      offer = wish.accelerator === "" ? offerWith("", 0, "spot") : offerWith(wish.accelerator, /** @type {Record<string, number>} */ (sizes)[wish.accelerator] ?? 1);
    } catch {
      offer = offers.find((o) => o.accelerator === wish.accelerator);
    }
    if (!offer) return undefined;
    const n = this.leases.length;
    const lease = { id: `lease-${String(n + 1).padStart(4, "0")}`, offer, state: n % 11 === 5 ? "launching" : n % 13 === 12 ? "draining" : "running", created: at };
    this.leases.push(lease);
    return lease;
  }

  /** @param {Task} t @param {Wish} w */
  progress(t, w) {
    if (t.state === "succeeded") return 1;
    if (w.kind === "inference" || t.state !== "running") return t.state === "failed" ? 0.42 : 0;
    return Math.min(0.99, ((Date.now() - (t.started ?? 0)) / (w.hours * 60 * minute)) * (1 - 0.06 * t.replica));
  }

  rate() {
    return this.leases.filter((l) => l.state !== "launching").reduce((s, l) => s + l.offer.usd_per_hour, 0);
  }

  /** Money of a job by now. @param {{ wish: Wish, submitted: number, tasks: Task[] }} j */
  cost(j) {
    return j.tasks.reduce((s, t) => {
      const lease = this.leases.find((l) => l.id === t.lease);
      const price = lease ? (lease.offer.usd_per_hour * (t.devices || t.vcpus)) / (lease.offer.devices || lease.offer.vcpus) : 0.31;
      const hours = t.state === "queued" || t.state === "placed" ? 0 : t.state === "running" ? (Date.now() - (t.started ?? 0)) / (60 * minute) : j.wish.hours;
      return s + price * Math.max(0, hours);
    }, 0);
  }
}
