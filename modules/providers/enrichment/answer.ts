import { AppError } from "../../kernel/errors.ts";
import { HttpError, type HttpResponse } from "../../kernel/http/client.ts";
import { retryAfterSeconds, jsonOrNull } from "../answers.ts";
import type { Answer, Question } from "./vocabulary.ts";

/** An outcome that is no answer, the same for all that answer questions. */
export type NoAnswer = Exclude<Answer, { outcome: "found" }>;

/** What every lookup adapter over HTTP needs: calls whose failures are outcomes, and refusals read alike. */

/**
 * Outcomes of a call, in the order of the questions. A call that got no answer may have been charged unless it surely did not leave; so may
 * one whose answer cannot be read.
 */
export async function lookupCall(questions: readonly Question[], call: () => Promise<Answer[]>): Promise<Answer[]> {
  try {
    const got = await call();
    if (got.length !== questions.length)
      return questions.map(() => ({
        outcome: "unknown",
        code: "bad_answer",
        detail: `The answer has ${got.length} items for ${questions.length} questions.`,
      }));
    return got;
  } catch (error) {
    const failed = failureOf(error);
    return questions.map(() => failed);
  }
}

/** A call that got no answer, or one that cannot be read. Throws what is a fault of ours. */
export function failureOf(error: unknown): NoAnswer {
  if (error instanceof AppError) return { outcome: "unknown", code: "bad_answer", detail: error.message };
  if (!(error instanceof HttpError)) throw error;
  const { kind, message } = error;
  if (error.sent) return { outcome: "unknown", code: kind, detail: message };
  if (kind === "blocked") return { outcome: "broken", code: kind, detail: message };
  return { outcome: "retry", code: kind, detail: message };
}

type Statuses = {
  /** The connection is unusable: key refused, no credits left. */
  broken: readonly number[];
  /** This question will never be answered as it stands. */
  refused: readonly number[];
  /** Too fast, beside 429. */
  limited?: readonly number[];
};

/** A status that is no answer. Where it is none of these, 5xx was not answered and may work later. */
export function refusal(label: string, response: HttpResponse, statuses: Statuses): NoAnswer {
  const { status } = response;
  const code = `http_${status}`;
  const detail = wordsOf(response) ?? `${label} answered ${status}.`;
  if (status === 429 || statuses.limited?.includes(status)) {
    const after = retryAfterSeconds(response.headers);
    return { outcome: "retry", code: "rate_limited", detail, ...(after === undefined ? {} : { after_seconds: after }) };
  }
  if (statuses.broken.includes(status)) return { outcome: "broken", code, detail };
  if (statuses.refused.includes(status)) return { outcome: "refused", code, detail };
  if (status >= 500) return { outcome: "retry", code, detail };
  return { outcome: "unknown", code, detail: `${label} answered ${status}, which its documentation does not name.` };
}

/** The words of an error as providers write it: `{message}`, `{error}`, `{error:{message}}`, `{errors:[{details|message} or text]}`, `{details}`, plain text. */
function wordsOf(response: HttpResponse): string | null {
  const body = jsonOrNull(response) as Record<string, unknown> | null;
  if (body === null || typeof body !== "object") {
    const plain = response.text().trim();
    return plain && !plain.startsWith("<") ? plain.slice(0, 300) : null;
  }
  const error = body.error as Record<string, unknown> | string | undefined;
  const [first] = Array.isArray(body.errors) ? (body.errors as (Record<string, unknown> | string)[]) : [];
  const one = typeof first === "object" ? first : null;
  const said = [
    typeof error === "object" ? error?.message : error,
    body.message,
    body.description,
    body.details,
    first,
    one?.details,
    one?.message,
    one?.Message,
  ].find((w) => typeof w === "string" && w !== "");
  return typeof said === "string" ? said.slice(0, 300) : null;
}

/** The first that is there. */
export const pickFirst = <T>(...values: readonly (T | null | undefined)[]): T | undefined =>
  values.find((v): v is T => v !== null && v !== undefined && v !== "");

/** A profile's URL by its handle, which providers write with the first part of the path or without it; a person's or a company's. */
export const linkedinUrl = (handle: string | null | undefined, part: "in" | "company"): string | undefined =>
  handle ? `https://www.linkedin.com/${handle.includes("/") ? handle : `${part}/${handle}`}` : undefined;
