// Offers for the mock server, read from the project's own bundled price list.

import { readFileSync } from "node:fs";

const list = new URL("../../pricing/bundled/offers.csv", import.meta.url);

/**
 * @typedef {{ id: string, provider: string, region: string, zone?: string, instance_type: string, purchase_option: string, accelerator?: string,
 *   devices: number, vcpus: number, memory_gib: number, usd_per_hour: number, usd_per_device_hour?: number, limit: number, source: string,
 *   observed_at: string }} Offer
 */

/** @param {string} line @returns {Offer} */
function offer(line) {
  const [provider = "", region = "", zone = "", type = "", option = "", accelerator = "", devices, vcpus, memory, price, source = "", date = ""] = line.split(",");
  const n = Number(devices) || 0;
  return {
    id: [provider, region, zone || "-", type, option].join("/"),
    provider,
    region,
    ...(zone ? { zone } : {}),
    instance_type: type,
    purchase_option: option,
    ...(accelerator ? { accelerator } : {}),
    devices: n,
    vcpus: Number(vcpus),
    memory_gib: Number(memory),
    usd_per_hour: Number(price),
    ...(n > 0 ? { usd_per_device_hour: Number(price) / n } : {}),
    limit: -1,
    source: `bundled:${source}`,
    observed_at: `${date}T00:00:00Z`,
  };
}

export const offers = readFileSync(list, "utf8")
  .trim()
  .split("\n")
  .slice(1)
  .map(offer)
  .sort((a, b) => (a.usd_per_device_hour ?? Infinity) - (b.usd_per_device_hour ?? Infinity) || a.id.localeCompare(b.id));

/** The cheapest offer of an accelerator and a number of devices. @param {string} accelerator @param {number} devices @param {string} [option] */
export function offerWith(accelerator, devices, option) {
  const found = offers.find((o) => (o.accelerator ?? "") === accelerator && (devices === 0 || o.devices === devices) && (!option || o.purchase_option === option));
  if (!found) throw new Error(`the bundled list has no ${accelerator}:${devices}`);
  return found;
}
