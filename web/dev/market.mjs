// The mock server's market: prices that go up and down, feeds that are well and ill,
// and prices that nobody believes. All of it is made up but the offers.

import { offers } from "./offers.mjs";

/** @typedef {import("./offers.mjs").Offer} Offer */

const hour = 3_600_000;
const day = 24 * hour;
const iso = (/** @type {number} */ t) => new Date(t).toISOString();

/** A number from 0 to 1 that is the same for the same words. @param {string} words */
function chance(words) {
  let h = 2166136261;
  for (const c of words) h = Math.imul(h ^ c.charCodeAt(0), 16777619);
  h = Math.imul(h ^ (h >>> 15), 2246822507);
  return ((h ^ (h >>> 13)) >>> 0) / 2 ** 32;
}

const per = { device: "usd_per_device_hour", gib: "usd_per_gib_hour", tflop: "usd_per_tflop_hour", machine: "usd_per_hour" };

/** @param {Offer} o @param {string} unit @returns {number} */
function amount(o, unit) {
  return o[/** @type {"usd_per_hour"} */ (per[/** @type {"device"} */ (unit)] ?? per.device)] ?? Infinity;
}

/** @param {URLSearchParams} q @returns {Offer[]} */
function chosen(q) {
  const is = (/** @type {string} */ name, /** @type {string | undefined} */ value) => !q.get(name) || q.get(name) === value;
  const unit = q.get("per") ?? "device";
  return offers
    .filter((o) => is("accelerator", o.accelerator) && is("option", o.purchase_option) && is("provider", o.provider) && is("region", o.region) && is("id", o.id))
    .filter((o) => (o.device_memory_gib ?? 0) >= Number(q.get("min_memory_gib") ?? 0) && (q.get("accelerated") !== "true" || o.devices > 0))
    .sort((a, b) => amount(a, unit) - amount(b, unit) || a.id.localeCompare(b.id));
}

/** What a price is multiplied with in a slot of time; 0: it could not be had. @param {string} id @param {number} slot */
function factor(id, slot) {
  const f = chance(`${id} ${slot}`);
  return f < 0.06 ? 0 : 0.92 + 0.3 * chance(`${id} ${Math.floor(slot / 5)}`) + 0.04 * f;
}

/** @param {string} id @param {number} from @param {number} to */
function points(id, from, to) {
  const usd = offers.find((o) => o.id === id)?.usd_per_hour ?? 1;
  const out = [];
  for (let slot = Math.floor(from / (31 * hour)); slot * 31 * hour < to; slot++) {
    const f = factor(id, slot);
    out.push({ from: iso(slot * 31 * hour), usd_per_hour: usd * f, ...(f === 0 ? { gone: true } : {}), source: "mock-spot", observed_at: iso(slot * 31 * hour + 400_000) });
  }
  return out;
}

/** @param {string} id @param {number} from @param {number} to */
function days(id, from, to) {
  const usd = offers.find((o) => o.id === id)?.usd_per_hour ?? 1;
  const out = [];
  for (let n = Math.floor(from / day); n * day < to; n++) {
    if (chance(`${id} moves ${n}`) < 0.4) continue;
    const mean = usd * factor(id, n);
    const wide = mean && 0.12 * usd * chance(`${id} band ${n}`);
    out.push({ day: iso(n * day).slice(0, 10), low_usd_per_hour: mean - wide, high_usd_per_hour: mean + wide, mean_usd_per_hour: mean, last_usd_per_hour: mean && mean + wide / 2, hours: mean ? 24 : 0 });
  }
  return out;
}

/** @param {URLSearchParams} q */
function cheapest(q) {
  const list = chosen(q).slice(0, 3);
  const [from, to] = [Date.parse(q.get("from") ?? ""), Date.parse(q.get("to") ?? "")];
  const unit = q.get("per") ?? "device";
  const step = 29 * hour;
  const steps = [];
  for (let slot = Math.floor(from / step); slot * step < to; slot++) {
    const had = list.map((o) => ({ o, usd: amount(o, unit) * factor(o.id, slot) })).filter((x) => x.usd > 0 && slot % 11 !== 4).sort((a, b) => a.usd - b.usd);
    const best = had[0];
    steps.push({ from: iso(Math.max(from, slot * step)), ...(best ? { offer: best.o.id, usd_per_hour: best.usd } : { usd_per_hour: 0 }) });
  }
  return { per: unit, steps };
}

