import { describe, expect, it } from "vitest";
import { ago, count, date, dayMonth, fit, gapPercent, money, optionName, percent, quantity, span, timeOf } from "../src/lib/format";

describe("money", () => {
  it.each([
    [0, "$0.00"],
    [3.06, "$3.06"],
    [1234567.891, "$1,234,567.89"],
    [0.0042, "$0.0042"],
    [0.0999, "$0.0999"],
    [0.1, "$0.10"],
    [-2.5, "−$2.50"],
  ])("shows %d as %s", (usd, text) => expect(money(usd)).toBe(text));
});

describe("the proven gap", () => {
  it.each([
    [0, "0.00\u00a0%"],
    [0.0005, "0.05\u00a0%"],
    [0.000501, "0.06\u00a0%"],
    [0.00000001, "0.01\u00a0%"],
    [0.12, "12.00\u00a0%"],
  ])("is never rounded down: %d is within %s", (gap, text) => expect(gapPercent(gap)).toBe(text));
});

describe("percent", () => {
  it.each([
    [0, "0\u00a0%"],
    [0.031, "3.1\u00a0%"],
    [0.5249, "52\u00a0%"],
    [1, "100\u00a0%"],
  ])("shows %d as %s", (share, text) => expect(percent(share)).toBe(text));
});

describe("times", () => {
  const now = Date.parse("2026-07-10T12:00:00Z");
  it.each([
    ["2026-07-10T11:59:58Z", "just now"],
    ["2026-07-10T11:59:30Z", "30 s ago"],
    ["2026-07-10T11:01:00Z", "59 min ago"],
    ["2026-07-10T09:00:00Z", "3 h ago"],
    ["2026-07-09T12:00:00Z", "1 day ago"],
    ["2026-07-07T12:00:00Z", "3 days ago"],
    ["2024-02-21T00:00:00Z", "2 years ago"],
    ["2026-07-10T13:00:00Z", "in 1 h"],
    ["0001-01-01T00:00:00Z", "never"],
    [undefined, "never"],
    ["nonsense", "never"],
  ])("%s is %s", (iso, text) => expect(ago(iso, now)).toBe(text));

  it("knows Go's zero time as none", () => {
    expect(timeOf("0001-01-01T00:00:00Z")).toBeNaN();
    expect(date("0001-01-01T00:00:00Z")).toBe("–");
  });

  it("dates prices and months in UTC", () => {
    expect(date("2024-02-21T23:59:59Z")).toBe("21 Feb 2024");
    expect(dayMonth("2026-07-01T00:00:00Z")).toBe("1 July");
  });

  it("has a word for less than a second", () => expect(span(10)).toBe("moments"));
});

describe("fit", () => {
  const tenPx = (text: string) => text.length * 10;
  it.each([
    ["chat", 40, "chat"],
    ["finetune", 80, "finetune"],
    ["finetune", 79, "finetu…"],
    ["finetune", 40, "fin…"],
    ["finetune", 39, ""],
    ["", 0, ""],
  ])("cuts %s at %d px to %s", (text, width, out) => {
    expect(fit(text, width, tenPx)).toBe(out);
    expect(tenPx(fit(text, width, tenPx))).toBeLessThanOrEqual(width);
  });
});

it("counts and names", () => {
  expect(count(1, "machine")).toBe("1 machine");
  expect(count(1200, "machine")).toBe("1,200 machines");
  expect(quantity(0.125)).toBe("0.125");
  expect(optionName("on_demand")).toBe("on demand");
  expect(optionName("dws_calendar")).toBe("dws calendar");
});
