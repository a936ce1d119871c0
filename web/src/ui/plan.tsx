import { useState, type PointerEvent } from "react";
import type { Pointed } from "../lib/pointed";
import type { Plan } from "../api/client";
import { useLatestPlan, useLiveLeases } from "../api/queries";
import { ago, count, gapPercent, money, moneyPerHour, percent, quantity } from "../lib/format";
import type { Fleet, Hues, Machine, Segment } from "../lib/machines";
import { useNow } from "./hooks";
import { FleetDrawing } from "./machines";
import { MachineTable } from "./machine-table";
import { WorthOf } from "./worth";
import { Choices, Empty, Panel, QueryError, Rehearsed } from "./parts";

interface PlanProps {
  fleets: Fleet[];
  hues: Hues;
  pointed: Pointed;
  onOpen: (job: string) => void;
}

type View = "drawing" | "table";

export function PlanPanel({ fleets, hues, pointed, onOpen }: PlanProps) {
  const plan = useLatestPlan();
  const leases = useLiveLeases();
  const [view, setView] = useState<View>("drawing");
  const [tip, setTip] = useState<TipProps | null>(null);
  const rehearsal = plan.data?.rehearsal ?? fleets.some((f) => f.machines.some((m) => m.lease.rehearsal));
  const point = (machine: Machine, segment: Segment | null, event: PointerEvent | null) => {
    pointed.point(segment?.job ?? null);
    setTip(segment && event && event.pointerType === "mouse" ? { machine, segment, x: event.clientX, y: event.clientY } : null);
  };
  const machines = fleets.reduce((n, f) => n + f.machines.length, 0);
  return (
    <Panel
      title="What runs where"
      note={<Rehearsed on={rehearsal} />}
      className="plan"
      actions={
        machines > 0 && (
          <Choices
            label="How the machines are shown"
            value={view}
            onChoose={setView}
            choices={[
              { value: "drawing", label: "Drawing" },
              { value: "table", label: "Table" },
            ]}
          />
        )
      }
    >
      <QueryError query={plan} what="The plan cannot be read" />
      <QueryError query={leases} what="The machines cannot be read" />
      {plan.data && <PlanWords plan={plan.data} />}
      {leases.data && machines === 0 && <NothingRuns plan={plan.data ?? null} />}
      {view === "table" ? (
        machines > 0 && <MachineTable fleets={fleets} hues={hues} onOpen={onOpen} />
      ) : (
        fleets.map((fleet) => <FleetDrawing key={fleet.unit} fleet={fleet} hues={hues} lit={pointed.job} onOpen={onOpen} onPoint={point} />)
      )}
      {tip && <Tip {...tip} />}
    </Panel>
  );
}

function NothingRuns({ plan }: { plan: Plan | null }) {
  if (plan && (plan.unplaced ?? []).length + (plan.waiting ?? []).length > 0) return null; // the words above say why
  return (
    <Empty title="No machine is held.">
      Submit a job file, and the machines that it needs appear here: <code className="command">purser submit -f examples/first-run.yaml</code>
    </Empty>
  );
}

/** The plan in words: what it costs, what it would cost otherwise, and what is proven. */
function PlanWords({ plan }: { plan: Plan }) {
  const now = useNow();
  const leases = plan.leases ?? [];
  const placed = leases.reduce((n, l) => n + (l.placements ?? []).length, 0);
  const unplaced = plan.unplaced ?? [];
  const waiting = plan.waiting ?? [];
  if (leases.length === 0 && unplaced.length === 0 && waiting.length === 0) return null;
  const committed = committedIn(plan);
  const paid = plan.usd_per_hour + committed;
  return (
    <div className="words">
      {leases.length > 0 && (
        <p className="words-lead">
          The newest plan runs <strong>{count(placed, "replica")}</strong> on <strong>{count(leases.length, "machine")}</strong> for{" "}
          <strong>{moneyPerHour(plan.usd_per_hour)}</strong>
          {committed > 0 && <> and the committed {moneyPerHour(committed)}</>}
          {plan.baseline_usd_per_hour > paid && (
            <>
              . Each replica alone on its cheapest on-demand machine would cost <strong>{moneyPerHour(plan.baseline_usd_per_hour)}</strong>:
              sharing saves {percent(1 - paid / plan.baseline_usd_per_hour)}
            </>
          )}
          .
        </p>
      )}
      {leases.length > 0 && <Compare plan={plan} />}
      <p className="words-proof">
        <Proof plan={plan} /> Made {ago(plan.created_at, now)} in {quantity(Math.round(plan.solve_seconds * 100) / 100)}&nbsp;s
        {plan.cut_by_time && ", when its time was up"}. <Carbon plan={plan} />
        {plan.extra_usd > 0 && <> Moving, reading and keeping data is {money(plan.extra_usd)} of its cost.</>}
      </p>
      <WorthOf />
      {(plan.commitments ?? []).map((c) => (
        <p className="note" key={c.name}>
          {count(c.machines, "machine")} under <strong>{c.name}</strong>: {moneyPerHour(c.used_usd_per_hour)} of its {moneyPerHour(c.usd_per_hour)} is used,{" "}
          {money(c.idle_usd_per_day)} a day of it is idle.
        </p>
      ))}
      {waiting.map((w) => (
        <p className="note" key={`${w.job}/${w.group}/${w.start}/${w.offer}`}>
          <strong>
            {w.job}/{w.group}: {count(w.replicas, "replica")}
          </strong>{" "}
          {w.summary}.
        </p>
      ))}
      {unplaced.map((u) => (
        <div className="note note-warn" key={`${u.job}/${u.group}`}>
          <p>
            <strong>
              {u.job}/{u.group}: {count(u.replicas, "replica")} not placed.
            </strong>{" "}
            {u.reason}
          </p>
          <Refused plan={plan} job={u.job} group={u.group} />
        </div>
      ))}
    </div>
  );
}

