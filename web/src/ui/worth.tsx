// What a little more of each limit that is used up would save.

import { useMutation } from "@tanstack/react-query";
import type { Worth } from "../api/client";
import { readWorth } from "../api/queries";
import { count, sentenceOf } from "../lib/format";
import { ErrorNote } from "./parts";

/** Asked for only when somebody wants to know: the server plans anew for each limit. */
export function WorthOf() {
  const ask = useMutation({ mutationFn: readWorth });
  return (
    <div className="worth">
      <button type="button" className="link-button" disabled={ask.isPending} onClick={() => ask.mutate()}>
        {ask.isPending ? "Planning with each limit raised …" : ask.data ? "Ask again what limits cost" : "What do limits cost?"}
      </button>
      {ask.error && <ErrorNote error={ask.error} what="It cannot be said what limits cost" />}
      <div role="status">{ask.data && !ask.isPending && <Steps worth={ask.data} />}</div>
    </div>
  );
}

function Steps({ worth }: { worth: Worth }) {
  const steps = worth.steps ?? [];
  if (steps.length === 0) return <p>No limit stands in the way of a cheaper plan.</p>;
  return (
    <ul>
      {steps.map((s) => (
        <li key={s.name}>{sentenceOf(s.sentence)}</li>
      ))}
      {worth.left > 0 && <li>{count(worth.left, "further limit")} not tried.</li>}
    </ul>
  );
}
