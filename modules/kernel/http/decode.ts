import { once } from "node:events";
import type { Transform } from "node:stream";
import zlib from "node:zlib";
import { HttpError } from "./errors.ts";

/** What is asked for when the caller names nothing else. (zstd is missing from Node 20.) */
export const ACCEPT_ENCODING = "gzip, deflate, br";

/** Small answers, such as events of a stream, are given on at once rather than when a block is full. */
const FLUSH = { flush: zlib.constants.Z_SYNC_FLUSH };
const BROTLI_FLUSH = { flush: zlib.constants.BROTLI_OPERATION_FLUSH };

const DECODERS: Record<string, (first: Uint8Array) => Transform> = {
  gzip: () => zlib.createGunzip(FLUSH),
  "x-gzip": () => zlib.createGunzip(FLUSH),
  br: () => zlib.createBrotliDecompress(BROTLI_FLUSH),
  // Some servers leave the zlib header out; its first byte ends in 8.
  deflate: (first) => ((first[0]! & 0x0f) === 8 ? zlib.createInflate(FLUSH) : zlib.createInflateRaw(FLUSH)),
};

/** The decoders for a `content-encoding`, in the order to apply them; null when we do not know one of them. */
export function decodersFor(encoding: string | null): ((first: Uint8Array) => Transform)[] | null {
  const codings = (encoding ?? "")
    .split(",")
    .map((c) => c.trim().toLowerCase())
    .filter((c) => c !== "" && c !== "identity");
  // Nobody sends more than two; each one multiplies what a bomb costs.
  if (codings.length > 2)
    throw new HttpError("bad_answer", `The response has ${codings.length} content encodings.`, true);
  const found = codings.map((c) => (Object.hasOwn(DECODERS, c) ? DECODERS[c]! : null));
  return found.includes(null) ? null : (found as ((first: Uint8Array) => Transform)[]).reverse();
}

type Bytes = ReadableStream<Uint8Array>;

/** The decoded body. Nothing is read ahead of the reader beyond zlib's own buffers, so a bomb stops where its reader does. */
export function decodeBody(source: Bytes, decoder: (first: Uint8Array) => Transform): Bytes {
  const reader = source.getReader();
  let output: AsyncIterator<Uint8Array> | undefined;
  let transform: Transform | undefined;
  /** What the source failed with; any other error is the decoder's. */
  let fault: unknown;
  const read = async () => {
    try {
      return (await reader.read()).value;
    } catch (error) {
      fault = error;
      throw error;
    }
  };

  async function feed(into: Transform, first: Uint8Array) {
    try {
      let chunk: Uint8Array | undefined = first;
      while (chunk) {
        if (!into.write(chunk)) await once(into, "drain");
        chunk = await read();
      }
      into.end();
    } catch (error) {
      into.destroy(error as Error);
    }
  }

  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          if (!output) {
            const first = await read();
            if (!first) return controller.close();
            transform = decoder(first);
            output = transform[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
            void feed(transform, first);
          }
          const { done, value } = await output.next();
          if (done) controller.close();
          else controller.enqueue(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
        } catch (error) {
          const told = fault ?? new HttpError("bad_answer", "The compressed response is damaged.", true, error);
          controller.error(told);
          await reader.cancel(told).catch(() => {});
        }
      },
      async cancel(reason) {
        transform?.destroy();
        await reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}

type Ends = {
  /** Called once the body has ended, failed or been cancelled. */
  done(): void;
  /** What a failure is to the reader. */
  outward(error: unknown): unknown;
};

/** The same body, which errors once more than `maxBytes` have passed. */
export function limitBody(source: Bytes, maxBytes: number, ends?: Ends): Bytes {
  const reader = source.getReader();
  let size = 0;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (done) {
            ends?.done();
            return controller.close();
          }
          size += value.byteLength;
          if (size <= maxBytes) return controller.enqueue(value);
        } catch (error) {
          ends?.done();
          return controller.error(ends ? ends.outward(error) : error);
        }
        const error = new HttpError("too_large", `The response is larger than ${maxBytes} bytes.`, true);
        ends?.done();
        controller.error(error);
        await reader.cancel(error).catch(() => {});
      },
      cancel(reason) {
        ends?.done();
        return reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}
