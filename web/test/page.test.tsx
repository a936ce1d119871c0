// @vitest-environment happy-dom

import { QueryClientProvider } from "@tanstack/react-query";
import { act } from "react";
import { createRoot, type Root } from "react-dom/client";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { keys, newQueryClient } from "../src/api/queries";
import { App } from "../src/app";
import { everything } from "../src/lib/market";
import { startTheme } from "../src/ui/hooks";
import { health, job, lease, leaseTask, offer, plan, source, spend } from "./samples";

// The charts need a real browser; the page flow draws them there.
vi.mock("../src/ui/chart", () => ({ default: ({ label }: { label: string }) => <div className="chart" role="img" aria-label={label} /> }));

interface Shown {
  health: unknown;
  spend: unknown;
  plan: unknown;
  leases: unknown[];
  jobs: unknown[];
  offers: unknown[];
  sources: unknown[];
}

const full: Shown = {
  health: health(),
  spend: spend(),
  plan: plan(),
  leases: [lease()],
  jobs: [job()],
  offers: [offer(), offer({ id: "x", purchase_option: "on_demand", usd_per_device_hour: 3.67 })],
  sources: [source({ name: "bundled", offers: 2, quarantined: 3 })],
};

let root: Root;
let box: HTMLElement;

beforeEach(() => {
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  vi.stubGlobal("fetch", () => new Promise(() => undefined)); // what is shown is what was put in
  vi.stubGlobal("EventSource", class extends EventTarget {
    readyState = 0;
    close() {}
  });
  history.replaceState(null, "", "/");
  startTheme();
  box = document.body.appendChild(document.createElement("div"));
  root = createRoot(box);
});

afterEach(() => {
  act(() => root.unmount());
  box.remove();
  vi.unstubAllGlobals();
});

async function show(over: Partial<Shown> = {}): Promise<string> {
  const s = { ...full, ...over };
  const queries = newQueryClient();
  queries.setQueryData(keys.health, s.health);
  queries.setQueryData(keys.spend, s.spend);
  queries.setQueryData(keys.plan, s.plan);
  queries.setQueryData(keys.leases, s.leases);
  queries.setQueryData(keys.jobs, { jobs: s.jobs, more: false });
  queries.setQueryData([...keys.prices, "offers", everything], { offers: s.offers, whole: true });
  queries.setQueryData(keys.sources, s.sources);
  await act(async () => {
    root.render(
      <QueryClientProvider client={queries}>
        <App />
      </QueryClientProvider>,
    );
  });
  return text();
}

function text(): string {
  return (box.textContent ?? "").replaceAll("\u00a0", " ").replace(/\s+/g, " ");
}

async function press(name: string, within = ""): Promise<void> {
  const button = [...box.querySelectorAll<HTMLButtonElement>(`${within} button`)].find((b) => b.textContent === name);
  if (button === undefined) throw new Error(`there is no button ${name}`);
  await act(async () => button.click());
}

describe("rehearsed money", () => {
  it("says so at every figure", async () => {
    expect(await show()).toContain("Rehearsal: nothing is bought. Figures are what it would have cost.");
    for (const where of [".figure:nth-child(1)", ".figure:nth-child(2)", ".figure:nth-child(3)", ".figure:nth-child(4)", ".plan", ".spend", ".jobs thead"]) {
      expect(box.querySelector(where)?.textContent, where).toContain("Rehearsal");
    }
  });

  it("is nowhere once money is owed", async () => {
    const owed = {
      health: health({ rehearsal: false }),
      spend: spend({ rehearsal: false }),
      plan: plan({ rehearsal: false }),
      leases: [lease({ rehearsal: false })],
      jobs: [job({ rehearsal: false })],
    };
    expect(await show(owed)).not.toContain("Rehearsal");
  });
});

describe("the money", () => {
  it("is shown with its assumption and what is saved", async () => {
    const t = await show();
    expect(t).toContain("$9.60/h");
    expect(t).toContain("if what runs now ($9.60/h) runs on until 1 August");
    expect(t).toContain("$60.00");
    expect(t).toContain("60 % below $100.00");
  });

  it("claims no saving before the first charge", async () => {
    const t = await show({ spend: spend({ month_to_date_usd: 0, month_to_date_list_usd: 0, by_job: [], charged_through: "0001-01-01T00:00:00Z" }) });
    expect(t).toContain("nothing has been charged this month");
    expect(t).not.toContain("charged up to");
  });
});

