import { describe, expect, it } from "vitest";
import { ageOf, market, sourceName, sourceState, telling } from "../src/lib/market";
import { offer } from "./samples";

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

it("tells how a feed fares", () => {
  const now = Date.parse("2026-07-10T12:00:00Z");
  const feed = { name: "x", last_at: "2026-07-10T11:00:00Z", offers: 3, quarantined: 0 };
  expect(sourceState(feed, now)).toBe("read 1 h ago");
  expect(sourceState({ ...feed, name: "bundled" }, now)).toBe("part of the program");
  expect(sourceState({ ...feed, last_error: "timeout" }, now)).toBe("failed: timeout");
  const quiet = { ...feed, offers: 0 };
  expect(telling([feed, quiet, { ...quiet, last_error: "timeout" }, { ...quiet, quarantined: 1 }])).toHaveLength(3);
});
