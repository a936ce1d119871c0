import { describe, expect, it } from "vitest";
import { chosen, isService, replicasOf, replicaWords, spendLines } from "../src/lib/jobs";
import { job } from "./samples";

const tasks = { queued: 2, placed: 1, running: 3, succeeded: 4, failed: 1, lost: 0, cancelled: 0 };

it("counts replicas", () => {
  expect(replicasOf(job({ tasks }))).toEqual({ running: 3, total: 11 });
  expect(replicaWords(job({ tasks }))).toBe("3 running, 1 placed, 2 queued, 4 succeeded, 1 failed");
  expect(replicaWords(job({ tasks: { queued: 0, placed: 0, running: 0, succeeded: 0, failed: 0, lost: 0, cancelled: 0 } }))).toBe("no replicas yet");
});

it("knows a service by all of its groups", () => {
  const group = (kind: string) => ({ name: kind, kind, replicas: 1, variants: [] });
  expect(isService(job({ groups: [group("inference")] }))).toBe(true);
  expect(isService(job({ groups: [group("inference"), group("training")] }))).toBe(false);
  expect(isService(job({ groups: null }))).toBe(false);
});

describe("the filter", () => {
  const jobs = [job({ id: "1", name: "chat", state: "running" }), job({ id: "2", name: "old", project: "Search", state: "failed" }), job({ id: "3", state: "queued" })];
  it.each([
    ["all", "", "1 2 3"],
    ["live", "", "1 3"],
    ["ended", "", "2"],
    ["all", "  CHAT ", "1"],
    ["all", "search/o", "2"],
    ["live", "old", ""],
  ] as const)("%s with %j gives %j", (filter, search, ids) => {
    expect(chosen(jobs, filter, search).map((j) => j.id).join(" ")).toBe(ids);
  });
});

it("orders spend dearest first, and names idle room", () => {
  const row = (j: string, billed: number, list: number) => ({ project: j === "" ? "" : "p", job: j, billed_cost_usd: billed, list_cost_usd: list });
  expect(spendLines([row("a", 1, 2), row("", 3, 3), row("zero", 0, 0), row("b", 1, 1)]).map((l) => l.label)).toEqual(["idle room", "a", "b"]);
});