/** What is promised an hour, whether machines run under it or not. */
function committedIn(plan: Plan): number {
  return (plan.commitments ?? []).reduce((sum, c) => sum + c.usd_per_hour, 0);
}

/** How much carbon the machines take, and what that counts. */
function Carbon({ plan }: { plan: Plan }) {
  if (plan.carbon_kg <= 0) return null;
  const kg = plan.carbon_kg < 10 ? Math.round(plan.carbon_kg * 10) / 10 : Math.round(plan.carbon_kg);
  return (
    <>
      Its machines take about {quantity(kg)}&nbsp;kg of CO₂e
      {(plan.carbon_cost_usd ?? 0) > 0 && <>, which counts {money(plan.carbon_cost_usd ?? 0)} of that cost</>}.
    </>
  );
}

/** What is proven of the plan, in a sentence. */
export function Proof({ plan }: { plan: Plan }) {
  const over = `over the next ${quantity(plan.horizon_hours)} h`;
  if ((plan.leases ?? []).length === 0) return null;
  if (plan.status === "optimal") {
    return (
      <>
        <strong className="proven">Proven to be the cheapest:</strong> no plan can cost less than its {money(plan.objective_usd)} {over}.
      </>
    );
  }
  if (plan.bound_usd <= 0) return <>Nothing is proven about how far it is from the cheapest.</>;
  return (
    <>
      <strong className="proven">Proven within {gapPercent(plan.gap)} of the cheapest:</strong> it costs {money(plan.objective_usd)} {over}, and no plan can
      cost less than {money(plan.bound_usd)}.
    </>
  );
}

function Compare({ plan }: { plan: Plan }) {
  const paid = plan.usd_per_hour + committedIn(plan);
  const most = Math.max(plan.baseline_usd_per_hour, paid);
  if (most <= 0 || plan.baseline_usd_per_hour <= 0) return null;
  const row = (label: string, usd: number, kind: string) => (
    <div className="compare-row">
      <dt>{label}</dt>
      <dd>
        <span className={`compare-bar compare-${kind}`} style={{ width: `${(usd / most) * 100}%` }} />
        <span className="compare-figure">{moneyPerHour(usd)}</span>
      </dd>
    </div>
  );
  return (
    <dl className="compare" aria-label="This plan against one machine per replica">
      {row("This plan", paid, "plan")}
      {row("One machine each", plan.baseline_usd_per_hour, "baseline")}
    </dl>
  );
}

const reasonWords = new Map<string, string>([
  ["accelerator", "have another accelerator"],
  ["devices", "have too few devices"],
  ["device_memory", "have too little device memory"],
  ["cpu", "have too few vCPUs"],
  ["memory", "have too little memory"],
  ["disk", "have too little disk"],
  ["provider", "are of another provider"],
  ["region", "are in another region"],
  ["residency", "are in another country"],
  ["purchase_option", "are sold under another option"],
  ["price_ceiling", "cost more than the ceiling"],
  ["confidential", "have no confidential computing"],
  ["compliance", "are not said to comply"],
  ["latency", "are too far from the users"],
  ["quality", "have room for less accurate variants alone"],
  ["deadline", "would finish too late"],
  ["limit", "cannot be had"],
  ["quota", "exceed a quota"],
]);

function Refused({ plan, job, group }: { plan: Plan; job: string; group: string }) {
  const refusal = (plan.refusals ?? []).find((r) => r.job === job && r.group === group);
  if (!refusal) return null;
  const reasons = Object.entries(refusal.reasons ?? {}).sort(([a, x], [b, y]) => y - x || a.localeCompare(b));
  return (
    <p className="note-hint">
      {count(refusal.allowed, "offer")} of {quantity(refusal.offers)} could serve it
      {reasons.length > 0 && `; ${reasons.map(([reason, n]) => `${quantity(n)} ${reasonWords.get(reason) ?? reason}`).join(", ")}`}.
    </p>
  );
}

interface TipProps {
  machine: Machine;
  segment: Segment;
  x: number;
  y: number;
}

function Tip({ machine, segment, x, y }: TipProps) {
  const offer = machine.lease.offer;
  const tasks = segment.tasks;
  const variants = [...new Set(tasks.map((t) => t.variant))].filter((v) => v !== "").join(", ");
  const sum = (pick: (t: (typeof tasks)[number]) => number) => tasks.reduce((n, t) => n + pick(t), 0);
  const left = Math.min(x + 14, innerWidth - 300);
  const top = y + 180 > innerHeight ? y - 150 : y + 16;
  return (
    <div className="tip" style={{ left, top }} aria-hidden="true">
      <p className="tip-title">
        {segment.jobName}
        <span>/{segment.group}</span>
      </p>
      <p>
        {count(tasks.length, "replica")}
        {variants && ` as ${variants}`}, {segment.running} running
        {segment.progress > 0 && `, ${percent(segment.progress)} done`}
      </p>
      <p>
        {machine.unit === "device" && segment.tasks.some((t) => t.devices > 0) ? `${quantity(sum((t) => t.devices))} × ${offer.accelerator ?? "device"}, ` : ""}
        {quantity(sum((t) => t.vcpus))} vCPU, {quantity(Math.round(sum((t) => t.memory_gib)))} GiB
      </p>
      <p className="tip-quiet">
        on {offer.instance_type}, {offer.provider} {offer.zone || offer.region}
      </p>
    </div>
  );
}
