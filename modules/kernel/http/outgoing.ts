/** What a caller gave as a request's body, in one form. */
export type Outgoing = {
  /** Bytes, or null when only the end of the stream tells; the request is then sent in chunks. */
  length: number | null;
  /** The content type the body itself asks for, as `fetch` sets it. */
  type: string | null;
  /** Whether it can be sent a second time, to where a redirect points. */
  replayable: boolean;
  open(): Uint8Array | Source;
};

/** Pieces of a body as the socket takes them. */
export type Source = {
  next(): Promise<Uint8Array | null>;
  cancel(reason: unknown): Promise<void>;
};

export type BodyInput = RequestInit["body"] | AsyncIterable<Uint8Array | string>;

const encoder = new TextEncoder();
const bytes = (open: Uint8Array, type: string | null): Outgoing => ({
  length: open.byteLength,
  type,
  replayable: true,
  open: () => open,
});

/** Takes every body `fetch` takes, and any async iterable of bytes. Throws TypeError for anything else. */
export function toOutgoing(body: BodyInput): Outgoing | null {
  if (body === null || body === undefined) return null;
  if (typeof body === "string") return bytes(encoder.encode(body), "text/plain;charset=UTF-8");
  if (body instanceof URLSearchParams)
    return bytes(encoder.encode(String(body)), "application/x-www-form-urlencoded;charset=UTF-8");
  if (body instanceof ArrayBuffer) return bytes(new Uint8Array(body), null);
  if (ArrayBuffer.isView(body)) return bytes(new Uint8Array(body.buffer, body.byteOffset, body.byteLength), null);
  if (body instanceof Blob) return ofBlob(body, body.type || null);
  if (body instanceof FormData) return ofForm(body);
  if (body instanceof ReadableStream) return ofStream(() => fromReader(body.getReader()), null, false);
  if (Symbol.asyncIterator in body) return ofStream(() => fromIterator(body[Symbol.asyncIterator]()), null, false);
  throw new TypeError("A request's body is text, bytes, a Blob, a form, URLSearchParams or a stream of bytes.");
}

const ofStream = (open: () => Source, length: number | null, replayable: boolean): Outgoing => ({
  length,
  type: null,
  replayable,
  open,
});

const ofBlob = (blob: Blob, type: string | null): Outgoing => ({
  ...ofStream(() => fromReader(blob.stream().getReader()), blob.size, true),
  type,
});

/** multipart/form-data as HTML writes it. Files are parts of a Blob, so they are neither copied nor read here. */
function ofForm(form: FormData): Outgoing {
  const boundary = `----form-${crypto.randomUUID()}`;
  const escape = (text: string) => text.replace(/\r\n?|\n/g, "%0D%0A").replace(/"/g, "%22");
  const parts: BlobPart[] = [];
  for (const [name, value] of form as unknown as Iterable<[string, string | File]>) {
    const head = `--${boundary}\r\nContent-Disposition: form-data; name="${escape(name)}"`;
    if (typeof value === "string") parts.push(`${head}\r\n\r\n${value.replace(/\r\n?|\n/g, "\r\n")}\r\n`);
    else {
      const type = value.type || "application/octet-stream";
      parts.push(`${head}; filename="${escape(value.name)}"\r\nContent-Type: ${type}\r\n\r\n`, value, "\r\n");
    }
  }
  parts.push(`--${boundary}--\r\n`);
  return ofBlob(new Blob(parts), `multipart/form-data; boundary=${boundary}`);
}

function toBytes(value: unknown): Uint8Array {
  if (typeof value === "string") return encoder.encode(value);
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  throw new TypeError("A stream given as a request's body must yield bytes.");
}

const fromReader = (reader: ReadableStreamDefaultReader<Uint8Array>): Source => ({
  async next() {
    const { done, value } = await reader.read();
    return done ? null : toBytes(value);
  },
  cancel: (reason) => reader.cancel(reason),
});

const fromIterator = (iterator: AsyncIterator<Uint8Array | string>): Source => ({
  async next() {
    const { done, value } = await iterator.next();
    return done ? null : toBytes(value);
  },
  async cancel() {
    await iterator.return?.();
  },
});
