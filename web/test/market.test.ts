import { describe, expect, it } from "vitest";
import type { Source } from "../src/api/client";
import {
  ageOf, asOf, changeLevels, cheapestLevels, dayLevels, dayMs, everything, fine, hazardWords, heldAt, joined, market, partsOf, priceOf, rangeOf, reasonName, sourceName, sourceState, telling, today,
  valuesOf,
} from "../src/lib/market";
import { offer, rule, source } from "./samples";

const at = (id: string, accelerator: string, option: string, price: number, more = {}) =>
  offer({ id, accelerator, purchase_option: option, usd_per_device_hour: price, ...more });

describe("the market", () => {
  it("keeps the cheapest of each option, dearest accelerator first", () => {
    const rows = market([
      at("1", "T4", "spot", 0.1),
      at("2", "T4", "spot", 0.09),
      at("3", "T4", "on_demand", 0.35),
      at("4", "H100", "on_demand", 3.5),
      at("5", "B200", "spot", 2.6),
    ]);
    expect(rows.map((r) => [r.accelerator, r.spot?.id ?? null, r.onDemand?.id ?? null])).toEqual([
      ["H100", null, "4"],
      ["B200", "5", null],
      ["T4", "2", "3"],
    ]);
  });

  it("shows nothing that cannot be had, has no price, or is neither spot nor on demand", () => {
    const free = offer({ accelerator: "T4" });
    delete free.usd_per_device_hour;
    const cpu = at("3", "T4", "spot", 1);
    delete cpu.accelerator;
    expect(market([at("1", "T4", "spot", 1, { limit: 0 }), at("2", "T4", "spot", 0), cpu, at("4", "T4", "private", 1), free])).toEqual([]);
  });

  it("breaks ties by name, whatever the order", () => {
    const offers = [at("b", "T4", "spot", 1), at("a", "T4", "spot", 1), at("c", "T4", "spot", 1)];
    expect(market(offers)[0]?.spot?.id).toBe("a");
    expect(market([...offers].reverse())[0]?.spot?.id).toBe("a");
  });
});

describe("the age of a price", () => {
  const now = Date.parse("2026-07-10T12:00:00Z");
  it("is the date of a bundled list", () => {
    expect(ageOf(offer({ source: "bundled:x", observed_at: "2024-02-21T00:00:00Z" }), now)).toBe("list of 21 Feb 2024");
    expect(ageOf(offer({ source: "bundled", observed_at: "2024-02-21T00:00:00Z" }), now)).toBe("list of 21 Feb 2024");
  });
  it("is told in words for everything else", () => {
    expect(ageOf(offer({ source: "csv:aws.csv", observed_at: "2026-07-10T09:00:00Z" }), now)).toBe("seen 3 h ago");
    expect(ageOf(offer({ source: "bundledness", observed_at: "2026-07-10T09:00:00Z" }), now)).toBe("seen 3 h ago");
  });
  it("comes with the source", () => expect(sourceName("bundled:list-1")).toBe("bundled · list-1"));
});

describe("a feed", () => {
  const now = Date.parse("2026-07-10T12:00:00Z");
  const state = (over: Partial<Source>) => {
    const s = sourceState(source(over), now);
    return [s.word, s.tone, s.more];
  };
  it("is well, and tells what it brought", () => expect(state({ progress: "3 offers" })).toEqual(["well", "good", "brought 3 offers"]));
  it("tells how far it has come, before all else", () => {
    expect(state({ began_at: "2026-07-10T11:59:00Z", progress: "1 region", last_error: "timeout" })).toEqual(["collecting", "busy", "since 1 min ago, 1 region"]);
    expect(state({ began_at: "2026-07-10T11:59:58Z" })).toEqual(["collecting", "busy", "begun just now"]);
  });
  it("tells why it failed, and how often", () => {
    expect(state({ last_error: "no key (give one)", failures: 1 })).toEqual(["failed", "bad", "no key (give one)"]);
    expect(state({ last_error: "timeout", failures: 4 })).toEqual(["failed 4 times", "bad", "timeout"]);
  });
  it("can be in doubt", () => expect(state({ alarm: "half is gone" })).toEqual(["in doubt", "warn", "half is gone"]));
  it("need not be set up, nor be a feed at all", () => {
    const { ended_at: _, ...never } = source({ enabled: false, offers: 0 });
    expect(sourceState(never, now).word).toBe("not set up");
    const { says: __, ...list } = source({ name: "csv:aws.csv" });
    expect(sourceState(list, now).word).toBe("imported");
    expect(sourceState({ ...list, name: "private@host" }, now).word).toBe("own hosts");
    expect(telling([never, list, { ...never, last_error: "no key" }, { ...never, enabled: true }])).toHaveLength(3);
  });
});

