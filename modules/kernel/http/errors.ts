type HttpFault =
  "blocked" | "dns" | "connect" | "tls" | "timeout" | "reset" | "too_large" | "bad_answer" | "redirect" | "aborted";

/**
 * Why no usable answer came. `sent` says whether the request may have reached the peer: false means it surely did not,
 * so repeating it is safe. A TypeError, because that is what `fetch` rejects with: official SDKs keep it as `cause`.
 */
export class HttpError extends TypeError {
  readonly kind: HttpFault;
  readonly sent: boolean;
  constructor(kind: HttpFault, detail: string, sent: boolean, cause?: unknown) {
    super(detail, { cause });
    this.name = "HttpError";
    this.kind = kind;
    this.sent = sent;
  }
}

/** The HttpError an SDK's own error was made from, however deep it lies; undefined when there is none. */
export function httpErrorIn(error: unknown): HttpError | undefined {
  let at = error;
  for (let depth = 0; depth < 8 && at instanceof Error; depth++) {
    if (at instanceof HttpError) return at;
    at = at.cause;
  }
  return undefined;
}
