import type { CompletionUsage } from "../kernel/provider.ts";

/**
 * What tokens cost, in millionths of a US dollar for a million tokens. The team's own table decides what is reserved and settled; the list
 * here only fills it in when a team adds a model without saying its prices.
 */
export type Prices = {
  input_micros: number;
  output_micros: number;
  /** What comes out of the provider's cache. */
  cached_micros: number;
  /** What goes into it. */
  written_micros: number;
};

const MILLION = 1_000_000;

/** What a call did cost, rounded up. */
export function costOf(prices: Prices, usage: CompletionUsage): number {
  const plain = Math.max(0, usage.input - usage.cached - usage.written);
  const sum =
    plain * prices.input_micros +
    usage.cached * prices.cached_micros +
    usage.written * prices.written_micros +
    usage.output * prices.output_micros;
  return Math.ceil(sum / MILLION);
}

/**
 * The most that a call can cost. Every tokenizer makes at most one token of a byte, so the bytes that are sent are the most tokens that can
 * be read, all at the highest price of reading.
 */
export function mostOf(prices: Prices, bytes: number, maxOutput: number): number {
  const read = Math.max(prices.input_micros, prices.cached_micros, prices.written_micros);
  return Math.ceil((bytes * read + maxOutput * prices.output_micros) / MILLION);
}

const dollars = (input: number, output: number, cached: number, written = input): Prices => ({
  input_micros: Math.round(input * MILLION),
  output_micros: Math.round(output * MILLION),
  cached_micros: Math.round(cached * MILLION),
  written_micros: Math.round(written * MILLION),
});

/** List prices of November 2026 without batch or long-context terms: openai.com/api/pricing, platform.claude.com/docs/en/about-claude/pricing. */
export const PRICE_LIST: Readonly<Record<string, Prices>> = {
  "gpt-4o": dollars(2.5, 10, 1.25),
  "gpt-4o-mini": dollars(0.15, 0.6, 0.075),
  "gpt-5.6-sol": dollars(5, 30, 0.5, 6.25),
  "gpt-5.6-terra": dollars(2, 12, 0.2, 2.5),
  "gpt-5.6-luna": dollars(0.2, 1.2, 0.02, 0.25),
  "gpt-6-sol": dollars(2, 10, 0.2, 2.5),
  "gpt-6-luna": dollars(0.1, 0.5, 0.01, 0.125),
  "claude-opus-5-5": dollars(4, 20, 0.2, 5),
  "claude-opus-5": dollars(5, 25, 0.5, 6.25),
  "claude-sonnet-5-5": dollars(2, 10, 0.1, 2.5),
  "claude-sonnet-5": dollars(2, 10, 0.2, 2.5),
  // Of prompts up to 100,000 tokens.
  "claude-haiku-5-5": dollars(0.1, 0.5, 0.01, 0.125),
  "claude-haiku-4-5": dollars(1, 5, 0.1, 1.25),
};

/** The list price of a model; a name with a date behind it is the same model. */
export function listPrice(model: string): Prices | null {
  return PRICE_LIST[model] ?? PRICE_LIST[model.replace(/-(\d{8}|\d{4}-\d{2}-\d{2}|latest)$/, "")] ?? null;
}
