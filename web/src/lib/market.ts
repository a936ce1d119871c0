// The cheapest prices that are known, by accelerator.

import type { Offer, Source } from "../api/client";
import { ago, date } from "./format";

/** Families that are asked for one by one when the list of offers is long. */
export const families = [
  "B200", "H200", "H100", "A100-80GB", "A100-40GB", "L40S", "L4", "A10G", "T4", "V100", "MI300X",
  "TPU-V6E", "TPU-V5P", "TPU-V5E", "TRAINIUM2", "TRAINIUM", "INFERENTIA2", "GAUDI2", "VU47P", "U250",
];

export interface Row {
  accelerator: string;
  spot: Offer | null;
  onDemand: Offer | null;
}

/** The on-demand price, or the spot price of what is sold as spot alone. */
function full(row: Row): number {
  return row.onDemand?.usd_per_device_hour ?? row.spot?.usd_per_device_hour ?? 0;
}

/** The cheapest offer per device of each accelerator, spot beside on demand, dearest first. */
export function market(offers: Offer[]): Row[] {
  const rows = new Map<string, Row>();
  for (const o of offers) {
    const price = o.usd_per_device_hour;
    if (!o.accelerator || price === undefined || price <= 0 || o.limit === 0) continue;
    if (o.purchase_option !== "spot" && o.purchase_option !== "on_demand") continue;
    let row = rows.get(o.accelerator);
    if (row === undefined) {
      row = { accelerator: o.accelerator, spot: null, onDemand: null };
      rows.set(o.accelerator, row);
    }
    const at = o.purchase_option === "spot" ? "spot" : "onDemand";
    const best = row[at]?.usd_per_device_hour ?? Infinity;
    if (price < best || (price === best && o.id < (row[at]?.id ?? ""))) row[at] = o;
  }
  return [...rows.values()].sort((a, b) => full(b) - full(a) || a.accelerator.localeCompare(b.accelerator));
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

/** The state of a feed in a few words. The bundled list is read with the program: its date says all. */
export function sourceState(s: Source, now: number): string {
  if (s.last_error) return `failed: ${s.last_error}`;
  return bundledName.test(s.name) ? "part of the program" : `read ${ago(s.last_at, now)}`;
}

/** The feeds that have something to tell. */
export function telling(sources: Source[]): Source[] {
  return sources.filter((s) => s.offers > 0 || s.quarantined > 0 || s.last_error);
}