function feeds() {
  const now = Date.now();
  const base = { says: "", enabled: true, failures: 0, regions: 0, offers: 0, quarantined: 0, last_at: "0001-01-01T00:00:00Z" };
  return [
    { ...base, name: "bundled", says: "the list that comes along", last_at: iso(now - 40 * day), ended_at: iso(now - 14 * 60_000), next_at: iso(now + 9 * hour), schedule: "0 7 3 * * *", progress: "225 offers", offers: offers.length },
    { ...base, name: "aws-spot", says: "AWS spot by zone, 90 days back, interruption bands, placement scores", last_at: iso(now - 30_000), began_at: iso(now - 41_000), next_at: iso(now + 9 * 60_000), schedule: "0 */10 * * * *", progress: "4 regions, 6130 offers, 212 new or changed, 3 not believed", regions: 21, offers: 41_873, quarantined: 3 },
    { ...base, name: "gcp", says: "Google Cloud on demand, spot, flex-start, calendar; TPU slices", last_at: iso(now - 2 * day), ended_at: iso(now - 3 * hour), next_at: iso(now + 11 * hour), failures: 3, error_kind: "forbidden", last_error: "the key may not list prices (give the account the role Cloud Billing Viewer, or enable cloudbilling.googleapis.com): 403 PERMISSION_DENIED", offers: 3120, regions: 38 },
    { ...base, name: "azure", says: "Azure on demand and spot", last_at: iso(now - 2 * hour), ended_at: iso(now - 2 * hour), next_at: iso(now + 4 * hour), progress: "58 regions, 12411 offers", alarm: "westeurope: 71 of 212 offers are missing at once, which is not believed", offers: 12_411, regions: 58 },
    { ...base, name: "lambda", says: "Lambda on demand, where there is capacity", enabled: false },
    { ...base, name: "vast", says: "Vast.ai marketplace", enabled: false },
    { ...base, name: "csv:aws.csv.gz", enabled: false, last_at: iso(now - 3 * hour), offers: 18_204, quarantined: 37 },
  ];
}

function doubts() {
  const now = Date.now();
  const row = (/** @type {number} */ i, /** @type {string} */ reason, /** @type {string} */ detail, /** @type {number} */ factor) => {
    const offer = offers.filter((o) => o.accelerator === "H100" || o.accelerator === "L4")[i] ?? /** @type {Offer} */ (offers[0]);
    return { offer: { ...offer, usd_per_hour: offer.usd_per_hour * factor }, source: "aws-spot", reason, detail, place: "page 3", first_seen_at: iso(now - 3 * day), last_seen_at: iso(now - 5 * 60_000) };
  };
  return [
    row(1, "sudden_fall", "0.41 $/h is less than a third of the 3.90 $/h of 2 days ago", 0.1),
    row(4, "outlier", "31.20 $/h is 6.1 times the median of its type over regions", 6),
    row(7, "spot_above_on_demand", "spot at 5.12 $/h, on demand at 4.10 $/h", 1.4),
  ];
}

export class Market {
  /** @param {string} scenario @param {(name: string) => void} tell */
  constructor(scenario, tell) {
    this.empty = scenario === "empty";
    this.tell = tell;
    this.feeds = feeds();
    this.doubts = /** @type {(ReturnType<typeof doubts>[number] & { kept_at?: string })[]} */ (this.empty ? [] : doubts());
    /** @type {{ offer: string, reason: string, low_usd_per_hour: number, high_usd_per_hour: number, until: string, actor: string, note?: string, made_at: string }[]} */
    this.rules = [];
  }

