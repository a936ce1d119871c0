// @vitest-environment happy-dom

import { QueryClientProvider } from "@tanstack/react-query";
import { act, type ReactNode } from "react";
import { createRoot, type Root } from "react-dom/client";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { newQueryClient } from "../src/api/queries";
import { DoubtsPanel } from "../src/ui/doubts";
import { MarketPanel } from "../src/ui/market";
import { OfferDrawer } from "../src/ui/offer-drawer";
import { ProvidersPanel } from "../src/ui/providers";
import { SourcesPanel } from "../src/ui/sources";
import { WorthOf } from "../src/ui/worth";
import { offer, quarantined, rule, source } from "./samples";

// The charts need a real browser; the page flow draws them there.
vi.mock("../src/ui/chart", () => ({ default: ({ label }: { label: string }) => <div className="chart" role="img" aria-label={label} /> }));

const h100 = offer({ id: "aws/us-east-2/-/p5/spot", provider: "aws", region: "us-east-2", instance_type: "p5", accelerator: "H100", stale: true });
delete h100.zone;

let root: Root;
let box: HTMLElement;
let asked: string[];
let said: Record<string, unknown>;

beforeEach(() => {
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  asked = [];
  said = {
    "GET /v1/prices": { offers: [h100, offer()] },
    "GET /v1/prices/cheapest": { per: "device", steps: [{ from: "2026-07-01T00:00:00Z", offer: h100.id, usd_per_hour: 1.2 }, { from: "2026-07-02T00:00:00Z", usd_per_hour: 0 }] },
    "GET /v1/prices/history": { offer: h100.id, points: [], days: [{ day: "2020-07-02", low_usd_per_hour: 9, high_usd_per_hour: 11, mean_usd_per_hour: 10, last_usd_per_hour: 9.6, hours: 12 }] },
    "GET /v1/hazards": { hazards: [{ ...h100, mean_per_hour: 0.025, low_per_hour: 0.01, high_per_hour: 0.1, events: 1, hours: 40, basis: "ours", computed_at: "", signals: [] }] },
    "GET /v1/sources": { sources: [source(), source({ name: "gcp", last_error: "no key (give one)", failures: 2 }), source({ name: "vast", enabled: false, offers: 0, ended_at: "" })] },
    "GET /v1/quarantine": { quarantined: [quarantined()] },
    "GET /v1/prices/rules": { rules: [rule()] },
  };
  vi.stubGlobal("fetch", async (request: Request) => {
    const url = new URL(request.url);
    const call = `${request.method} ${decodeURIComponent(url.pathname)}`;
    asked.push(`${call}${url.search}${request.method === "POST" ? ` ${await request.text()}` : ""}`);
    const body = said[call];
    if (body === undefined) return Response.json({ title: "Forbidden", status: 403, code: "forbidden", detail: "this call needs the role admin" }, { status: 403 });
    return body === null ? new Response(null, { status: 204 }) : Response.json(body);
  });
  box = document.body.appendChild(document.createElement("div"));
  root = createRoot(box);
});

