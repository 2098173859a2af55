import { createHash } from "node:crypto";
import { Hono } from "hono";
import { z } from "zod";
import type { Cast } from "./cast.ts";
import { type Sandbox, underFault } from "./context.ts";
import type { Account, Inbound, Message } from "./store.ts";

/**
 * A provider's twin: what it accepts, how it refuses and what it reports, as data and small functions. The sandbox adds the rest:
 * faults, idempotency, people who answer, state that survives a restart, webhooks that are repeated until they are taken.
 */
export type Emulation = {
  /** The provider's id. Its paths begin with it (`/resend/…`), and so do the names of its accounts (`resend:<key>`). */
  id: string;
  /** Who plays the recipients, where it takes messages. */
  people?: Cast;
  /** Credentials of a fresh account, by the adapter's own names; `key` is how the account is called here. */
  example(): { credentials: Record<string, string>; settings?: Record<string, unknown>; key: string };
  /** Its API over HTTP … */
  http?: HttpApi;
  /** … or a server of another protocol, on a port of its own. */
  listen?(sandbox: Sandbox, port: number): Promise<{ port: number; close(): Promise<void> }>;
  /** The webhooks that report what happened to a message. */
  events?(message: Message, kind: EventKind, recipient: string, account: Account): WebhookCall[];
  /** The webhooks that report a received message. */
  inbound?(received: Inbound, account: Account): WebhookCall[];
};

export type EventKind = "delivered" | "bounced" | "softbounced" | "complained" | "opened" | "suppressed";

export type WebhookCall = {
  /** Stays the same across retries and duplicates. */
  id: string;
  url: string;
  body: string;
  /** Made for every attempt, because a signature may cover the moment of sending. `content-type` is JSON unless said here. */
  headers?: () => Promise<Record<string, string>> | Record<string, string>;
  /** Statuses that end the retries for good. */
  stopOn?: readonly number[];
};

/** Why a body was refused: not readable at all (`issues` empty), or not as the schema wants it. */
export type BodyFault = { detail: string; issues: readonly z.core.$ZodIssue[]; input: unknown };

export type HttpApi = {
  /** How bodies are written. */
  content: "json" | "form";
  /** Whose call it is, or the provider's refusal. Any key that looks right is an account of its own. */
  auth(request: Request, path: string): { key: string } | Response;
  /** The provider's own words for what can go wrong anywhere. */
  refuse: {
    body(fault: BodyFault): Response;
    unknownPath(): Response;
    rateLimit(retryAfter: number): Response;
    serverError(): Response;
  };
  /** Idempotency of sends, where the provider has it: the first answer again for the same request, for 24 hours. */
  idempotency?: {
    header: string;
    badKey(key: string): Response | null;
    otherBody(): Response;
    running(): Response;
  };
  /** Headers of every answer. */
  headers?: Record<string, string>;
  routes: readonly Route[];
};

/** One request, authenticated and parsed. */
export type Call<B> = {
  account: Account;
  body: B;
  params: Record<string, string>;
  query: URLSearchParams;
  headers: Headers;
  store: Sandbox["store"];
  /** Parses a part of the body by itself; refuses as a bad body is refused. */
  parse<T>(schema: z.ZodType<T>, value: unknown): T;
  /** Takes a message: stores it, and lets its recipients act. */
  accept(message: Message): Message;
  /** Notes that the account is charged for a question, so that a run can be compared with what it was charged. */
  charge(units: number, question: string): void;
  /** This account's messages and received ones, newest first. */
  messages(): Message[];
  received(): Inbound[];
};

/** An answer is a Response, or a value that becomes JSON with status 200. */
type Handler<B> = (call: Call<B>) => unknown;
export type Route = { method: string; path: string; body: z.ZodType | null; sends: boolean; handle: Handler<never> };

/** `route("POST /things/:id", schema, handler)`; without a schema the body is not read. Unknown fields are refused by strict schemas. */
export function route(line: string, handle: Handler<null>): Route;
export function route<B>(line: string, body: z.ZodType<B>, handle: Handler<B>): Route;
export function route<B>(line: string, body: z.ZodType<B> | Handler<null>, handle?: Handler<B>): Route {
  const [method, path] = line.split(" ") as [string, string];
  return typeof body === "function"
    ? { method, path, body: null, sends: false, handle: body }
    : { method, path, body, sends: false, handle: handle as Handler<never> };
}

/** A route that takes messages: armed faults strike here, and idempotency keys count. */
export const sends = (of: Route): Route => ({ ...of, sends: true });
/** A route that answers questions: armed faults strike here. */
export const looksUp = sends;

