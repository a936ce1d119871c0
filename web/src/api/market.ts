// What the page asks of the market, and what operators do about its prices.

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { client, done, unwrap, type Hazard, type Offer, type PriceRule, type Quarantined, type Review, type Source } from "./client";
import { keys } from "./queries";
import { asOf, dayMs, families, type Asked } from "../lib/market";

const slowRefetchMs = 60_000;
const collectingMs = 2_000;
const offerPage = 1000;

/** The filters of a question, as the API takes them. */
function filters(asked: Asked) {
  return {
    per: asked.per,
    accelerated: true,
    ...(asked.accelerator && { accelerator: asked.accelerator }),
    ...(asked.option && { option: asked.option }),
    ...(asked.provider && { provider: asked.provider }),
    ...(asked.region && { region: asked.region }),
    ...(Number(asked.memory) > 0 && { min_memory_gib: Number(asked.memory) }),
  };
}

export interface OfferList {
  offers: Offer[];
  whole: boolean;
}

/**
 * Offers to show prices from, cheapest first. A short list comes whole. Of a long one
 * of all accelerators, whose first page would hold the cheapest ones alone, the
 * cheapest offer of each well known family is asked for one by one; whole says which
 * it was.
 */
export async function readOffers(asked: Asked, signal: AbortSignal): Promise<OfferList> {
  const at = asOf(asked);
  const query = { ...filters(asked), ...(at && { as_of: at }) };
  const first = await unwrap(client.GET("/v1/prices", { params: { query: { ...query, limit: offerPage } }, signal }));
  const offers = first.offers ?? [];
  if (offers.length < offerPage) return { offers, whole: true };
  if (asked.accelerator !== "") return { offers, whole: false };
  const calls = families.flatMap((accelerator) =>
    (asked.option ? [asked.option] : ["spot", "on_demand"]).map((option) =>
      unwrap(client.GET("/v1/prices", { params: { query: { ...query, accelerator, option, limit: 1 } }, signal })),
    ),
  );
  const answers = await Promise.all(calls);
  return { offers: answers.flatMap((a) => a.offers ?? []), whole: false };
}

export function useOffers(asked: Asked) {
  return useQuery({
    queryKey: [...keys.prices, "offers", asked],
    refetchInterval: slowRefetchMs,
    // While another question is answered, the panel keeps its height.
    placeholderData: keepPreviousData,
    queryFn: ({ signal }) => readOffers(asked, signal),
  });
}

/** One offer as it stands now; null: it cannot be had. */
export function useOffer(id: string) {
  return useQuery({
    queryKey: [...keys.prices, "offer", id],
    refetchInterval: slowRefetchMs,
    queryFn: async ({ signal }) => {
      const out = await unwrap(client.GET("/v1/prices", { params: { query: { id, limit: 1 } }, signal }));
      return out.offers?.[0] ?? null;
    },
  });
}

/** A time that was asked about, in ms. */
export interface Span {
  from: number;
  to: number;
}

function spanOf(days: number, end: string | undefined): Span {
  const to = end === undefined ? Date.now() : Date.parse(end);
  return { from: to - days * dayMs, to };
}

const isoSpan = (s: Span) => ({ from: new Date(s.from).toISOString(), to: new Date(s.to).toISOString() });

/** The cheapest of what is asked for over a number of days, up to now or to the day that is asked for. */
export function useCheapest(asked: Asked, days: number) {
  return useQuery({
    queryKey: [...keys.prices, "cheapest", asked, days],
    refetchInterval: slowRefetchMs,
    placeholderData: keepPreviousData,
    queryFn: async ({ signal }) => {
      const span = spanOf(days, asOf(asked));
      const out = await unwrap(client.GET("/v1/prices/cheapest", { params: { query: { ...filters(asked), ...isoSpan(span) } }, signal }));
      return { span, per: asked.per, steps: out.steps ?? [] };
    },
  });
}

/** The longest time that is told change by change; a longer one is told day by day. */
export const byChangeDays = 30;

export function useHistory(offer: string, days: number) {
  return useQuery({
    queryKey: [...keys.prices, "history", offer, days],
    refetchInterval: slowRefetchMs,
    placeholderData: keepPreviousData,
    queryFn: async ({ signal }) => {
      const span = spanOf(days, undefined);
      const by = days > byChangeDays ? "day" : "change";
      const out = await unwrap(client.GET("/v1/prices/history", { params: { query: { offer, by, ...isoSpan(span) } }, signal }));
      return { span, by, points: out.points ?? [], days: out.days ?? [] };
    },
  });
}

/** How often a spot machine is taken back; null: nobody knows. */
export function useHazard(offer: Offer) {
  const { provider, region, zone, instance_type } = offer;
  return useQuery({
    queryKey: [...keys.prices, "hazard", offer.id],
    refetchInterval: slowRefetchMs,
    enabled: offer.purchase_option === "spot",
    queryFn: async ({ signal }): Promise<Hazard | null> => {
      const out = await unwrap(client.GET("/v1/hazards", { params: { query: { provider, region, instance_type } }, signal }));
      const list = out.hazards ?? [];
      return list.find((h) => (h.zone ?? "") === (zone ?? "")) ?? list.find((h) => !h.zone) ?? null;
    },
  });
}

export function useSources() {
  return useQuery<Source[]>({
    queryKey: keys.sources,
    refetchInterval: (query) => (query.state.data?.some((s) => s.began_at) ? collectingMs : slowRefetchMs),
    queryFn: async ({ signal }) => {
      const out = await unwrap(client.GET("/v1/sources", { signal }));
      return out.sources ?? [];
    },
  });
}

export function collectSource(name: string): Promise<Source> {
  return unwrap(client.POST("/v1/sources/{name}/collect", { params: { path: { name } } }));
}

/** The most doubts that are shown at once. */
export const doubtPage = 100;

/** Prices that are not believed; kept ones, which were reviewed, only when asked for. */
export function useQuarantine(kept: boolean) {
  return useQuery({
    queryKey: [...keys.doubts, "quarantine", kept],
    refetchInterval: slowRefetchMs,
    placeholderData: keepPreviousData,
    queryFn: async ({ signal }): Promise<Quarantined[]> => {
      const out = await unwrap(client.GET("/v1/quarantine", { params: { query: { kept, limit: doubtPage } }, signal }));
      return out.quarantined ?? [];
    },
  });
}

export function useRules() {
  return useQuery({
    queryKey: [...keys.doubts, "rules"],
    refetchInterval: slowRefetchMs,
    queryFn: async ({ signal }): Promise<PriceRule[]> => {
      const out = await unwrap(client.GET("/v1/prices/rules", { signal }));
      return out.rules ?? [];
    },
  });
}

export function releasePrice(body: Review): Promise<PriceRule> {
  return unwrap(client.POST("/v1/quarantine/release", { body }));
}

export function keepPrice(body: Review): Promise<void> {
  return done(client.POST("/v1/quarantine/keep", { body }));
}

export function blockPrice(body: Review): Promise<PriceRule> {
  return unwrap(client.POST("/v1/prices/block", { body }));
}

export function endRule(rule: PriceRule): Promise<void> {
  return done(client.DELETE("/v1/prices/rules", { params: { query: { offer: rule.offer, reason: rule.reason } } }));
}