afterEach(() => {
  act(() => root.unmount());
  box.remove();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

/** Lets answers come in. */
async function settle(): Promise<void> {
  for (let i = 0; i < 8; i++) await act(() => new Promise((resolve) => setTimeout(resolve)));
}

async function show(panel: ReactNode): Promise<void> {
  await act(async () => root.render(<QueryClientProvider client={newQueryClient()}>{panel}</QueryClientProvider>));
  await settle();
}

function text(where = ""): string {
  const element = where === "" ? box : box.querySelector(where);
  return (element?.textContent ?? "").replaceAll("\u00a0", " ").replace(/\s+/g, " ");
}

async function press(name: string | RegExp): Promise<void> {
  const button = [...box.querySelectorAll("button")].find((b) => (typeof name === "string" ? b.textContent === name : name.test(b.getAttribute("aria-label") ?? "")));
  if (button === undefined) throw new Error(`there is no button ${String(name)}`);
  await act(async () => button.click());
  await settle();
}

async function fill(label: string, value: string): Promise<void> {
  const id = [...box.querySelectorAll("label")].find((l) => l.textContent?.startsWith(label))?.htmlFor ?? "";
  const field = document.getElementById(id);
  if (!(field instanceof HTMLInputElement || field instanceof HTMLSelectElement || field instanceof HTMLTextAreaElement)) throw new Error(`there is no field ${label}`);
  await act(async () => {
    Object.getOwnPropertyDescriptor(Object.getPrototypeOf(field), "value")?.set?.call(field, value);
    field.dispatchEvent(new Event(field instanceof HTMLSelectElement ? "change" : "input", { bubbles: true }));
  });
  await settle();
}

describe("the market", () => {
  it("shows an accelerator's offers and their past once it is chosen", async () => {
    const open = vi.fn();
    await show(<MarketPanel onOpen={open} />);
    await press("H100");
    expect(asked.filter((a) => a.includes("accelerator=H100"))).toHaveLength(2);
    expect(text(".offers-table")).toContain("p5aws us-east-2");
    expect(text(".offers-table")).toContain("stale");
    expect(box.querySelector(".over-time .chart")?.getAttribute("aria-label")).toContain("$1.20");
    await press("Table");
    expect(text(".over-time")).toContain("none could be had");
    await press("p5");
    expect(open).toHaveBeenCalledWith(h100.id);
  });

  it("asks for another unit, and shows a dash where there is none", async () => {
    await show(<MarketPanel onOpen={() => undefined} />);
    await press("H100");
    await fill("Price", "tflop");
    expect(asked.at(-1)).toContain("per=tflop");
    expect([...box.querySelectorAll(".offers-table tbody td:nth-child(4)")].map((d) => d.textContent)).toEqual(["–", "–"]);
  });

  it("marks another day, and lets nothing of it be blocked", async () => {
    await show(<MarketPanel onOpen={() => undefined} />);
    await press("H100");
    expect(text()).toContain("Block …");
    await fill("As of", "2026-07-09");
    expect(asked.some((a) => a.includes("as_of=2026-07-09T23%3A59%3A59Z"))).toBe(true);
    expect(text()).toContain("Prices of 9 Jul 2026: what was in force at the end of that day (UTC)");
    expect(text()).not.toContain("Block …");
    await press("Back to now");
    expect(text()).not.toContain("Prices of 9 Jul 2026");
  });

  it("tells that nothing matches, and clears", async () => {
    await show(<MarketPanel onOpen={() => undefined} />);
    const all = said["GET /v1/prices"];
    said["GET /v1/prices"] = { offers: [] };
    await fill("Sold as", "spot");
    expect(text()).toContain("No offer matches.");
    said["GET /v1/prices"] = all;
    await press("Clear");
    expect(text()).toContain("Spot saves");
    expect(text()).not.toContain("Clear");
  });

  it("shows an offer's history and hazard", async () => {
    said["GET /v1/prices"] = { offers: [h100] };
    await show(<OfferDrawer offer={h100.id} onClose={() => undefined} />);
    expect(text(".facts")).toContain("about once in 40 h of running (with 80 % certainty between 10 h and 100 h)");
    expect(asked.some((a) => a.includes("by=day"))).toBe(true);
    await press("Table");
    expect(text(".drawer tbody")).toContain("2 Jul 2020$9.00 to $11.0012 h");
    await press("30 days");
    expect(asked.at(-1)).toContain("by=change");
    expect(text()).toContain("No price of that time is known.");
  });

  it("tells of an offer that is gone what its name says", async () => {
    said["GET /v1/prices"] = { offers: [] };
    await show(<OfferDrawer offer={h100.id} onClose={() => undefined} />);
    expect(text(".drawer")).toContain("It cannot be had now.aws us-east-2, spot.");
  });
});

describe("the providers", () => {
  const row = { dry_run: false, regions: null, can: null, machines: 0, quotas: null, reserved: null, usd_per_hour: 0 };
  const quota = (name: string, used: number, limit: number) => ({ name, unit: "vcpus", used, limit });

  it("tell how they fare, what the account may have, and what was bought ahead", async () => {
    said["GET /v1/providers"] = {
      rehearsal: false,
      spend_limit: { usd_per_hour: 40, usd_per_month: 9000 },
      providers: [
        {
          ...row, name: "aws", regions: ["us-east-1"], machines: 2, listed_at: "2026-07-10T12:00:00Z", usd_per_hour: 4,
          quotas: [quota("idle", 0, 100), quota("full", 8, 8), quota("half", 4, 8), quota("none", 0, 0)],
          reserved: [{ id: "cr-1", offer: "aws/us-east-1/-/p5/reserved", total: 2, free: 1 }],
        },
        { ...row, name: "gcp", failure: { kind: "forbidden", message: "list is refused", hint: "grant the role", at: "2026-07-10T12:00:00Z" } },
        { ...row, name: "local" },
      ],
    };
    await show(<ProvidersPanel />);
    expect(text("tbody")).toContain("awsus-east-1ok2$4.00/hfull: 8 of 8 vcpushalf: 4 of 8 vcpusidle: 0 of 100 vcpus1 other");
    expect(text("tbody")).toContain("failedmachines: list is refused (grant the role)");
    expect(text("tbody")).toContain("localthis hostwaiting");
    expect(text(".panel-foot")).toBe("Bought machines may cost $40.00 an hour at once, and nothing more is bought once a month has cost $9,000.00.");
    expect(text(".rules")).toContain("aws/us-east-1/-/p5/reserved: 1 of 2 machines free (cr-1)");
  });

  it("say that nothing is bought in rehearsal", async () => {
    said["GET /v1/providers"] = { rehearsal: true, spend_limit: { usd_per_hour: 0, usd_per_month: 0 }, providers: [{ ...row, name: "local", listed_at: "2026-07-10T12:00:00Z" }] };
    await show(<ProvidersPanel />);
    expect(text(".panel-foot")).toContain("nothing is bought");
  });
});

describe("what limits cost", () => {
  it("is asked for by a press, and said in sentences", async () => {
    said["GET /v1/plans/worth"] = {
      objective_usd: 10, left: 2,
      steps: [{ name: "q", unit: "vcpus", more: 8, saves_usd_per_day: 3, places: 0, sure: true, sentence: "8 vcpus more of q would save $3.00 a day" }],
    };
    await show(<WorthOf />);
    expect(asked).toEqual([]);
    await press("What do limits cost?");
    expect(text("li")).toBe("8 vcpus more of q would save $3.00 a day.");
    expect(text("[role=status]")).toContain("2 further limits not tried.");
    said["GET /v1/plans/worth"] = { objective_usd: 10, left: 0, steps: [] };
    await press("Ask again what limits cost");
    expect(text("[role=status]")).toBe("No limit stands in the way of a cheaper plan.");
  });
});

describe("the sources", () => {
  it("tell how they fare, those that are set up first", async () => {
    await show(<SourcesPanel />);
    expect(text("tbody")).toContain("failed 2 timesno key (give one)");
    expect(text("tbody")).not.toContain("vast");
    await press("Show all 3 sources");
    expect(text("tbody")).toContain("vast");
  });

  it("are collected when asked for, until that has begun and ended", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    said["POST /v1/sources/aws-spot/collect"] = source();
    await show(<SourcesPanel />);
    await press(/^Collect now: aws-spot$/);
    expect(asked).toContain("POST /v1/sources/aws-spot/collect ");
    expect(text("tbody tr")).toContain("Collecting …");
    expect(text("[role=status]")).toBe("aws-spot: asked to collect");
    said["GET /v1/sources"] = { sources: [source({ ended_at: "2026-07-10T12:00:00Z", progress: "3 offers" })] };
    await act(async () => vi.advanceTimersByTime(1_000));
    await settle();
    expect(text("tbody tr")).toContain("Collect now");
    expect(text("[role=status]")).toBe("aws-spot: well");
  });

  it("say why they are not collected", async () => {
    await show(<SourcesPanel />);
    await press(/^Collect now: aws-spot$/);
    expect(text("[role=alert]")).toContain("The collection was not begun: this call needs the role admin.");
    expect(text("tbody tr")).toContain("Collect now");
  });
});

describe("prices that are not believed", () => {
  it("tell why, and are released with a note after a question", async () => {
    said["POST /v1/quarantine/release"] = rule({ reason: "sudden_fall" });
    await show(<DoubtsPanel onOpen={() => undefined} />);
    expect(text("tbody")).toContain("sudden fall 9.60 $/h is less than a third of 32 $/h");
    await press(/^Release/);
    expect(asked.some((a) => a.startsWith("POST"))).toBe(false);
    await fill("Note", " seen on their page ");
    await press("Release the price");
    const body = { source: "aws-spot", offer: offer().id, reason: "sudden_fall", note: "seen on their page" };
    expect(asked).toContain(`POST /v1/quarantine/release ${JSON.stringify(body)}`);
    expect(box.querySelector(".ask")).toBeNull();
  });

  it("say why a decision was refused, and stay", async () => {
    await show(<DoubtsPanel onOpen={() => undefined} />);
    await press(/^Keep/);
    await press("Keep it there");
    expect(text(".ask")).toContain("It was not done: this call needs the role admin.");
  });

  it("cannot be released where an operator blocked them; their rule is ended", async () => {
    said["GET /v1/quarantine"] = { quarantined: [quarantined({ reason: "by_hand", kept_at: "2026-07-10T11:00:00Z" })] };
    said["DELETE /v1/prices/rules"] = null;
    await show(<DoubtsPanel onOpen={() => undefined} />);
    expect(text()).not.toContain("Release …");
    expect(text(".rules")).toContain("any price, until 10 Aug 2026");
    await press(/^End rule/);
    await press("End the rule");
    expect(asked.some((a) => a.startsWith("DELETE /v1/prices/rules?offer=gcp%2Fus-central1"))).toBe(true);
  });
});