describe("an offer's price", () => {
  const o = offer({ usd_per_gib_hour: 0.03, usd_per_hour: 9.6 });
  it("is for what is asked", () => {
    expect((["device", "gib", "tflop", "machine"] as const).map((per) => priceOf(o, per))).toEqual([1.2, 0.03, undefined, 9.6]);
    expect(fine(0.00152)).toBe("$0.00152");
    expect(fine(1.5)).toBe("$1.50");
  });
  it("decides which is cheapest", () => {
    const cheap = { ...o, id: "cheap", usd_per_device_hour: 1, usd_per_gib_hour: 0.05 };
    expect(market([o, cheap], "device")[0]?.spot?.id).toBe("cheap");
    expect(market([o, cheap], "gib")[0]?.spot?.id).toBe(o.id);
    expect(market([o, cheap], "tflop")).toEqual([]);
  });
});

it("asks for the end of a day", () => {
  expect(asOf(everything)).toBeUndefined();
  expect(asOf({ ...everything, day: "2026-07-09" })).toBe("2026-07-09T23:59:59Z");
  expect(today(Date.parse("2026-07-10T23:59:00Z"))).toBe("2026-07-10");
});

it("offers each value once, with the one that is chosen", () => {
  const offers = [offer({ accelerator: "V100" }), offer({ accelerator: "A10" }), offer({ accelerator: "A9" }), offer({ accelerator: "A10" })];
  const cpu = offer();
  delete cpu.accelerator;
  expect(valuesOf([...offers, cpu], (o) => o.accelerator, "")).toEqual(["A9", "A10", "V100"]);
  expect(valuesOf(offers, (o) => o.accelerator, "T4")).toEqual(["A9", "A10", "T4", "V100"]);
});

it("reads an offer's name", () => {
  expect(partsOf("aws/us-east-2/use2-az1/p5.48xlarge/spot")).toEqual({ place: "aws use2-az1", type: "p5.48xlarge", option: "spot" });
  expect(partsOf("vast/US/-/4x/RTX 4090/on_demand")).toEqual({ place: "vast US", type: "4x/RTX 4090", option: "on demand" });
  expect(partsOf("odd")).toEqual({ place: "", type: "odd", option: "" });
});

describe("a price over time", () => {
  const t = (iso: string) => Date.parse(iso);
  const from = t("2026-07-01T00:00:00Z");
  const to = t("2026-07-05T00:00:00Z");

  it("holds until the next, with a gap where there was none", () => {
    const levels = cheapestLevels([
      { from: "2026-07-01T00:00:00Z", offer: "a", usd_per_hour: 1 },
      { from: "2026-07-02T00:00:00Z", usd_per_hour: 0 },
      { from: "2026-07-03T00:00:00Z", offer: "b", usd_per_hour: 2 },
    ]);
    const second = from + dayMs;
    expect(joined(levels, to)).toEqual([[from, 1], [second, 1], [second, null], [second + dayMs, 2], [to, 2]]);
    expect([from - 1, from, second - 1, second, to].map((at) => heldAt(levels, at))).toEqual([-1, 0, 0, 1, 2]);
  });

  it("ends in nothing when nothing can be had, and draws nothing after its end", () => {
    expect(joined([[from, 1], [from + dayMs, null]], to)).toEqual([[from, 1], [from + dayMs, 1], [from + dayMs, null]]);
    expect(joined([[from, 1], [to + 1, 9]], to)).toEqual([[from, 1], [to, 1]]);
    expect(joined([], to)).toEqual([]);
  });

  it("begins with what was in force before", () => {
    const point = (iso: string, usd: number, gone = false) => ({ from: iso, usd_per_hour: usd, gone, source: "x", observed_at: iso });
    expect(changeLevels([point("2026-05-01T00:00:00Z", 3), point("2026-07-02T00:00:00Z", 0, true)], from)).toEqual([[from, 3], [from + dayMs, null]]);
  });

  it("is a day's mean, and its last from then on", () => {
    const row = (day: string, mean: number, last: number) => ({ day, low_usd_per_hour: mean, high_usd_per_hour: mean, mean_usd_per_hour: mean, last_usd_per_hour: last, hours: 24 });
    expect(dayLevels([row("2026-06-01", 1, 2), row("2026-07-02", 3, 4), row("2026-07-03", 5, 0)], from)).toEqual([
      [from, 2],
      [from + dayMs, 3],
      [from + 2 * dayMs, 5],
      [from + 3 * dayMs, null],
    ]);
    expect(dayLevels([], from)).toEqual([]);
  });
});

it("tells what a rule and a hazard mean", () => {
  expect(rangeOf(rule())).toBe("any price");
  expect(rangeOf(rule({ reason: "outlier", low_usd_per_hour: 1, high_usd_per_hour: 4 }))).toBe("$1.00 to $4.00");
  expect(reasonName("sudden_fall")).toBe("sudden fall");
  expect(reasonName("some_other")).toBe("some other");
  const h = { provider: "aws", region: "r", instance_type: "t", mean_per_hour: 0.025, low_per_hour: 0, high_per_hour: 0.1, events: 1, hours: 40, basis: "", computed_at: "", signals: [] };
  expect(hazardWords(h).replaceAll("\u00a0", " ")).toBe("about once in 40 h of running (with 80 % certainty between 10 h and never)");
});
