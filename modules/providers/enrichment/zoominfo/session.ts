import { createHash } from "node:crypto";
import { z } from "zod";
import { AppError } from "../../../kernel/errors.ts";
import { HttpError, type HttpClient, type HttpResponse } from "../../../kernel/http/client.ts";
import type { Connection } from "../../../kernel/provider.ts";
import * as answers from "../../answers.ts";
import { refusal } from "../answer.ts";
import type { Answer } from "../vocabulary.ts";

/** What a ZoomInfo connection keeps in the process between calls: its token, and which fields its subscription has. */

export const BASE = "https://api.zoominfo.com";
export const Credentials = z.object({
  username: z.string().min(1).meta({ title: "User name" }),
  password: z.string().min(1).meta({ title: "Password", secret: true }),
});
type Credentials = z.infer<typeof Credentials>;
type Entity = "contact" | "company";

/** A token is good for 60 minutes; ZoomInfo asks for a new one every 55 and not with every call. */
const TOKEN_MS = 55 * 60_000;

type Session = { jwt: Promise<string>; until: number; fields: Map<Entity, Promise<ReadonlySet<string> | null>> };
const sessions = new Map<string, Session>();

/** Ends a call: nothing was asked yet, so nothing was charged. */
export class NotAsked extends Error {
  readonly answer: Answer;
  constructor(answer: Answer) {
    super("ZoomInfo was not asked");
    this.answer = answer;
  }
}

/**
 * The legacy API has no codes, only words (docs.zoominfo.com, status codes and errors). A 403 is an account that may not: no access, a field
 * outside of the subscription, a used-up limit.
 */
export function failure(response: HttpResponse): Answer {
  const read = refusal("ZoomInfo", response, { broken: [401, 403], refused: [400] });
  return read.outcome === "refused" && /max limit|no roles found/i.test(read.detail)
    ? { ...read, outcome: "broken" }
    : read;
}

/** Other credentials or another server are another session, so that a changed password counts at once. */
function keyOf({ id, base_url, credentials }: Connection<Credentials>): string {
  const secret = JSON.stringify([base_url, credentials.username, credentials.password]);
  return `${id}:${createHash("sha256").update(secret).digest("hex")}`;
}

async function authenticate(connection: Connection<Credentials>, http: HttpClient): Promise<string> {
  const { username, password } = connection.credentials;
  const call = answers.caller(http, connection.base_url ?? BASE, {});
  try {
    const response = await call("POST", "/authenticate", { username, password });
    if (response.status !== 200) throw new NotAsked(failure(response));
    return answers.shaped(z.object({ jwt: z.string().min(1) }), response.json(), "ZoomInfo token").jwt;
  } catch (error) {
    // Whatever became of this call, no question was asked with it.
    if ((error instanceof HttpError && error.kind !== "blocked") || error instanceof AppError)
      throw new NotAsked({ outcome: "retry", code: "no_token", detail: error.message });
    throw error;
  }
}

function sessionOf(connection: Connection<Credentials>, http: HttpClient): Session {
  const key = keyOf(connection);
  const now = Date.now();
  const known = sessions.get(key);
  if (known && known.until > now) return known;
  for (const [other, { until }] of sessions) if (until <= now) sessions.delete(other);
  const session: Session = { jwt: authenticate(connection, http), until: now + TOKEN_MS, fields: new Map() };
  sessions.set(key, session);
  // A failure is told to those who wait for it and not kept.
  session.jwt.catch(() => sessions.get(key) === session && sessions.delete(key));
  return session;
}

/** One call with the connection's token. A token that is refused is replaced once: a refused call was neither answered nor charged. */
export async function authorized(
  connection: Connection<Credentials>,
  http: HttpClient,
  ask: (call: answers.Caller) => Promise<HttpResponse>,
): Promise<HttpResponse> {
  for (let attempt = 1; ; attempt++) {
    const session = sessionOf(connection, http);
    const authorization = `Bearer ${await session.jwt}`;
    const response = await ask(answers.caller(http, connection.base_url ?? BASE, { authorization }));
    if (response.status !== 401 || attempt === 2) return response;
    if (sessions.get(keyOf(connection)) === session) sessions.delete(keyOf(connection));
  }
}

const OutputFields = z.array(
  z.object({ fieldName: z.string(), accessGranted: z.union([z.boolean(), z.string()]).nullish() }),
);

/**
 * Those of the fields that the subscription has, asked for once per token: a call that names another one is refused as a whole. All of them
 * where ZoomInfo does not say.
 */
export async function grantedFields(
  entity: Entity,
  wanted: readonly string[],
  connection: Connection<Credentials>,
  http: HttpClient,
): Promise<string[]> {
  const read = async () => {
    const response = await authorized(connection, http, (call) => call("GET", `/lookup/outputfields/${entity}/enrich`));
    if (response.status === 429 || response.status >= 500) throw new NotAsked(failure(response));
    const listed = response.status === 200 ? OutputFields.safeParse(answers.jsonOrNull(response)) : null;
    if (!listed?.success) return null;
    return new Set(listed.data.filter((f) => String(f.accessGranted ?? true) !== "false").map((f) => f.fieldName));
  };
  const { fields } = sessionOf(connection, http);
  const asked =
    fields.get(entity) ??
    read().catch((error: unknown) => {
      fields.delete(entity);
      if (error instanceof HttpError && error.kind !== "blocked")
        throw new NotAsked({ outcome: "retry", code: error.kind, detail: error.message });
      throw error;
    });
  fields.set(entity, asked);
  const granted = await asked;
  return granted ? wanted.filter((field) => granted.has(field)) : [...wanted];
}

export const forgetSessions = () => sessions.clear();
