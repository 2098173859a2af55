/** Every error that a caller can get: a stable code, a public sentence and, where it helps, what to do. */

const STATUS = {
  invalid: 422,
  bad_request: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  request_timeout: 408,
  gone: 410,
  too_large: 413,
  unsupported_media_type: 415,
  idempotency_mismatch: 422,
  idempotency_in_progress: 409,
  rate_limited: 429,
  upstream: 502,
  unavailable: 503,
  internal: 500,
} as const;

export type ErrorCode = keyof typeof STATUS;

/** One bad field: a JSON pointer into the input, what is wrong, and what would be right. */
export type FieldError = { pointer: string; detail: string };

type Extra = { errors?: FieldError[]; suggestion?: string; retryAfter?: number; cause?: unknown };

/** An expected failure. `detail` is shown to the caller; internal information goes into `cause`. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly errors?: FieldError[];
  readonly suggestion?: string;
  /** Seconds after which the same call may succeed. */
  readonly retryAfter?: number;

  constructor(code: ErrorCode, detail: string, extra: Extra = {}) {
    super(detail, { cause: extra.cause });
    this.name = "AppError";
    this.code = code;
    this.errors = extra.errors;
    this.suggestion = extra.suggestion;
    this.retryAfter = extra.retryAfter;
  }

  get status(): number {
    return STATUS[this.code];
  }
}

/** An error for a single bad field, the most frequent one. `pointer` as in RFC 6901, e.g. `/steps/0/subject`. */
export const invalidField = (pointer: string, detail: string, suggestion?: string) =>
  new AppError("invalid", detail, { errors: [{ pointer, detail }], suggestion });

export type Problem = {
  type: string;
  title: string;
  status: number;
  code: ErrorCode;
  detail: string;
  request_id: string;
  errors?: FieldError[];
  suggestion?: string;
};

const TITLES: Record<ErrorCode, string> = {
  invalid: "The input is not valid",
  bad_request: "The request could not be read",
  unauthenticated: "Sign in first",
  forbidden: "Not allowed",
  not_found: "Not found",
  conflict: "Conflicts with the current state",
  request_timeout: "The request took too long to arrive",
  gone: "No longer available",
  too_large: "Too large",
  unsupported_media_type: "Unsupported media type",
  idempotency_mismatch: "The Idempotency-Key was used with another request",
  idempotency_in_progress: "The first request with this Idempotency-Key is still running",
  rate_limited: "Too many requests",
  upstream: "A provider answered with an error",
  unavailable: "Temporarily unavailable",
  internal: "Unexpected error in the server",
};

/** SQLSTATE → what the caller did. Constraint messages are not shown to callers, because they name tables. */
const SQLSTATE: Record<string, [ErrorCode, string]> = {
  "23505": ["conflict", "Something with the same key exists already."],
  "23503": ["conflict", "Something this refers to does not exist, or something else still refers to it."],
  "23514": ["invalid", "A value is outside what the database accepts."],
  "22P02": ["invalid", "A value has the wrong format."],
  "22003": ["invalid", "A number is outside what the database accepts."],
  "22007": ["invalid", "A date or time has the wrong format."],
  "22008": ["invalid", "A date or time is outside what the database accepts."],
  "22009": ["invalid", "The offset of a time is outside what the database accepts."],
  "22P05": ["invalid", "Text contains a character that cannot be stored (U+0000)."],
  "22021": ["invalid", "Text is not valid UTF-8."],
  "42501": ["forbidden", "Your role does not allow this."],
  "40001": ["conflict", "Another request changed the same data at the same time. Try again."],
  "40P01": ["conflict", "Another request changed the same data at the same time. Try again."],
  "57014": ["unavailable", "The database did not finish in time."],
};

/** Converts any thrown value to an AppError. Unknown ones become `internal`, with the original as the cause for the log. */
export function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  const sqlstate = (error as { code?: unknown } | null)?.code;
  if (typeof sqlstate === "string" && sqlstate in SQLSTATE) {
    const [code, detail] = SQLSTATE[sqlstate]!;
    return new AppError(code, detail, { cause: error });
  }
  if (typeof sqlstate === "string" && /^(ECONNREFUSED|ECONNRESET|CONNECTION_|CONNECT_TIMEOUT|57P0|08)/.test(sqlstate)) {
    return new AppError("unavailable", "The database cannot be reached.", { cause: error, retryAfter: 5 });
  }
  return new AppError("internal", "An unexpected error. The request id helps us find it.", { cause: error });
}

/** Bad fields that an answer names at most: it stays small whatever came, and a caller mends the first and sees the next. */
export const MAX_ERRORS = 100;

/** RFC 9457 problem document. */
export const toProblem = (error: AppError, requestId: string): Problem => ({
  type: `urn:problem:${error.code.replaceAll("_", "-")}`,
  title: TITLES[error.code],
  status: error.status,
  code: error.code,
  detail: error.message,
  request_id: requestId,
  ...(error.errors ? { errors: error.errors.slice(0, MAX_ERRORS) } : {}),
  ...(error.suggestion ? { suggestion: error.suggestion } : {}),
});
