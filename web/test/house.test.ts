// What the sources of the page keep to.

import { describe, expect, it } from "vitest";

const sources: Record<string, string> = {
  ...import.meta.glob<string>(["../src/**/*.{ts,tsx}", "!../src/api/schema.d.ts"], { query: "?raw", import: "default", eager: true }),
  ...import.meta.glob<string>("../test/*.{ts,tsx}", { query: "?raw", import: "default", eager: true }),
};

const most = 300;
const forbidden: [what: string, pattern: RegExp][] = [
  ["any", /(?::|\bas|<|\|)\s*any\b(?!\w)/],
  ["a check switched off", /@ts-(ignore|expect-error|nocheck)|eslint-disable/],
  ["markup from text, which the security policy cannot guard", /dangerouslySetInnerHTML|\.innerHTML\s*=|document\.write|insertAdjacentHTML/],
  ["code from text, which the security policy refuses", /\beval\(|new Function\(/],
];

describe.each(Object.entries(sources))("%s", (name, text) => {
  it(`has at most ${most} lines`, () => expect(text.split("\n").length - 1).toBeLessThanOrEqual(most));

  it.skipIf(name.endsWith("house.test.ts"))("holds nothing forbidden", () => {
    const found = forbidden.filter(([, pattern]) => pattern.test(text)).map(([what]) => what);
    expect(found).toEqual([]);
  });
});

it("looks at the sources at all", () => expect(Object.keys(sources).length).toBeGreaterThan(25));

it("knows what is forbidden when it sees it", () => {
  const samples = ["let x: any = 1", "// @ts-ignore", "e.innerHTML = t", "eval(t)"];
  samples.forEach((sample, i) => expect(forbidden[i]?.[1].test(sample), sample).toBe(true));
});
