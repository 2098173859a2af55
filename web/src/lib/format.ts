const numbers = new Intl.NumberFormat(undefined);
const compactNumbers = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const dates = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const dateTimes = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const relatives = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" });

export const number = (value: number | null | undefined): string =>
  value === null || value === undefined ? "–" : numbers.format(value);
export const compact = (value: number): string => compactNumbers.format(value);
export const date = (iso: string | null | undefined): string => (iso ? dates.format(new Date(iso)) : "–");
export const dateTime = (iso: string | null | undefined): string => (iso ? dateTimes.format(new Date(iso)) : "–");

/** Share of `whole` as a percentage; a dash when there is nothing to divide by, because 0 % would be a claim. */
export function rate(part: number | undefined, whole: number | undefined): string {
  if (!whole) return "–";
  const percent = (100 * (part ?? 0)) / whole;
  return `${percent > 0 && percent < 10 ? percent.toFixed(1) : Math.round(percent)}%`;
}

/** "52% of delivered"; nothing when there is no share to speak of. */
export const share = (part: number, whole: number, of: string): string =>
  whole ? `${rate(part, whole)} of ${of}` : "";

/** "2 min. ago", against `now` so that a ticking clock can re-render it. */
export function ago(iso: string | null | undefined, now = Date.now()): string {
  if (!iso) return "–";
  const seconds = Math.round((new Date(iso).getTime() - now) / 1000);
  const size = Math.abs(seconds);
  if (size < 10) return seconds <= 0 ? "just now" : "in a moment";
  if (size < 60) return relatives.format(seconds, "second");
  if (size < 3600) return relatives.format(Math.round(seconds / 60), "minute");
  if (size < 86_400) return relatives.format(Math.round(seconds / 3600), "hour");
  if (size < 30 * 86_400) return relatives.format(Math.round(seconds / 86_400), "day");
  return dates.format(new Date(iso));
}

/** Money in millionths of a US dollar, as the API counts it: $12.34, $0.004. Null is a dash. */
export function money(micros: number | null | undefined): string {
  if (micros === null || micros === undefined) return "–";
  const dollars = micros / 1_000_000;
  const size = Math.abs(dollars);
  // Prices of single calls are fractions of a cent: two digits would show them as nothing.
  const digits = size === 0 || size >= 1 ? 2 : Math.min(6, Math.max(2, 2 - Math.floor(Math.log10(size))));
  return new Intl.NumberFormat(undefined, {
    style: "currency",
    currency: "USD",
    currencyDisplay: "narrowSymbol",
    minimumFractionDigits: size > 0 ? 2 : 0,
    maximumFractionDigits: digits,
  }).format(dollars);
}

/** Dollars as somebody writes them into a field; null where nothing or no amount is written. */
export function microsOf(dollars: string | number | null | undefined): number | null {
  if (dollars === "" || dollars === null || dollars === undefined) return null;
  const micros = Math.round(Number(dollars) * 1_000_000);
  return Number.isFinite(micros) && micros >= 0 ? micros : null;
}
/** The same the other way round: what a field of dollars holds. */
export const dollarsOf = (micros: number | null | undefined): string =>
  micros === null || micros === undefined ? "" : String(micros / 1_000_000);

/** A share from 0 to 1 as a percentage; a dash where there is none. */
export const percent = (share: number | null | undefined): string =>
  share === null || share === undefined ? "–" : `${Math.round(share * 100)}%`;

/** 340 ms, 1.2 s. */
export const latency = (ms: number | null | undefined): string =>
  ms === null || ms === undefined ? "–" : ms >= 1000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms)} ms`;

/** 4250 s becomes "1 h 10 min". */
export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 1) return seconds > 0 ? "<1 s" : "0 s";
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return hours % 24 ? `${Math.floor(hours / 24)} d ${hours % 24} h` : `${hours / 24} d`;
}

/** `add_to_list` becomes "Add to list". */
export function humanise(text: string): string {
  const spaced = text.replace(/[_.-]+/g, " ").trim();
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}

export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${number(count)} ${count === 1 ? one : many}`;
