import { describe, expect, it } from "vitest";
import { cellSize, fleets, Hues, machineOf, segmentLabel } from "../src/lib/machines";
import { describe as words } from "../src/ui/machine-bar";
import { lease, leaseTask, offer } from "./samples";

const task = (job: string, replica: number, devices: number, more = {}) =>
  leaseTask({ task: `${job}-${replica}`, job, job_name: job, replica, devices, ...more });

describe("a machine", () => {
  it("gathers the replicas of a group into one block, widest first", () => {
    const m = machineOf(lease({ tasks: [task("b", 0, 1), task("a", 1, 1), task("a", 0, 1), task("c", 0, 0.5)] }));
    expect(m.segments.map((s) => [segmentLabel(s), s.size])).toEqual([
      ["a ×2", 2],
      ["b", 1],
      ["c", 0.5],
    ]);
    expect(m.segments[0]?.tasks.map((t) => t.replica)).toEqual([0, 1]);
    expect([m.used, m.idle, m.size]).toEqual([3.5, 4.5, 8]);
  });

  it("counts what runs, and the mean progress", () => {
    const m = machineOf(lease({ tasks: [task("a", 0, 1, { progress: 0.2 }), task("a", 1, 1, { state: "placed", progress: 0 })] }));
    expect(m.segments[0]).toMatchObject({ running: 1, progress: 0.1 });
  });

  it("keeps work without devices apart from the devices", () => {
    const m = machineOf(lease({ tasks: [task("a", 0, 8), task("tok", 0, 0, { vcpus: 12 })] }));
    expect(m.segments.map((s) => s.jobName)).toEqual(["a"]);
    expect(m.cpuOnly.map((s) => [s.jobName, s.size])).toEqual([["tok", 12]]);
    expect(words(m)).toBe("a2-highgpu-8g, 8 devices: a 8 devices, tok no device");
  });

  it("without devices is measured in vCPUs", () => {
    const cpu = offer({ devices: 0, vcpus: 16, instance_type: "c6i.4xlarge" });
    const m = machineOf(lease({ offer: cpu, tasks: [task("a", 0, 0, { vcpus: 4 })] }));
    expect([m.unit, m.size, m.used, m.idle]).toEqual(["vCPU", 16, 4, 12]);
    expect(words(m)).toBe("c6i.4xlarge, 16 vCPUs: a 4 vCPUs, idle 12 vCPUs");
  });

  it("bears a lease whose list of tasks is missing", () => {
    expect(machineOf(lease({ tasks: null }))).toMatchObject({ segments: [], used: 0, idle: 8 });
  });
});

describe("fleets", () => {
  const leases = [
    lease({ id: "l-3", offer: offer({ devices: 1, usd_per_hour: 1 }), tasks: [] }),
    lease({ id: "l-2", offer: offer({ devices: 0, vcpus: 8 }), tasks: [] }),
    lease({ id: "l-1", offer: offer({ devices: 1, usd_per_hour: 2 }), tasks: [task("a", 0, 1)] }),
    lease({ id: "l-0", offer: offer({ devices: 8 }), tasks: [task("a", 1, 4)] }),
  ];

  it("holds devices and vCPUs apart, each to its own scale", () => {
    const [devices, cpus] = fleets(leases);
    expect(devices).toMatchObject({ unit: "device", scale: 8, used: 5, size: 10 });
    expect(devices?.machines.map((m) => m.lease.id)).toEqual(["l-0", "l-1", "l-3"]);
    expect(cpus).toMatchObject({ unit: "vCPU", scale: 8, used: 0, size: 8 });
  });

  it("comes in the same order whatever the order of the answer", () => {
    const ids = (l: typeof leases) => fleets(l).flatMap((f) => f.machines.map((m) => m.lease.id));
    expect(ids([...leases].reverse())).toEqual(ids(leases));
  });

  it("is empty without leases", () => expect(fleets([])).toEqual([]));
});

describe("the scale's marks", () => {
  it.each([
    ["device", 8, 600, 1],
    ["device", 256, 600, 4],
    ["vCPU", 96, 300, 2],
    ["vCPU", 100_000, 300, 100_000],
  ] as const)("%s machines of %d on %d px have marks of %d", (unit, scale, width, cell) => {
    expect(cellSize(unit, scale, width)).toBe(cell);
  });
});

describe("hues", () => {
  it("stay with their job, and repeat after ten", () => {
    const hues = new Hues();
    const first = Array.from({ length: 12 }, (_, i) => hues.of(`job-${i}`));
    expect(first).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]);
    expect(hues.of("job-3")).toBe(3);
    expect(hues.known("job-3")).toBe(3);
    expect(hues.known("elsewhere")).toBeUndefined();
  });
});
