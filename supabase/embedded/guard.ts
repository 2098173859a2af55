import { readBody } from "../../modules/kernel/http/body.ts";
import { AppError } from "../../modules/kernel/errors.ts";
import { Buckets } from "./buckets.ts";

/**
 * What stands before the embedded REST, auth and realtime servers, which bound nothing themselves: bodies of bounded size
 * and time, and, as GoTrue does, a limit on attempts with a password. Without it the API's own limit could be walked around. Plans and
 * estimates are refused before they reach the database, which refuses them too (docs/adr/0004-no-plans-over-rest.md).
 */

const MAX_BYTES = 3_000_000;
/** For accounts: an address, a password, a name. What a person stores of themselves is in every token of theirs. */
const MAX_AUTH_BYTES = 32_000;
/** Attempts at once, and per second after that. Twice the API's own limits: its calls arrive here too. */
const PER_ADDRESS = { capacity: 120, perSecond: 2 };
const PER_EMAIL = { capacity: 30, perSecond: 2 / 15 };
/** Refreshing is no guessing of passwords, and an office behind one address does a lot of it; guessing tokens is still bounded. */
const REFRESHES = { capacity: 600, perSecond: 10 };

/** The auth server has no address that needs escapes, and decodes them: /auth/v1/%74oken would be /auth/v1/token uncounted. */
const PLAIN = /^[\w./-]*$/;
/** What is no attempt; everything else that is posted to the auth server counts as one, and so does following a link in a mail. /admin wants the secret key. */
const FREE = /^\/auth\/v1\/(logout|admin\/.*)$/;
const LOOPBACK = /^(127\.|::1$|::ffff:127\.)/;

/** In the words of the database's own refusal (kernel.refuse_plans), as PostgREST would pass them on. */
const NO_PLANS = {
  code: "42501",
  details: null,
  hint: 'Ask for "Prefer: count=exact", or for no count.',
  message: "Plans and estimates are not shown: they are made of the rows of all tenants.",
};

type GuardOptions = {
  timeoutMs?: number;
  now?: () => number;
  /** Whether this account has signed in from this address before: no stranger can use up its attempts from there. */
  knows?: (email: string, address: string) => Promise<boolean>;
};

export class Guard {
  readonly #buckets: Buckets;
  readonly #timeoutMs: number;
  readonly #knows: (email: string, address: string) => Promise<boolean>;

  constructor({ timeoutMs = 30_000, now, knows = async () => false }: GuardOptions = {}) {
    this.#timeoutMs = timeoutMs;
    this.#buckets = new Buckets(now);
    this.#knows = knows;
  }

  /** The request with its body read, or the answer that refuses it. */
  async admit(request: Request, peer: string): Promise<Request | Response> {
    const url = new URL(request.url);
    const isAuth = url.pathname.startsWith("/auth/v1");
    if (isAuth && !PLAIN.test(url.pathname)) {
      return Response.json({ code: 404, error_code: "not_found", msg: "There is no such address." }, { status: 404 });
    }
    if (url.pathname.startsWith("/rest/v1") && asksForPlan(request.headers)) {
      return Response.json(NO_PLANS, { status: 403 });
    }
    let body: Uint8Array<ArrayBuffer> | null = null;
    if (request.body) {
      try {
        body = await readBody(request, {
          maxBytes: isAuth ? MAX_AUTH_BYTES : MAX_BYTES,
          idleMs: this.#timeoutMs,
          totalMs: this.#timeoutMs,
        });
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        return Response.json(
          { code: error.status, error_code: error.code, msg: error.message },
          { status: error.status },
        );
      }
    }
    const isAttempt = request.method === "POST" ? !FREE.test(url.pathname) : url.pathname === "/auth/v1/verify";
    if (isAuth && isAttempt) {
      const grants = url.searchParams.getAll("grant_type");
      const refreshing = url.pathname === "/auth/v1/token" && grants.length === 1 && grants[0] === "refresh_token";
      const address = addressOf(request, peer);
      const wait = refreshing
        ? this.#buckets.take(`refresh ${address}`, REFRESHES)
        : await this.#wait(url.pathname, address, emailIn(body));
      if (wait > 0) {
        return tooMany(wait);
      }
    }
    if (body === null) return request;
    return new Request(request.url, { method: request.method, headers: request.headers, body });
  }

  /** Seconds until whoever holds this session's token may try the account's password again; 0 takes an attempt. */
  passwordOf(session: string): number {
    return this.#buckets.take(`password of ${session}`, PER_EMAIL);
  }

  /** Seconds until an attempt is allowed; 0 takes one. */
  async #wait(what: string, address: string, email: string | null): Promise<number> {
    const wait = this.#buckets.take(`${what} ${address}`, PER_ADDRESS);
    if (wait > 0 || email === null) return wait;
    const stranger = this.#buckets.take(`${what} ${email}`, PER_EMAIL);
    if (stranger === 0 || !(await this.#knows(email, address))) return stranger;
    return this.#buckets.take(`${what} ${email} ${address}`, PER_EMAIL);
  }
}

/** A refused attempt, as GoTrue says it. */
export const tooMany = (seconds: number): Response =>
  Response.json(
    { code: 429, error_code: "over_request_rate_limit", msg: "Too many attempts. Try again later." },
    { status: 429, headers: { "retry-after": String(seconds) } },
  );

/** Whether the REST server would ask the planner: a count that is not exact, in any of several Prefer headers, or a plan. */
function asksForPlan(headers: Headers): boolean {
  const preferences = (headers.get("prefer") ?? "").toLowerCase().split(/[,;]/);
  const counts = preferences.map((p) => p.split("=")).filter(([name]) => name!.trim() === "count");
  return (
    counts.some(([, value]) => value?.replaceAll('"', "").trim() !== "exact") ||
    /vnd\.pgrst\.plan/i.test(headers.get("accept") ?? "")
  );
}

/** Who calls: the peer, or whom a proxy or the API on this machine names last. */
export function addressOf(request: Request, peer: string): string {
  if (!LOOPBACK.test(peer)) return peer;
  return request.headers.get("x-forwarded-for")?.split(",").at(-1)?.trim() || peer;
}

function emailIn(body: Uint8Array | null): string | null {
  if (body === null) return null;
  try {
    const { email } = JSON.parse(new TextDecoder().decode(body)) as { email?: unknown };
    return typeof email === "string" ? email.trim().toLowerCase().slice(0, 320) : null;
  } catch {
    return null;
  }
}
