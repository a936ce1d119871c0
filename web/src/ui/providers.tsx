// Where machines come from, how that fares, and what the accounts may have.

import type { Provider, ProviderFailure, Providers } from "../api/client";
import { useProviders } from "../api/queries";
import { providerState, spendSentence, tightest } from "../lib/providers";
import { ago, count, moneyPerHour, quantity } from "../lib/format";
import { useNow } from "./hooks";
import { Loaded, Panel, Scroll, State } from "./parts";

/** Quotas of a provider that are shown: the ones that are nearest to their end. */
const fewQuotas = 3;

export function ProvidersPanel() {
  const providers = useProviders();
  return (
    <Panel title="Providers of machines" className="providers">
      <Loaded query={providers} what="The providers cannot be read">
        {(p) => (
          <>
            <ProviderTable list={p.providers ?? []} />
            <p className="panel-foot">{spendSentence(p)}</p>
            <Bought providers={p} />
          </>
        )}
      </Loaded>
    </Panel>
  );
}

function ProviderTable({ list }: { list: Provider[] }) {
  const now = useNow();
  return (
    <Scroll label="Providers of machines as a table">
      <table className="data">
        <caption className="visually-hidden">Providers of machines and how they fare</caption>
        <thead>
          <tr>
            <th scope="col">Provider</th>
            <th scope="col">State</th>
            <th scope="col" className="right">
              Machines
            </th>
            <th scope="col" className="right wide">
              Price
            </th>
            <th scope="col" className="wide">
              Limits of the account
            </th>
            <th scope="col" className="right wide">
              Listed
            </th>
          </tr>
        </thead>
        <tbody>
          {list.map((p) => (
            <ProviderRow key={p.name} provider={p} now={now} />
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function ProviderRow({ provider: p, now }: { provider: Provider; now: number }) {
  const state = providerState(p);
  const quotas = p.quotas ?? [];
  return (
    <tr>
      <th scope="row">
        <span className="source-name">{p.name}</span>
        <span className="cell-more">{(p.regions ?? []).length > 0 ? (p.regions ?? []).join(", ") : p.name === "local" ? "this host" : "all its places"}</span>
      </th>
      <td>
        <State state={state.word} tone={state.tone} />
        <Failure what="machines" of={p.failure} />
        <Failure what="limits" of={p.limits} />
        <Failure what="notices" of={p.notices} />
      </td>
      <td className="right">{quantity(p.machines)}</td>
      <td className="right wide">{moneyPerHour(p.usd_per_hour)}</td>
      <td className="wide">
        {quotas.length === 0 ? "–" : null}
        {tightest(quotas, fewQuotas).map((q) => (
          <span key={q.name} className="cell-more">
            {q.name}: {q.used === undefined ? "" : `${quantity(q.used)} of `}
            {quantity(q.limit)} {q.unit}
          </span>
        ))}
        {quotas.length > fewQuotas && <span className="cell-more">{count(quotas.length - fewQuotas, "other")}; purser providers --quotas</span>}
      </td>
      <td className="right wide nowrap" title={p.listed_at}>
        {p.listed_at ? ago(p.listed_at, now) : "–"}
      </td>
    </tr>
  );
}

function Failure({ what, of }: { what: string; of: ProviderFailure | undefined }) {
  if (of === undefined) return null;
  return (
    <span className="cell-more source-more source-bad">
      {what}: {of.message}
      {of.hint ? ` (${of.hint})` : ""}
    </span>
  );
}

function Bought({ providers }: { providers: Providers }) {
  const now = useNow();
  const rows = (providers.providers ?? []).flatMap((p) => (p.reserved ?? []).map((r) => ({ ...r, provider: p.name })));
  if (rows.length === 0) return null;
  return (
    <div className="rules">
      <h3>Bought ahead</h3>
      <ul>
        {rows.map((r) => (
          <li key={`${r.provider} ${r.id}`}>
            {r.offer}: {quantity(r.free)} of {count(r.total, "machine")} free{r.until ? `, ends ${ago(r.until, now)}` : ""} ({r.id})
          </li>
        ))}
      </ul>
    </div>
  );
}
