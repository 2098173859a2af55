import { AppError } from "../errors.ts";

/**
 * Bodies of requests, bounded in size and in time. A caller that sends a byte a minute would otherwise hold a request,
 * and whatever it has taken, for as long as it likes.
 */

type BodyLimits = {
  maxBytes: number;
  /** Longest pause between two pieces, in milliseconds. */
  idleMs: number;
  /** Longest time for the whole body, in milliseconds; absent for files, which may take as long as they keep coming. */
  totalMs?: number;
};

/** The pieces of a body as they come. Throws `too_large`, `request_timeout`, or `bad_request` when it breaks off. */
export async function* incoming(request: Request, limits: BodyLimits): AsyncGenerator<Uint8Array> {
  const tooLarge = () => new AppError("too_large", `The body may have at most ${limits.maxBytes} bytes.`);
  if (Number(request.headers.get("content-length") ?? 0) > limits.maxBytes) throw tooLarge();
  if (!request.body) return;
  const reader = (request.body as ReadableStream<Uint8Array>).getReader();
  const end = limits.totalMs === undefined ? Infinity : performance.now() + limits.totalMs;
  let size = 0;
  try {
    for (;;) {
      const piece = await inTime(reader.read(), Math.min(limits.idleMs, end - performance.now()));
      if (piece.done) return;
      size += piece.value.byteLength;
      if (size > limits.maxBytes) throw tooLarge();
      yield piece.value;
    }
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    throw new AppError("bad_request", "The connection closed before the whole body arrived.", { cause });
  } finally {
    // What the reader of this generator does not want, nobody needs to receive. It may hang as the body did: not awaited.
    reader.cancel().catch(() => {});
  }
}

/** The whole body. */
export async function readBody(request: Request, limits: BodyLimits): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of incoming(request, limits)) {
    pieces.push(piece);
    size += piece.byteLength;
  }
  const body = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    body.set(piece, at);
    at += piece.byteLength;
  }
  return body;
}

async function inTime<T>(promise: Promise<T>, ms: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () =>
        reject(
          new AppError("request_timeout", "The body arrived too slowly.", {
            suggestion: "Send the request again without pauses.",
          }),
        ),
      Math.max(0, ms),
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