/** Ends a call with the provider's refusal. */
export class Refusal extends Error {
  readonly response: Response;
  constructor(response: Response) {
    super("refused by the emulated provider");
    this.response = response;
  }
}

export const defineEmulation = (def: Emulation): Emulation => def;

const DAY_MS = 24 * 3600_000;

/** The emulation's API as an app below its own path. */
export function emulatedApi(sandbox: Sandbox, { id, http }: Emulation & { http: HttpApi }): Hono {
  const { store, world } = sandbox;
  const { refuse, idempotency } = http;
  const running = new Set<string>();
  const app = new Hono();

  const parse = <T>(schema: z.ZodType<T>, input: unknown): T => {
    const { success, data, error } = schema.safeParse(input);
    if (success) return data;
    throw new Refusal(refuse.body({ detail: z.prettifyError(error), issues: error.issues, input }));
  };
  const readBody = (raw: string): unknown => {
    if (http.content === "form") return formValues(raw);
    try {
      return JSON.parse(raw);
    } catch {
      throw new Refusal(refuse.body({ detail: "The body is not valid JSON.", issues: [], input: raw }));
    }
  };

  /** The first answer again for a key that was used before with the same body. */
  async function once(slot: string | null, raw: string, act: () => Promise<Response>): Promise<Response> {
    if (slot === null || !idempotency) return act();
    const digest = createHash("sha256").update(raw).digest("hex");
    const known = store.keys.get(slot);
    if (known && Date.now() - Date.parse(known.at) < DAY_MS) {
      if (known.digest !== digest) return idempotency.otherBody();
      return new Response(known.body, { status: known.status, headers: { "content-type": "application/json" } });
    }
    const response = await act();
    const body = await response.clone().text();
    if (response.ok) store.remember(slot, { digest, at: new Date().toISOString(), status: response.status, body });
    return response;
  }

  async function send(account: Account, headers: Headers, raw: string, act: () => Promise<Response>) {
    const key = idempotency ? headers.get(idempotency.header) : null;
    const bad = key === null ? null : idempotency!.badKey(key);
    if (bad) return bad;
    const slot = key === null ? null : `${account.id}|${key}`;
    if (slot !== null && running.has(slot)) return idempotency!.running();
    if (slot !== null) running.add(slot);
    try {
      return await underFault(sandbox, account.id, refuse, () => once(slot, raw, act));
    } finally {
      if (slot !== null) running.delete(slot);
    }
  }

  for (const { method, path, body, sends: takes, handle } of http.routes) {
    app.on(method, path, async (c) => {
      const request = c.req.raw;
      const who = http.auth(request, new URL(request.url).pathname.slice(id.length + 1));
      if (who instanceof Response) return who;
      const account = store.account(id, who.key);
      const mine = <T extends { account: string }>(items: Map<string, T>) =>
        [...items.values()].filter((item) => item.account === account.id).toReversed();
      try {
        const raw = body ? await request.text() : "";
        const call: Call<never> = {
          account,
          body: (body ? parse(body, readBody(raw)) : null) as never,
          params: c.req.param() as Record<string, string>,
          query: new URL(request.url).searchParams,
          headers: request.headers,
          store,
          parse,
          accept(message) {
            store.addMessage(message);
            world.play(message);
            return message;
          },
          charge: (units, question) =>
            store.charge({ account: account.id, at: new Date().toISOString(), units, question }),
          messages: () => mine(store.messages),
          received: () => mine(store.inbound),
        };
        const act = async () => {
          try {
            const answer = await handle(call);
            return answer instanceof Response ? answer : Response.json(answer);
          } catch (error) {
            if (error instanceof Refusal) return error.response;
            throw error;
          }
        };
        const response = takes ? await send(account, request.headers, raw, act) : await act();
        for (const [name, value] of Object.entries(http.headers ?? {}))
          if (!response.headers.has(name)) response.headers.set(name, value);
        return response;
      } catch (error) {
        if (error instanceof Refusal) return error.response;
        throw error;
      }
    });
  }
  app.all("*", (c) => {
    const who = http.auth(c.req.raw, c.req.path.slice(id.length + 1));
    return who instanceof Response ? who : refuse.unknownPath();
  });
  return app;
}

/** Form fields as an object; a field that comes more than once is a list. */
function formValues(raw: string): Record<string, string | string[]> {
  const values: Record<string, string | string[]> = {};
  const fields = new URLSearchParams(raw);
  for (const name of new Set(fields.keys())) {
    const all = fields.getAll(name);
    values[name] = all.length > 1 ? all : all[0]!;
  }
  return values;
}
