// What the page says of providers of machines.

import type { Provider, ProviderQuota, Providers } from "../api/client";
import { money } from "./format";

/** How a provider fares, in a word, and how much that asks for attention. */
export function providerState(p: Provider): { word: string; tone: string } {
  if (p.failure) return { word: "failed", tone: "bad" };
  if (!p.listed_at) return { word: "waiting", tone: "quiet" };
  if (p.limits || p.notices) return { word: "in part", tone: "warn" };
  if (p.dry_run) return { word: "dry run", tone: "warn" };
  return { word: "ok", tone: "good" };
}

/** The quotas that are nearest to their end, those of no size last. */
export function tightest(quotas: ProviderQuota[], most: number): ProviderQuota[] {
  const share = (q: ProviderQuota) => (q.limit > 0 ? (q.used ?? 0) / q.limit : -1);
  return [...quotas].sort((a, b) => share(b) - share(a) || a.name.localeCompare(b.name)).slice(0, most);
}

export function spendSentence(p: Providers): string {
  const { usd_per_hour: hour, usd_per_month: month } = p.spend_limit;
  if (p.rehearsal) return "No cloud is enabled: machines are stood in for, and nothing is bought.";
  if (hour === 0) return "No spend limit is set: no paid cloud is enabled.";
  const first = `Bought machines may cost ${money(hour)} an hour at once`;
  return month === 0 ? `${first}.` : `${first}, and nothing more is bought once a month has cost ${money(month)}.`;
}
