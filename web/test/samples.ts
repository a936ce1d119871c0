// Small answers of the API for the tests.

import type { Health, Job, Lease, LeaseTask, Offer, Plan, PriceRule, Quarantined, Source, Spend } from "../src/api/client";

export function offer(over: Partial<Offer> = {}): Offer {
  return {
    id: "gcp/us-central1/a/a2-highgpu-8g/spot",
    provider: "gcp",
    region: "us-central1",
    zone: "us-central1-a",
    instance_type: "a2-highgpu-8g",
    purchase_option: "spot",
    accelerator: "A100-40GB",
    devices: 8,
    vcpus: 96,
    memory_gib: 680,
    usd_per_hour: 9.6,
    usd_per_device_hour: 1.2,
    limit: -1,
    source: "bundled:test-list",
    valid_from: "2026-07-01T00:00:00Z",
    observed_at: "2026-07-01T00:00:00Z",
    stale: false,
    ...over,
  };
}

export function leaseTask(over: Partial<LeaseTask> = {}): LeaseTask {
  return {
    task: "task-1",
    job: "job-1",
    job_name: "finetune",
    group: "main",
    replica: 0,
    variant: "A100-40GB",
    state: "running",
    devices: 1,
    vcpus: 8,
    memory_gib: 64,
    progress: 0.5,
    ...over,
  };
}

export function lease(over: Partial<Lease> = {}): Lease {
  return {
    id: "lease-1",
    plan: "plan-1",
    offer: offer(),
    holder: "local",
    rehearsal: true,
    state: "running",
    attempt: 1,
    created_at: "2026-07-10T11:00:00Z",
    running_at: "2026-07-10T11:00:05Z",
    tasks: [leaseTask()],
    billed_cost_usd: 1.5,
    ...over,
  };
}

export function job(over: Partial<Job> = {}): Job {
  return {
    id: "job-1",
    project: "language",
    name: "finetune",
    priority: 0,
    state: "running",
    submitted_at: "2026-07-10T11:00:00Z",
    groups: [{ name: "main", kind: "training", replicas: 1, variants: ["A100-40GB"] }],
    tasks: { queued: 0, placed: 0, running: 1, succeeded: 0, failed: 0, lost: 0, cancelled: 0 },
    progress: 0.5,
    billed_cost_usd: 1.25,
    rehearsal: true,
    ...over,
  };
}

export function plan(over: Partial<Plan> = {}): Plan {
  return {
    id: "plan-1",
    created_at: "2026-07-10T11:00:00Z",
    status: "feasible",
    rehearsal: true,
    horizon_hours: 24,
    objective_usd: 100,
    extra_usd: 0,
    bound_usd: 99.95,
    gap: 0.0005,
    usd_per_hour: 9.6,
    baseline_usd_per_hour: 32,
    carbon_kg: 12.3,
    solve_seconds: 0.214,
    summary: "",
    leases: [
      {
        offer: offer(),
        hours: 4,
        placements: [{ job: "finetune", group: "main", replica: 0, variant: "A100-40GB", devices: 1, vcpus: 8, memory_gib: 64 }],
      },
    ],
    unplaced: [],
    refusals: [],
    services: [],
    runners_up: [],
    ...over,
  };
}

export function spend(over: Partial<Spend> = {}): Spend {
  return {
    rehearsal: true,
    at: "2026-07-10T12:00:00Z",
    usd_per_hour: 9.6,
    month_start: "2026-07-01T00:00:00Z",
    month_to_date_usd: 40,
    month_to_date_list_usd: 100,
    month_end_usd: 5000,
    assumption: "if what runs now ($9.60/h) runs on until 1 August",
    by_job: [{ project: "language", job: "finetune", billed_cost_usd: 40, list_cost_usd: 100 }],
    charged_through: "2026-07-10T11:59:50Z",
    ...over,
  };
}

export function health(over: Partial<Health> = {}): Health {
  return {
    status: "ok",
    version: "test",
    rehearsal: true,
    server: "server-1",
    host: "host-1",
    time: "2026-07-10T12:00:00Z",
    parts: { database: "ok" },
    ...over,
  };
}

export function source(over: Partial<Source> = {}): Source {
  return {
    name: "aws-spot",
    says: "AWS spot by zone",
    enabled: true,
    last_at: "2026-07-10T11:00:00Z",
    ended_at: "2026-07-10T11:00:05Z",
    failures: 0,
    regions: 2,
    offers: 3,
    quarantined: 0,
    ...over,
  };
}

export function quarantined(over: Partial<Quarantined> = {}): Quarantined {
  return {
    offer: offer(),
    source: "aws-spot",
    reason: "sudden_fall",
    detail: "9.60 $/h is less than a third of 32 $/h",
    place: "page 3",
    first_seen_at: "2026-07-09T11:00:00Z",
    last_seen_at: "2026-07-10T11:00:00Z",
    ...over,
  };
}

export function rule(over: Partial<PriceRule> = {}): PriceRule {
  return {
    offer: offer().id,
    reason: "by_hand",
    low_usd_per_hour: 0,
    high_usd_per_hour: 4_611_686_018,
    until: "2026-08-10T11:00:00Z",
    actor: "root",
    note: "looks wrong",
    made_at: "2026-07-10T11:00:00Z",
    ...over,
  };
}