  /** @param {string} offer */
  #blocked(offer) {
    return this.rules.some((r) => r.offer === offer && r.reason === "by_hand");
  }

  /** @param {string} offer @param {string} reason @param {string | undefined} note */
  #rule(offer, reason, note) {
    const usd = offers.find((o) => o.id === offer)?.usd_per_hour ?? 1;
    const rule = { offer, reason, low_usd_per_hour: usd / 2, high_usd_per_hour: usd * 2, until: iso(Date.now() + 30 * day), actor: "mock", ...(note ? { note } : {}), made_at: iso(Date.now()) };
    this.rules.push(rule);
    this.tell(offer);
    return rule;
  }

  /**
   * The body of an answer, null for one without; undefined: it is not of the market.
   * @param {string} call @param {URLSearchParams} q @param {{ offer?: string, reason?: string, note?: string }} given @returns {unknown}
   */
  answer(call, q, given) {
    const id = q.get("offer") ?? given.offer ?? "";
    const [from, to] = [Date.parse(q.get("from") ?? ""), Date.parse(q.get("to") ?? "")];
    switch (call) {
      case "GET /v1/prices":
        return { ...(q.get("as_of") ? { as_of: q.get("as_of") } : {}), offers: this.empty ? [] : chosen(q).filter((o) => !this.#blocked(o.id)).slice(0, Number(q.get("limit") ?? 100)) };
      case "GET /v1/prices/cheapest":
        return cheapest(q);
      case "GET /v1/prices/history":
        return q.get("by") === "day" ? { offer: id, points: [], days: days(id, from, to) } : { offer: id, points: points(id, from, to), days: [] };
      case "GET /v1/hazards":
        return {
          hazards: [{
            provider: q.get("provider"), region: q.get("region"), instance_type: q.get("instance_type"), mean_per_hour: 0.021, low_per_hour: 0.008, high_per_hour: 0.05, events: 3.2, hours: 140, basis: "3 of ours in 140 h, and the cloud's band",
            computed_at: iso(Date.now() - hour), signals: [{ detail: "5-10 % a month", source: "aws-spot", kind: "interruption", low: 0.01, high: 0.02, provider: "", region: "", instance_type: "", purchase_option: "spot", observed_at: iso(Date.now() - hour) }],
          }],
        };
      case "GET /v1/plans/worth":
        return {
          objective_usd: 310.4, left: 0,
          steps: [
            { name: "aws/us-east-1/spot/P", unit: "vcpus", more: 192, saves_usd_per_day: 212.4, places: 0, sure: true, sentence: "192 vcpus more of aws/us-east-1/spot/P would save $212.40 a day" },
            { name: "local/berlin/rack/rack1/private", unit: "machines", more: 1, saves_usd_per_day: 0, places: 0, sure: false, sentence: "one more machine of local/berlin/rack/rack1/private would save nothing" },
          ],
        };
      case "GET /v1/providers":
        return providers();
      case "GET /v1/sources":
        return { sources: this.feeds };
      case "GET /v1/quarantine":
        return { quarantined: this.doubts.filter((d) => q.get("kept") === "true" || !d.kept_at) };
      case "GET /v1/prices/rules":
        return { rules: this.rules };
      case "DELETE /v1/prices/rules":
        this.rules = this.rules.filter((r) => r.offer !== id);
        this.tell(id);
        return null;
      case "POST /v1/prices/block":
        this.doubts.push(...doubts().slice(0, 1).map((d) => ({ ...d, offer: offers.find((o) => o.id === id) ?? d.offer, reason: "by_hand", detail: "an operator does not believe it", kept_at: iso(Date.now()) })));
        return this.#rule(id, "by_hand", given.note);
      case "POST /v1/quarantine/release":
        this.doubts = this.doubts.filter((d) => d.offer.id !== id);
        return this.#rule(id, given.reason ?? "", given.note);
      case "POST /v1/quarantine/keep":
        for (const d of this.doubts) if (d.offer.id === id) d.kept_at = iso(Date.now());
        return null;
      default:
        return this.#collect(call);
    }
  }

  /** A feed is collected two seconds after that was asked for. @param {string} call */
  #collect(call) {
    const name = /^POST \/v1\/sources\/(.+)\/collect$/.exec(call)?.[1];
    const feed = /** @type {{ name: string, ended_at?: string } | undefined} */ (this.feeds.find((f) => f.name === decodeURIComponent(name ?? "")));
    if (!feed) return undefined;
    setTimeout(() => {
      feed.ended_at = iso(Date.now());
      this.tell(feed.name);
    }, 2000).unref();
    return feed;
  }
}

/** Providers in every state that the page knows. */
function providers() {
  const now = Date.now();
  const row = { dry_run: false, regions: [], can: ["quotas"], machines: 0, listed_at: iso(now - 4000), quotas: [], reserved: [], usd_per_hour: 0 };
  return {
    rehearsal: false, spend_limit: { usd_per_hour: 40, usd_per_month: 9000 },
    providers: [
      { ...row, name: "aws", regions: ["us-east-1", "eu-north-1"], machines: 3, usd_per_hour: 13.2, limits_at: iso(now - hour / 6),
        quotas: [{ name: "aws/us-east-1/spot/P", unit: "vcpus", limit: 384, used: 192 }, { name: "aws/eu-north-1/spot/P", unit: "vcpus", limit: 192, used: 0 }, { name: "aws/us-east-1/on_demand/G", unit: "vcpus", limit: 64, used: 64 }, { name: "aws/us-east-1/on_demand/F", unit: "vcpus", limit: 0 }],
        reserved: [{ id: "cr-0a1b2c", offer: "aws/us-east-1/use1-az2/p5.48xlarge/capacity_block", total: 2, free: 1, until: iso(now + 40 * hour) }] },
      { ...row, name: "gcp", regions: ["us-central1"], failure: { kind: "forbidden", message: "compute.instances.list is refused in project demo", hint: "grant the role of docs/permissions/gcp-role.json", at: iso(now) } },
      { ...row, name: "kubernetes", machines: 2, notices: { kind: "unavailable", message: "the watch of the cluster ended", at: iso(now) } },
      { ...row, name: "local" },
    ],
  };
}
