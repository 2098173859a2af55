import { z } from "zod";
import type { CompletionOutcome, CompletionUsage } from "../kernel/provider.ts";

/** What an answer is worth: whether it fits the form that was asked for. Pure. */

export const OUTCOMES = [
  "completed",
  "cached",
  "invalid",
  "length",
  "declined",
  "refused",
  "retry",
  "unknown",
  "broken",
  "lost",
] as const;
export type CallOutcome = (typeof OUTCOMES)[number];

export type Judged<T> =
  | { outcome: "completed"; text: string; value: T; stop: "end" | "length"; usage: CompletionUsage }
  | { outcome: "invalid"; text: string; faults: string; usage: CompletionUsage }
  | { outcome: "length" | "declined"; detail: string; usage: CompletionUsage }
  | Exclude<CompletionOutcome, { outcome: "completed" }>;

/** Text without a schema may be cut off: the caller is told. JSON that is cut off is none. */
export function judge<T>(told: CompletionOutcome, schema: z.ZodType<T> | undefined): Judged<T> {
  if (told.outcome !== "completed") return told;
  const { text, stop, usage } = told;
  if (stop === "declined") return { outcome: "declined", detail: text.slice(0, 300), usage };
  if (!schema) return { outcome: "completed", text, value: undefined as T, stop, usage };
  const read = parseAnswer(text, schema);
  if (read.ok) return { outcome: "completed", text, value: read.value, stop, usage };
  if (stop === "length") return { outcome: "length", detail: "The answer was cut off before its JSON ended.", usage };
  return { outcome: "invalid", text, faults: read.faults, usage };
}

export function parseAnswer<T>(
  text: string,
  schema: z.ZodType<T>,
): { ok: true; value: T } | { ok: false; faults: string } {
  let json: unknown;
  try {
    // Models without constrained decoding like to put a fence around it.
    json = JSON.parse(text.trim().replace(/^```(?:json)?\s*([^]*?)\s*```$/, "$1"));
  } catch (error) {
    return { ok: false, faults: `It is not JSON: ${(error as Error).message}` };
  }
  const parsed = schema.safeParse(json);
  return parsed.success
    ? { ok: true, value: parsed.data }
    : { ok: false, faults: z.prettifyError(parsed.error).slice(0, 2000) };
}
