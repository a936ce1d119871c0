// The one page: what is spent, what runs where, the jobs, and the market.

import { useQueryClient } from "@tanstack/react-query";
import { useMemo, useState, useSyncExternalStore } from "react";
import { useLiveLeases } from "./api/queries";
import { onSession, sessionState } from "./api/session";
import { fleets, Hues } from "./lib/machines";
import { DoubtsPanel } from "./ui/doubts";
import { Banners, Header } from "./ui/header";
import { useLive, useOpen } from "./ui/hooks";
import { JobDrawer } from "./ui/job-drawer";
import { JobsPanel } from "./ui/jobs";
import { MarketPanel } from "./ui/market";
import { MoneyStrip } from "./ui/money";
import { OfferDrawer } from "./ui/offer-drawer";
import { PlanPanel } from "./ui/plan";
import { ProvidersPanel } from "./ui/providers";
import { SignIn } from "./ui/sign-in";
import { SourcesPanel } from "./ui/sources";
import { SpendPanel } from "./ui/spend";

export function App() {
  const { signedIn } = useSyncExternalStore(onSession, sessionState);
  const queries = useQueryClient();
  const stream = useLive(signedIn);
  return (
    <>
      <Header stream={stream} signedIn={signedIn} />
      {signedIn ? <Overview /> : <SignIn onSignedIn={() => void queries.resetQueries()} />}
    </>
  );
}

function Overview() {
  const [openJob, open] = useOpen("job");
  const [openOffer, showOffer] = useOpen("offer");
  const [job, point] = useState<string | null>(null);
  const [hues] = useState(() => new Hues());
  const leases = useLiveLeases().data;
  const drawn = useMemo(() => {
    const out = fleets(leases ?? []);
    const jobs = out.flatMap((f) => f.machines.flatMap((m) => [...m.segments, ...m.cpuOnly].map((s) => s.job)));
    for (const id of [...new Set(jobs)].sort()) hues.of(id);
    return out;
  }, [leases, hues]);
  return (
    <>
      <main className="page">
        <h1 className="visually-hidden">Overview</h1>
        <Banners />
        <MoneyStrip />
        <PlanPanel fleets={drawn} hues={hues} pointed={{ job, point }} onOpen={open} />
        <div className="columns">
          <JobsPanel hues={hues} pointed={{ job, point }} onOpen={open} />
          <SpendPanel />
        </div>
        <ProvidersPanel />
        <MarketPanel onOpen={showOffer} />
        <SourcesPanel />
        <DoubtsPanel onOpen={showOffer} />
      </main>
      {openJob !== null && <JobDrawer key={openJob} job={openJob} onClose={() => open(null)} />}
      {openOffer !== null && <OfferDrawer key={openOffer} offer={openOffer} onClose={() => showOffer(null)} />}
    </>
  );
}
