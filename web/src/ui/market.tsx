// The market: what machines cost, now or on another day, and how that went.

import { useMemo, useState } from "react";
import { useOffers } from "../api/market";
import { date } from "../lib/format";
import { everything, market, perWords, type Asked } from "../lib/market";
import { Accelerators } from "./accelerators";
import { CheapestOverTime } from "./cheapest";
import { Filters } from "./filters";
import { useNow } from "./hooks";
import { OfferTable } from "./offers";
import { Empty, Loaded, Panel } from "./parts";

export function MarketPanel({ onOpen }: { onOpen: (offer: string) => void }) {
  const [asked, ask] = useState(everything);
  const now = useNow(30_000);
  // What the choices are taken from does not shrink with what is chosen.
  const all = useOffers(everything);
  const offers = useOffers(asked);
  const known = useMemo(() => [...(all.data?.offers ?? []), ...(offers.data?.offers ?? [])], [all.data, offers.data]);
  const rows = useMemo(() => market(offers.data?.offers ?? [], asked.per), [offers.data, asked.per]);
  return (
    <Panel title="Market" note={<span className="panel-note">cheapest {perWords[asked.per].long}</span>} className="prices">
      <Loaded query={all} what="The prices cannot be read">
        {(list) =>
          list.offers.length === 0 && asked.day === "" ? (
            <Empty title="No price of an accelerator is known.">
              Import a price list: <code className="command">purser prices import FILE</code>
            </Empty>
          ) : (
            <>
              <Filters asked={asked} known={known} whole={list.whole} now={now} onAsk={ask} />
              {asked.day !== "" && <Past asked={asked} onNow={() => ask({ ...asked, day: "" })} />}
              {asked.accelerator !== "" && <CheapestOverTime asked={asked} onOpen={onOpen} />}
              <Loaded query={offers} what="The prices cannot be read">
                {(shown) => (
                  <div className={offers.isPlaceholderData ? "waiting" : undefined}>
                    {shown.offers.length === 0 ? (
                      <Empty title={asked.day === "" ? "No offer matches." : "No offer of that day matches."}>Ask for less: clear a filter.</Empty>
                    ) : asked.accelerator === "" && asked.option === "" ? (
                      <Accelerators rows={rows} whole={shown.whole} per={asked.per} onChoose={(accelerator) => ask({ ...asked, accelerator })} />
                    ) : (
                      <OfferTable key={JSON.stringify(asked)} offers={shown.offers} whole={shown.whole} asked={asked} onOpen={onOpen} />
                    )}
                  </div>
                )}
              </Loaded>
            </>
          )
        }
      </Loaded>
    </Panel>
  );
}

/** Says that what is shown is not today's. */
function Past({ asked, onNow }: { asked: Asked; onNow: () => void }) {
  return (
    <div className="note note-warn past" role="status">
      <p>
        <strong>Prices of {date(asked.day)}:</strong> what was in force at the end of that day (UTC), not what can be had now.
      </p>
      <button type="button" className="link-button" onClick={onNow}>
        Back to now
      </button>
    </div>
  );
}
