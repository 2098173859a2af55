import { httpErrorIn } from "../../kernel/http/client.ts";
import type { CompletionOutcome } from "../../kernel/provider.ts";
import { retryAfterSeconds } from "../answers.ts";

/** What every adapter of a language model needs: failures of its official SDK as outcomes, and schemas that the vendors take. */

/** Milliseconds the SDKs wait at most. The client's own limits are shorter and end a call with the reason why. */
export const SDK_MS = 600_000;

/** What both SDKs' errors have. */
type SdkError = Error & {
  status?: number;
  headers?: Headers;
  code?: unknown;
  type?: unknown;
  /** The vendor's own words: OpenAI's SDK keeps its error, Anthropic's the message by itself. */
  error?: { message?: unknown };
  apiMessage?: unknown;
};

/** Codes of an error that make the whole connection unusable, whatever its status. */
const NO_CREDIT = new Set(["insufficient_quota", "billing_hard_limit_reached", "billing_error"]);

/**
 * A failed call. 429 and 5xx were not answered and are not charged; 408 and 504 come when the vendor or a proxy gave up waiting, so the
 * answer may have been made and charged.
 */
export function failureOf(label: string, error: unknown): Exclude<CompletionOutcome, { outcome: "completed" }> {
  const { status, headers, code, type, message, error: body, apiMessage } = error as SdkError;
  if (typeof status !== "number") return unanswered(label, error);
  const name = [code, type].find((c): c is string => typeof c === "string" && c !== "");
  const words = [apiMessage, body?.message, message].find((w): w is string => typeof w === "string" && w !== "");
  const said = { code: name ?? `http_${status}`, detail: (words ?? `${label} answered ${status}.`).slice(0, 300) };
  if (name && NO_CREDIT.has(name)) return { outcome: "broken", ...said };
  if (status === 401 || status === 402 || status === 403) return { outcome: "broken", ...said };
  if (status === 408 || status === 504) return { outcome: "unknown", ...said };
  if (status === 409 || status === 429 || status >= 500) {
    const after = headers ? afterSeconds(headers) : undefined;
    return { outcome: "retry", ...said, ...(after === undefined ? {} : { after_seconds: after }) };
  }
  if (status >= 400) return { outcome: "refused", ...said };
  return { outcome: "unknown", ...said };
}

/** Both vendors may say it in milliseconds, which is the finer word. */
function afterSeconds(headers: Headers): number | undefined {
  const ms = Number(headers.get("retry-after-ms") ?? Number.NaN);
  return Number.isFinite(ms) && ms >= 0 ? Math.min(86_400, Math.ceil(ms / 1000)) : retryAfterSeconds(headers);
}

/** No status: the request did not leave, or its answer could not be read. */
function unanswered(label: string, error: unknown): Exclude<CompletionOutcome, { outcome: "completed" }> {
  const http = httpErrorIn(error);
  if (!http) return { outcome: "unknown", code: "no_answer", detail: `${label} gave no answer that can be read.` };
  const said = { code: http.kind, detail: http.message };
  if (http.sent) return { outcome: "unknown", ...said };
  return { outcome: http.kind === "blocked" ? "broken" : "retry", ...said };
}

/** An answer whose form is not the vendor's: it may have been charged. */
export const unreadable = (label: string, what: string): CompletionOutcome => ({
  outcome: "unknown",
  code: "bad_answer",
  detail: `${label} answered in a form that it does not document: ${what}`.slice(0, 300),
});

type Schema = Readonly<Record<string, unknown>>;

/** Limits that the vendors' constrained decoding does not know and refuses: the caller checks them on the answer. */
const UNKNOWN = new Set([
  ...["$schema", "$id", "default", "examples", "format", "pattern", "minLength", "maxLength", "multipleOf"],
  ...["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "maxItems", "uniqueItems"],
]);

/**
 * A JSON Schema as both vendors take it: limits they do not know go into the description, where the model reads them, and objects have no
 * other properties than those named. `strict`: every property is required, which OpenAI asks for before it holds the answer to the schema.
 */
export function vendorSchema(schema: Schema): { schema: Record<string, unknown>; strict: boolean } {
  let strict = true;
  const one = (given: unknown): unknown => {
    if (Array.isArray(given)) return given.map(one);
    if (given === null || typeof given !== "object") return given;
    const out: Record<string, unknown> = {};
    const told: string[] = [];
    for (const [key, value] of Object.entries(given)) {
      if (UNKNOWN.has(key) || (key === "minItems" && Number(value) > 1)) {
        if (typeof value === "number" || key === "format") told.push(`${key}: ${value}`);
        continue;
      }
      // Names of properties are no keywords.
      out[key] =
        key === "properties" || key === "$defs"
          ? Object.fromEntries(Object.entries(value as Schema).map(([name, sub]) => [name, one(sub)]))
          : ["enum", "const", "required", "description", "title"].includes(key)
            ? value
            : one(value);
    }
    if (told.length > 0) out.description = [out.description, `(${told.join(", ")})`].filter(Boolean).join(" ");
    if (out.properties !== undefined || out.type === "object") {
      const names = Object.keys((out.properties ?? {}) as Schema);
      const required = new Set((out.required ?? []) as string[]);
      if (names.some((n) => !required.has(n))) strict = false;
      out.additionalProperties = false;
    }
    return out;
  };
  return { schema: one(schema) as Record<string, unknown>, strict };
}
