import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { Offer } from "../api/client";
import { blockPrice } from "../api/market";
import { keys } from "../api/queries";
import { moneyPerHour, optionName } from "../lib/format";
import { placeOf } from "../lib/market";
import { Ask } from "./dialogs";

/** Stops believing an offer, after a question. The server refuses it to those who are no admin. */
export function BlockButton({ offer }: { offer: Offer }) {
  const queries = useQueryClient();
  const [asked, setAsked] = useState(false);
  return (
    <>
      <button type="button" className="link-button" aria-label={`Block ${offer.instance_type} in ${placeOf(offer)}, ${optionName(offer.purchase_option)} …`} onClick={() => setAsked(true)}>
        Block …
      </button>
      {asked && (
        <Ask
          title={`Block ${offer.instance_type}?`}
          verb="Block the offer"
          bad
          noted
          run={(note) => blockPrice({ offer: offer.id, ...(note && { note }) })}
          onDone={() => {
            for (const key of [keys.prices, keys.doubts, keys.sources]) void queries.invalidateQueries({ queryKey: key });
          }}
          onClose={() => setAsked(false)}
        >
          <p>
            {placeOf(offer)}, {optionName(offer.purchase_option)}, {moneyPerHour(offer.usd_per_hour)}. It leaves the plans at once, whatever its source says, for 30 days or until the
            rule is ended.
          </p>
        </Ask>
      )}
    </>
  );
}
