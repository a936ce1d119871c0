// Offers for the mock server, read from the project's own bundled price list.

import { readFileSync } from "node:fs";

const list = new URL("../../pricing/bundled/offers.csv", import.meta.url);

/**
 * @typedef {{ id: string, provider: string, region: string, zone?: string, instance_type: string, purchase_option: string, accelerator?: string,
 *   devices: number, device_memory_gib?: number, vcpus: number, memory_gib: number, usd_per_hour: number, usd_per_device_hour?: number,
 *   usd_per_gib_hour?: number, usd_per_tflop_hour?: number, limit: number, source: string, valid_from: string, observed_at: string, stale: boolean }} Offer
 */

/** GiB and TFLOP/s of some devices; the mock's other ones have no such prices. @type {Record<string, [gib: number, tflops: number]>} */
const figures = { H100: [80, 989], H200: [141, 989], "A100-80GB": [80, 312], "A100-40GB": [40, 312], L4: [24, 121], T4: [16, 0], A10G: [24, 70], L40S: [48, 362] };

/** @param {string} accelerator @param {number} perDevice */
function others(accelerator, perDevice) {
  const [gib, tflops] = figures[accelerator] ?? [0, 0];
  return { ...(gib > 0 ? { device_memory_gib: gib, usd_per_gib_hour: perDevice / gib } : {}), ...(tflops > 0 ? { usd_per_tflop_hour: perDevice / tflops } : {}) };
}

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
    ...(n > 0 ? { usd_per_device_hour: Number(price) / n, ...others(accelerator, Number(price) / n) } : {}),
    limit: -1,
    source: `bundled:${source}`,
    valid_from: `${date}T00:00:00Z`,
    observed_at: `${date}T00:00:00Z`,
    stale: provider === "lambda",
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
