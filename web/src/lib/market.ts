// The market: what is asked of it, the cheapest prices by accelerator, and how old
// and how sure they are.

import type { CheapestStep, Hazard, Offer, PriceDay, PricePoint, PriceRule, Source } from "../api/client";
import { ago, date, money, optionName, quantity, timeOf } from "./format";

/** Families that are asked for one by one when the list of offers is long. */
export const families = [
  "B200", "H200", "H100", "A100-80GB", "A100-40GB", "L40S", "L4", "A10G", "T4", "V100", "MI300X",
  "TPU-V6E", "TPU-V5P", "TPU-V5E", "TRAINIUM2", "TRAINIUM", "INFERENTIA2", "GAUDI2", "VU47P", "U250",
];

/** What a price is for. */
export type Per = "device" | "gib" | "tflop" | "machine";

/** What is asked of the market. Empty strings ask for everything. */
export interface Asked {
  accelerator: string;
  option: string;
  per: Per;
  provider: string;
  region: string;
  memory: string; // least GiB of one device
  day: string; // 2026-11-20: the prices at that day's end (UTC); empty: now
}

export const everything: Asked = { accelerator: "", option: "", per: "device", provider: "", region: "", memory: "", day: "" };

/** The price of an offer for what is asked; undefined where it has none. */
export function priceOf(o: Offer, per: Per): number | undefined {
  switch (per) {
    case "device":
      return o.usd_per_device_hour;
    case "gib":
      return o.usd_per_gib_hour;
    case "tflop":
      return o.usd_per_tflop_hour;
    case "machine":
      return o.usd_per_hour;
  }
}

export const perWords: Record<Per, { short: string; long: string }> = {
  device: { short: "per device", long: "per device-hour" },
  gib: { short: "per GiB", long: "per hour and GiB of device memory" },
  tflop: { short: "per TFLOP/s", long: "per hour and TFLOP/s of dense bf16" },
  machine: { short: "per machine", long: "per machine-hour" },
};

/** Money that may be small: what a GiB costs differs in the fifth decimal. */
export function fine(usd: number): string {
  return usd > 0 && usd < 0.01 ? `$${usd.toFixed(5)}` : money(usd);
}

/** The last moment of the day that is asked for, as the API takes it; undefined for now. */
export function asOf(asked: Asked): string | undefined {
  return asked.day === "" ? undefined : `${asked.day}T23:59:59Z`;
}

/** Today's date in UTC, as a date field takes it. */
export function today(now: number): string {
  return new Date(now).toISOString().slice(0, 10);
}

export interface Row {
  accelerator: string;
  spot: Offer | null;
  onDemand: Offer | null;
}

/** The cheapest offer of each accelerator, spot beside on demand, dearest first. */
export function market(offers: Offer[], per: Per = "device"): Row[] {
  const rows = new Map<string, Row>();
  for (const o of offers) {
    const price = priceOf(o, per);
    if (!o.accelerator || price === undefined || price <= 0 || o.limit === 0) continue;
    if (o.purchase_option !== "spot" && o.purchase_option !== "on_demand") continue;
    let row = rows.get(o.accelerator);
    if (row === undefined) {
      row = { accelerator: o.accelerator, spot: null, onDemand: null };
      rows.set(o.accelerator, row);
    }
    const at = o.purchase_option === "spot" ? "spot" : "onDemand";
    const best = (row[at] && priceOf(row[at], per)) ?? Infinity;
    if (price < best || (price === best && o.id < (row[at]?.id ?? ""))) row[at] = o;
  }
  // The on-demand price, or the spot price of what is sold as spot alone.
  const full = (r: Row) => (r.onDemand && priceOf(r.onDemand, per)) ?? (r.spot && priceOf(r.spot, per)) ?? 0;
  return [...rows.values()].sort((a, b) => full(b) - full(a) || a.accelerator.localeCompare(b.accelerator));
}

/** The different values of a field, in order, with the one that is chosen. */
export function valuesOf(offers: Offer[], pick: (o: Offer) => string | undefined, chosen: string): string[] {
  const values = new Set(offers.map((o) => pick(o) ?? ""));
  values.add(chosen);
  values.delete("");
  return [...values].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
}

const bundledName = /^bundled(:|$)/;

/** How old a price is, in words. A bundled list does not age by the hour: it has a date. */
export function ageOf(o: Offer, now: number): string {
  return bundledName.test(o.source) ? `list of ${date(o.observed_at)}` : `seen ${ago(o.observed_at, now)}`;
}

/** A source's name for people: bundled:skypilot-catalog-2024-02-21 is bundled · skypilot-catalog-2024-02-21. */
export function sourceName(source: string): string {
  return source.replace(/^bundled:/, "bundled · ");
}

/** Where an offer is, in words. */
export function placeOf(o: { provider: string; region: string; zone?: string }): string {
  return `${o.provider} ${o.zone || o.region}`;
}

