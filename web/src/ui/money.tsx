import type { ReactNode } from "react";
import type { Spend } from "../api/client";
import { useLiveLeases, useSpend } from "../api/queries";
import { ago, count, dayMonth, money, percent, timeOf } from "../lib/format";
import { useNow } from "./hooks";
import { Loaded, Rehearsed } from "./parts";

function Figure(props: { label: string; rehearsal: boolean; value: string; unit?: string; children: ReactNode }) {
  return (
    <div className="figure">
      <dt>
        {props.label} <Rehearsed on={props.rehearsal} />
      </dt>
      <dd className="figure-value">
        {props.value}
        {props.unit && <span className="figure-unit">{props.unit}</span>}
      </dd>
      <dd className="figure-note">{props.children}</dd>
    </div>
  );
}

function charged(spend: Spend, now: number): string {
  const since = `since ${dayMonth(spend.month_start)} (UTC)`;
  return Number.isNaN(timeOf(spend.charged_through)) ? since : `${since}, charged up to ${ago(spend.charged_through, now)}`;
}

function Saving({ spend }: { spend: Spend }) {
  const saved = spend.month_to_date_list_usd - spend.month_to_date_usd;
  const r = spend.rehearsal;
  if (spend.month_to_date_list_usd <= 0) {
    return (
      <Figure label="Saved this month" rehearsal={r} value="–">
        nothing has been charged this month
      </Figure>
    );
  }
  return (
    <Figure label="Saved this month" rehearsal={r} value={money(saved)}>
      {percent(saved / spend.month_to_date_list_usd)} below {money(spend.month_to_date_list_usd)}, the on-demand list price of the same machine hours
    </Figure>
  );
}

export function MoneyStrip() {
  const now = useNow();
  const spend = useSpend();
  const leases = useLiveLeases().data ?? [];
  const running = leases.filter((l) => l.state === "running" || l.state === "draining").length;
  return (
    <section className="panel money" aria-label="Spend">
      <Loaded query={spend} what="The spend cannot be read">
        {(s) => (
          <dl className="figures">
            <Figure label="Spend rate" rehearsal={s.rehearsal} value={money(s.usd_per_hour)} unit="/h">
              {s.usd_per_hour > 0 ? `for the ${count(running, "machine")} running now` : "no machine runs now"}
            </Figure>
            <Figure label="Month to date" rehearsal={s.rehearsal} value={money(s.month_to_date_usd)}>
              {charged(s, now)}
            </Figure>
            <Figure label="Month end, projected" rehearsal={s.rehearsal} value={money(s.month_end_usd)}>
              {s.assumption}
            </Figure>
            <Saving spend={s} />
          </dl>
        )}
      </Loaded>
    </section>
  );
}
