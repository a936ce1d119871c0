// Figures and times as people read them. Money is in USD everywhere.

const locale = "en-US";
const two = new Intl.NumberFormat(locale, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const four = new Intl.NumberFormat(locale, { minimumFractionDigits: 4, maximumFractionDigits: 4 });
const short = new Intl.NumberFormat(locale, { maximumFractionDigits: 3 });
const whole = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });

/** $3.06; four decimals below ten cents, as the command line shows it. */
export function money(usd: number): string {
  const size = Math.abs(usd);
  const text = size > 0 && size < 0.1 ? four.format(size) : two.format(size);
  return `${usd < 0 ? "−" : ""}$${text}`;
}

export function moneyPerHour(usd: number): string {
  return `${money(usd)}/h`;
}

/** 8, 0.5 or 0.125. */
export function quantity(n: number): string {
  return short.format(n);
}

export function count(n: number, noun: string, plural = `${noun}s`): string {
  return `${whole.format(n)} ${n === 1 ? noun : plural}`;
}

/** A share in whole percent; one decimal below ten, so that little is not nothing. */
export function percent(share: number): string {
  const p = share * 100;
  return `${p !== 0 && Math.abs(p) < 10 ? Number(p.toFixed(1)) : Math.round(p)}\u00a0%`;
}

/** The proven gap: two decimals, and never rounded down to nothing. */
export function gapPercent(gap: number): string {
  return `${(Math.ceil(gap * 1e4 - 1e-6) / 100).toFixed(2)}\u00a0%`;
}

export function gib(n: number): string {
  return `${short.format(Math.round(n * 10) / 10)} GiB`;
}

/** Time of a moment in ms; NaN for a missing one, which Go writes as year 1. */
export function timeOf(iso: string | undefined): number {
  if (!iso) return Number.NaN;
  const t = Date.parse(iso);
  return t > 0 ? t : Number.NaN;
}

const steps: [ms: number, words: (n: number) => string][] = [
  [86_400_000 * 365, (n) => count(n, "year")],
  [86_400_000 * 30, (n) => count(n, "month")],
  [86_400_000, (n) => count(n, "day")],
  [3_600_000, (n) => `${n} h`],
  [60_000, (n) => `${n} min`],
  [1_000, (n) => `${n} s`],
];

/** A length of time in its largest unit: 3 h, 2 days. */
export function span(ms: number): string {
  for (const [size, words] of steps) {
    if (ms >= size) return words(Math.floor(ms / size));
  }
  return "moments";
}

/** 3 h ago; just now; in 2 days. */
export function ago(iso: string | undefined, now: number): string {
  const t = timeOf(iso);
  if (Number.isNaN(t)) return "never";
  const ms = now - t;
  if (ms < -5_000) return `in ${span(-ms)}`;
  return ms < 5_000 ? "just now" : `${span(ms)} ago`;
}

/** 21 Feb 2024, in UTC, as price lists are dated. */
export function date(iso: string | undefined): string {
  const t = timeOf(iso);
  if (Number.isNaN(t)) return "–";
  return new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" }).format(t);
}

/** 1 Jul, in UTC. */
export function dayShort(ms: number): string {
  return new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" }).format(ms);
}

/** 1 July, in UTC, as months are counted. */
export function dayMonth(iso: string | undefined): string {
  const t = timeOf(iso);
  if (Number.isNaN(t)) return "–";
  return new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long", timeZone: "UTC" }).format(t);
}

/** 21 Feb 2024, 14:02, in UTC. */
export function moment(iso: string | undefined): string {
  const t = timeOf(iso);
  if (Number.isNaN(t)) return "–";
  return new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZone: "UTC" }).format(t);
}

/** 14:02:31 of the reader's clock. */
export function clock(iso: string | undefined): string {
  const t = timeOf(iso);
  if (Number.isNaN(t)) return "–";
  return new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(t);
}

const optionWords = new Map<string, string>([
  ["on_demand", "on demand"],
  ["spot", "spot"],
  ["reserved", "reserved"],
  ["capacity_block", "capacity block"],
  ["flex_start", "flex start"],
  ["private", "private"],
  ["serverless", "serverless"],
]);

export const options = [...optionWords.keys()];

/** The set of purchase options is open: an unknown one is shown as it is. */
export function optionName(option: string): string {
  return optionWords.get(option) ?? option.replaceAll("_", " ");
}

/** Cuts a text to what fits into a width, by a measure of its own; "" when less than three letters do. */
export function fit(text: string, widthPx: number, measure: (text: string) => number): string {
  if (measure(text) <= widthPx) return text;
  let low = 0; // letters that fit with the ellipsis
  let high = text.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (measure(`${text.slice(0, middle)}…`) <= widthPx) low = middle;
    else high = middle - 1;
  }
  return low < 3 ? "" : `${text.slice(0, low)}…`;
}

/** A text as a sentence: it begins with a capital and ends with a full stop. */
export function sentenceOf(text: string): string {
  const t = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(t) ? t : `${t}.`;
}
