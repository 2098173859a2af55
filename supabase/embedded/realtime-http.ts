import type { Sql } from "postgres";
import { channelAccess, claimsOf, Refused, type Claims, type Keys } from "./realtime-access.ts";
import type { RealtimeHub } from "./realtime-hub.ts";
import { MAX_NAME_BYTES, MAX_PAYLOAD_BYTES } from "./realtime-socket.ts";

/** Each private topic costs questions to the database. */
const MAX_MESSAGES = 100;

interface Message {
  topic: string;
  event: string;
  payload: unknown;
  private: boolean;
}

/** Broadcasts over HTTP: `POST /realtime/v1/api/broadcast` and `…/broadcast/<topic>/events/<event>`; answers 202. */
export class RealtimeHttp {
  readonly #sql: Sql;
  readonly #keys: Keys;
  readonly #hub: RealtimeHub;

  constructor(sql: Sql, keys: Keys, hub: RealtimeHub) {
    this.#sql = sql;
    this.#keys = keys;
    this.#hub = hub;
  }

  async fetch(request: Request): Promise<Response> {
    if (request.method !== "POST") return problem(405, "Use POST");
    try {
      const claims = await this.#claims(request);
      const messages = await readMessages(request);
      const allowed = await this.#allowed(messages, claims);
      for (const { topic, event, payload, private: isPrivate } of allowed) {
        this.#hub.broadcast(topic, isPrivate, { event, payload });
      }
      return new Response(null, { status: 202 });
    } catch (error) {
      if (error instanceof Refused) return problem(401, error.message);
      if (error instanceof Invalid) return problem(error.status, error.message);
      throw error;
    }
  }

  async #claims(request: Request): Promise<Claims> {
    const query = new URL(request.url).searchParams;
    const bearer = request.headers.get("authorization")?.replace(/^Bearer\s+/i, "");
    const key = request.headers.get("apikey") ?? query.get("apikey") ?? bearer;
    const claims = await claimsOf(this.#keys, key);
    return bearer && bearer !== key && !bearer.startsWith("sb_") ? await claimsOf(this.#keys, bearer) : claims;
  }

  /** Without the private messages whose topic the bearer may not write to. */
  async #allowed(messages: Message[], claims: Claims): Promise<Message[]> {
    const verdicts = new Map<string, boolean>();
    for (const { topic, private: isPrivate } of messages) {
      if (isPrivate && !verdicts.has(topic)) verdicts.set(topic, (await channelAccess(this.#sql, topic, claims)).send);
    }
    return messages.filter((message) => !message.private || verdicts.get(message.topic));
  }
}

async function readMessages(request: Request): Promise<Message[]> {
  const { pathname, searchParams } = new URL(request.url);
  const body = new Uint8Array(await request.arrayBuffer());
  if (body.length > MAX_PAYLOAD_BYTES) throw new Invalid(413, `A payload may have at most ${MAX_PAYLOAD_BYTES} bytes`);
  const single = /^\/realtime\/v1\/api\/broadcast\/([^/]+)\/events\/([^/]+)$/.exec(pathname);
  if (single) {
    const binary = request.headers.get("content-type")?.startsWith("application/octet-stream");
    const [topic, event] = [decoded(single[1]!), decoded(single[2]!)];
    return [
      check({ topic, event, payload: binary ? body : json(body), private: searchParams.get("private") === "true" }, 0),
    ];
  }
  if (pathname !== "/realtime/v1/api/broadcast") throw new Invalid(404, "Not found");
  const { messages } = (json(body) ?? {}) as { messages?: unknown };
  if (!Array.isArray(messages) || messages.length === 0)
    throw new Invalid(422, '"messages" must be a list of messages');
  if (messages.length > MAX_MESSAGES)
    throw new Invalid(422, `"messages" may hold at most ${MAX_MESSAGES} messages; send the others in another request`);
  return messages.map((message, index) => check({ ...message, private: message?.private === true }, index));
}

function check(message: Message, index: number): Message {
  for (const field of ["topic", "event"] as const) {
    const value = message[field];
    if (typeof value !== "string" || !value || new TextEncoder().encode(value).length > MAX_NAME_BYTES) {
      throw new Invalid(422, `messages[${index}].${field} must be a text of 1 to ${MAX_NAME_BYTES} bytes`);
    }
  }
  if (message.payload === undefined) throw new Invalid(422, `messages[${index}].payload is missing`);
  return message;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Invalid(400, "The address has a broken escape");
  }
}

function json(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(body));
  } catch {
    throw new Invalid(400, "The body is not valid JSON");
  }
}

class Invalid extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

function problem(status: number, error: string): Response {
  return Response.json({ error, message: error }, { status });
}
