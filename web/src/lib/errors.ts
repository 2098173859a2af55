/** A failed call, as the API described it (RFC 9457) or as the network left it. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly detail: string;
  readonly suggestion: string | null;
  readonly requestId: string | null;
  /** Seconds to wait before the next try, when the server named them. */
  readonly retryAfter: number | null;
  /** Field path (`email`, `steps.0.subject`) to what is wrong with it. */
  readonly fields: Record<string, string>;

  constructor(status: number, problem: Problem, retryAfter: number | null = null) {
    super(problem.detail ?? problem.title ?? `The server responded with status ${status}.`);
    this.name = "ApiError";
    this.status = status;
    this.code = problem.code ?? "unknown";
    this.title = problem.title ?? (status === 0 ? "No connection" : `Error ${status}`);
    this.detail = this.message;
    this.suggestion = problem.suggestion ?? null;
    this.requestId = problem.request_id ?? null;
    this.retryAfter = retryAfter;
    this.fields = {};
    for (const e of problem.errors ?? []) {
      const path = pointerToPath(e.pointer);
      this.fields[path] ??= e.detail;
      // Beside its field, one fault is said with what helps.
      if (problem.errors!.length === 1 && e.detail === problem.detail && problem.suggestion)
        this.fields[path] = `${e.detail} ${problem.suggestion}`;
    }
  }
}

export type Problem = {
  title?: string;
  detail?: string;
  code?: string;
  request_id?: string;
  suggestion?: string;
  errors?: { pointer: string; detail: string }[];
};

/** `#/body/steps/0/subject` and `/steps/0/subject` both become `steps.0.subject`. */
export function pointerToPath(pointer: string): string {
  return pointer
    .replace(/^#/, "")
    .replace(/^\/(body|query|json)(?=\/)/, "")
    .replace(/^\//, "")
    .split("/")
    .map((part) => part.replace(/~1/g, "/").replace(/~0/g, "~"))
    .join(".");
}

/** Turns whatever was thrown into an ApiError; programming errors keep their message. */
export function toApiError(thrown: unknown): ApiError {
  if (thrown instanceof ApiError) return thrown;
  if (thrown instanceof TypeError && /fetch|network|load failed/i.test(thrown.message)) {
    return new ApiError(0, {
      title: "No connection",
      code: "offline",
      detail: "The server did not respond.",
      suggestion: "Check that it is running and that you are online, then try again.",
    });
  }
  return new ApiError(-1, {
    title: "An error occurred on this page",
    code: "client",
    detail: thrown instanceof Error ? thrown.message : String(thrown),
  });
}