describe("the plan", () => {
  it("tells its price, the alternative and the proof", async () => {
    const t = await show();
    expect(t).toContain("The newest plan runs 1 replica on 1 machine for $9.60/h");
    expect(t).toContain("would cost $32.00/h: sharing saves 70 %");
    expect(t).toContain("Proven within 0.05 % of the cheapest: it costs $100.00 over the next 24 h, and no plan can cost less than $99.95.");
  });

  it("is called the cheapest only when it is", async () => {
    expect(await show({ plan: plan({ status: "optimal", gap: 0 }) })).toContain("Proven to be the cheapest: no plan can cost less than its $100.00");
  });

  it("claims nothing without a bound", async () => {
    const t = await show({ plan: plan({ bound_usd: 0, gap: 1 }) });
    expect(t).toContain("Nothing is proven");
    expect(t).not.toContain("Proven within");
  });

  it("says what it could not place, and why", async () => {
    const t = await show({
      plan: plan({
        unplaced: [{ job: "pretrain", group: "main", replicas: 4, reason: "no offer is left within the quota p" }],
        refusals: [{ job: "pretrain", group: "main", offers: 225, allowed: 2, reasons: { quota: 6, accelerator: 217 } }],
      }),
    });
    expect(t).toContain("pretrain/main: 4 replicas not placed. no offer is left within the quota p");
    expect(t).toContain("2 offers of 225 could serve it; 217 have another accelerator, 6 exceed a quota.");
  });
});

describe("the machines", () => {
  const two = [
    lease({ tasks: [leaseTask({ devices: 6 }), leaseTask({ task: "task-2", job: "job-2", job_name: "evaluate", devices: 1 })] }),
    lease({ id: "lease-2", offer: offer({ devices: 4, instance_type: "half" }), tasks: [] }),
  ];

  it("are drawn to one scale, and hold their jobs", async () => {
    await show({ leases: two });
    const bars = [...box.querySelectorAll("svg.bar")];
    expect(bars.map((b) => b.getAttribute("aria-label"))).toEqual([
      "a2-highgpu-8g, 8 devices: finetune 6 devices, evaluate 1 device, idle 1 device",
      "half, 4 devices: idle 4 devices",
    ]);
    const [whole, half] = bars.map((b) => Number(b.getAttribute("width")));
    expect(whole).toBe(2 * (half ?? 0));
    const blocks = [...(bars[0]?.querySelectorAll(".block-ground") ?? [])].map((b) => Number(b.getAttribute("width")));
    expect((blocks[0] ?? 0) / (blocks[1] ?? 1)).toBeCloseTo(6, 0);
  });

  it("stand in the table with the same figures", async () => {
    await show({ leases: two });
    await press("Table", ".plan");
    const rows = [...box.querySelectorAll(".plan tbody tr")].map((r) => r.textContent);
    expect(rows).toHaveLength(2);
    expect(rows[0]).toContain("finetune 6 devices");
    expect(rows[0]).toContain("1 device");
    expect(rows[1]).toContain("none");
    expect(box.querySelector("svg.bar")).toBeNull();
  });

  it("are first a dozen, and all when asked for", async () => {
    const many = Array.from({ length: 40 }, (_, i) => lease({ id: `lease-${String(i).padStart(2, "0")}` }));
    await show({ leases: many });
    expect(box.querySelectorAll("svg.bar")).toHaveLength(12);
    await press("Show all 40 machines");
    expect(box.querySelectorAll("svg.bar")).toHaveLength(40);
  });
});

describe("with nothing there", () => {
  it("says what to do", async () => {
    const t = await show({ plan: null, leases: [], jobs: [], offers: [], sources: [] });
    expect(t).toContain("purser submit -f examples/first-run.yaml");
    expect(t).toContain("There are no jobs.");
    expect(t).toContain("purser prices import FILE");
  });
});

describe("the jobs", () => {
  it("can be found among many", async () => {
    await show({ jobs: Array.from({ length: 200 }, (_, i) => job({ id: `job-${i}`, name: `experiment-${i}` })) });
    expect(box.querySelectorAll(".jobs tbody tr")).toHaveLength(25);
    const search = box.querySelector<HTMLInputElement>("input[type=search]");
    await act(async () => {
      Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value")?.set?.call(search, "experiment-199");
      search?.dispatchEvent(new Event("input", { bubbles: true }));
    });
    expect(box.querySelectorAll(".jobs tbody tr")).toHaveLength(1);
  });

  it("say why they wait", async () => {
    expect(await show({ jobs: [job({ id: "other", state: "queued", reason: "no offer fits" })] })).toContain("no offer fits");
  });
});

describe("prices", () => {
  it("tell their age and what was not believed", async () => {
    const t = await show();
    expect(t).toContain("list of 1 Jul 2026");
    expect(t).toContain("3 not believed");
    expect(t).toContain("67 %");
  });
});

describe("signed out", () => {
  it("asks for a code once a call is refused", async () => {
    await show();
    vi.stubGlobal("fetch", async () => Response.json({ status: 401, code: "unauthorized", title: "Unauthorized" }, { status: 401 }));
    await press("Sign out");
    expect(text()).toContain("purser token link");
    expect(box.querySelector(".figures")).toBeNull();
  });
});
