/** Phoenix serializer versions that supabase-js uses. */
export type Version = "1.0.0" | "2.0.0";

export interface Frame {
  joinRef: string | null;
  ref: string | null;
  topic: string;
  event: string;
  payload: unknown;
}

/** A user's event. Binary payloads exist only under version 2.0.0. */
export interface Broadcast {
  event: string;
  payload: unknown;
  meta?: { id: string };
}

/** Names and references are kept with the channel, so they are short. A topic's own limit is told in the answer to its join. */
const MAX_NAME = 1_000;
const PUSH = 3;
const DELIVERY = 4;
const BINARY = 0;

/** Parses what a client sent; throws when it is no frame. */
export function decodeFrame(version: Version, data: string | ArrayBuffer): Frame {
  if (typeof data !== "string") return decodePush(new Uint8Array(data));
  const message = JSON.parse(data) as unknown;
  if (version === "2.0.0") {
    if (!Array.isArray(message) || message.length !== 5)
      throw new Error("A frame is [join_ref, ref, topic, event, payload].");
    const [joinRef, ref, topic, event, payload] = message;
    return checked({ joinRef, ref, topic, event, payload });
  }
  const { join_ref, ref, topic, event, payload } = message as Record<string, unknown>;
  return checked({
    joinRef: join_ref ?? null,
    ref: ref ?? null,
    topic,
    event,
    payload,
  });
}

function checked(frame: Record<keyof Frame, unknown>): Frame {
  const { topic, event, joinRef, ref } = frame;
  if (typeof topic !== "string" || typeof event !== "string") throw new Error("A frame needs a topic and an event.");
  for (const name of [topic, event, joinRef, ref]) {
    if (name !== null && typeof name !== "string") throw new Error("References are texts or null.");
    if (name !== null && name.length > MAX_NAME) throw new Error("A topic, an event or a reference is too long.");
  }
  return frame as Frame;
}

/** Kind 3: lengths of join_ref, ref, topic, event, metadata; encoding; the strings; the payload. */
function decodePush(bytes: Uint8Array): Frame {
  if (bytes[0] !== PUSH || bytes.length < 7) throw new Error("Unknown binary frame.");
  const encoding = bytes[6];
  let at = 7;
  const [joinRef, ref, topic, event] = [1, 2, 3, 4, 5].map((index) => {
    const part = bytes.subarray(at, at + bytes[index]!);
    at += bytes[index]!;
    return new TextDecoder().decode(part);
  }) as [string, string, string, string, string];
  if (at > bytes.length) throw new Error("Truncated binary frame.");
  const body = bytes.slice(at);
  const payload = encoding === BINARY ? body : (JSON.parse(new TextDecoder().decode(body)) as unknown);
  return {
    joinRef: joinRef || null,
    ref: ref || null,
    topic,
    event: "broadcast",
    payload: { type: "broadcast", event, payload },
  };
}

/** Text form of a frame for a client. */
export function encodeFrame(version: Version, { joinRef, ref, topic, event, payload }: Frame): string {
  return version === "2.0.0"
    ? JSON.stringify([joinRef, ref, topic, event, payload])
    : JSON.stringify({ topic, event, payload, ref, join_ref: joinRef });
}

/** A broadcast for a client; null when the client's version cannot carry it (binary under 1.0.0). */
export function encodeBroadcast(
  version: Version,
  topic: string,
  broadcast: Broadcast,
): string | Uint8Array<ArrayBuffer> | null {
  const { event, payload, meta } = broadcast;
  if (payload instanceof Uint8Array) return version === "2.0.0" ? encodeBinary(topic, event, payload) : null;
  const message = { type: "broadcast", event, payload, ...(meta ? { meta } : {}) };
  return encodeFrame(version, { joinRef: null, ref: null, topic, event: "broadcast", payload: message });
}

function encodeBinary(topic: string, event: string, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const [topicBytes, eventBytes] = [topic, event].map((text) => new TextEncoder().encode(text)) as [
    Uint8Array,
    Uint8Array,
  ];
  const frame = new Uint8Array(5 + topicBytes.length + eventBytes.length + payload.length);
  frame.set([DELIVERY, topicBytes.length, eventBytes.length, 0, BINARY]);
  frame.set(topicBytes, 5);
  frame.set(eventBytes, 5 + topicBytes.length);
  frame.set(payload, 5 + topicBytes.length + eventBytes.length);
  return frame;
}