/** The parts of an offer's name; a type's name may hold slashes itself. */
export function partsOf(id: string): { place: string; type: string; option: string } {
  const parts = id.split("/");
  if (parts.length < 5) return { place: "", type: id, option: "" };
  const [provider = "", region = "", zone = ""] = parts;
  return { place: placeOf({ provider, region, zone: zone === "-" ? "" : zone }), type: parts.slice(3, -1).join("/"), option: optionName(parts.at(-1) ?? "") };
}

export type Tone = "good" | "busy" | "warn" | "bad" | "quiet";

/** The state of a feed in a word, and what there is to say of it. */
export function sourceState(s: Source, now: number): { word: string; tone: Tone; more: string } {
  if (s.began_at) {
    return { word: "collecting", tone: "busy", more: [`since ${ago(s.began_at, now)}`.replace(/since just now/, "begun just now"), s.progress].filter(Boolean).join(", ") };
  }
  if (s.last_error) {
    return { word: s.failures > 1 ? `failed ${quantity(s.failures)} times` : "failed", tone: "bad", more: s.last_error };
  }
  if (s.alarm) return { word: "in doubt", tone: "warn", more: s.alarm };
  if (!s.says) return { word: s.name.startsWith("private@") ? "own hosts" : "imported", tone: "quiet", more: "" };
  if (!s.enabled && Number.isNaN(timeOf(s.ended_at))) return { word: "not set up", tone: "quiet", more: "" };
  return { word: "well", tone: "good", more: s.progress ? `brought ${s.progress}` : "" };
}

/** Feeds that are set up or have something to tell. */
export function telling(sources: Source[]): Source[] {
  return sources.filter((s) => s.enabled || s.offers > 0 || s.quarantined > 0 || s.last_error || s.began_at || s.alarm || s.ended_at);
}

const reasons = new Map<string, string>([
  ["no_price", "no price"],
  ["spot_above_on_demand", "spot above on demand"],
  ["outlier", "far above its like"],
  ["unknown_accelerator", "unknown accelerator"],
  ["impossible_shape", "impossible machine"],
  ["conflicting", "two prices at once"],
  ["sudden_fall", "sudden fall"],
  ["by_hand", "blocked by hand"],
  ["incomplete", "incomplete"],
]);

export function reasonName(reason: string): string {
  return reasons.get(reason) ?? reason.replaceAll("_", " ");
}

export const byHand = "by_hand";

/** The prices that a rule is about, in words. A block is about every price. */
export function rangeOf(r: PriceRule): string {
  return r.reason === byHand ? "any price" : `${money(r.low_usd_per_hour)} to ${money(r.high_usd_per_hour)}`;
}

/** How often a machine is taken back, in words: about once in 40 h (13 h to 200 h). */
export function hazardWords(h: Hazard): string {
  const hours = (perHour: number) => (perHour > 0 ? `${quantity(Number((1 / perHour).toPrecision(2)))} h` : "never");
  return `about once in ${hours(h.mean_per_hour)} of running (with 80\u00a0% certainty between ${hours(h.high_per_hour)} and ${hours(h.low_per_hour)})`;
}

/** A moment and what held from then on; null: nothing could be had. */
export type Level = [at: number, usd: number | null];

export function cheapestLevels(steps: CheapestStep[]): Level[] {
  return steps.map((s) => [timeOf(s.from), s.offer ? s.usd_per_hour : null]);
}

/** Changes since a time; what held before it holds at it. */
export function changeLevels(points: PricePoint[], from: number): Level[] {
  return points.map((p) => [Math.max(timeOf(p.from), from), p.gone ? null : p.usd_per_hour]);
}

export const dayMs = 86_400_000;

/** Over a day in which it changed the mean of a price, after it the day's last. */
export function dayLevels(days: PriceDay[], from: number): Level[] {
  const out: Level[] = [];
  const price = (usd: number) => (usd > 0 ? usd : null);
  for (const d of days) {
    const at = timeOf(d.day);
    if (out.at(-1)?.[0] === at) out.pop(); // the day says more than what the one before ended with
    out.push([at, price(d.mean_usd_per_hour)], [at + dayMs, price(d.last_usd_per_hour)]);
  }
  const before = out.findLastIndex(([at]) => at <= from);
  return out.slice(Math.max(before, 0)).map(([at, usd]) => [Math.max(at, from), usd]);
}

/** Points that a chart joins by steps: a level ends where the next begins, and where nothing could be had the line has a gap. */
export function joined(levels: Level[], end: number): Level[] {
  const out: Level[] = [];
  let last: number | null = null;
  for (const [at, usd] of levels) {
    if (at > end) break;
    if (usd === null && last !== null) out.push([at, last]);
    out.push([at, usd]);
    last = usd;
  }
  if (last !== null) out.push([end, last]);
  return out;
}

/** Which level holds at a time; -1: none yet. */
export function heldAt(levels: Level[], at: number): number {
  return levels.findLastIndex(([from]) => from <= at);
}
