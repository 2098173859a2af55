import { z } from "zod";
import type { Actor, Services } from "../kernel/context.ts";
import { AppError, invalidField } from "../kernel/errors.ts";
import { HttpError } from "../kernel/http/client.ts";
import { Session } from "./schemas.ts";

/** Supabase Auth over HTTP: the same calls for GoTrue and for the embedded server. The secret key is for `setAccount` alone. */

type Caller = Pick<Services, "http" | "config" | "log"> & {
  actor: Actor;
  /** Where a signed-in person calls from: the actor names only who they are. */
  address?: string;
};
type AuthSession = z.output<typeof Session>;
type AuthUser = { id: string; email: string; name: string };

/** Either a session, or the account waits until its owner confirms the e-mail. */
export type Opened = { kind: "session"; session: AuthSession } | { kind: "confirm" };

type Answer =
  | { ok: true; body: unknown }
  | { ok: false; status: number; code: string; message: string; retryAfter: number | undefined };

const UserBody = z.object({
  id: z.uuid(),
  email: z.string(),
  user_metadata: z.object({ name: z.string().catch("") }).catch({ name: "" }),
});

/** GoTrue has moved its error code twice; all three places are read. */
const FailureBody = z
  .object({
    code: z.unknown(),
    error_code: z.unknown(),
    error: z.unknown(),
    msg: z.string().optional(),
    message: z.string().optional(),
    error_description: z.string().optional(),
  })
  .partial()
  .catch({});

async function call(
  ctx: Caller,
  method: "GET" | "POST" | "PUT",
  path: string,
  body?: unknown,
  bearer?: string,
  apikey = ctx.config.publishableKey,
): Promise<Answer> {
  const address = ctx.address ?? (ctx.actor.kind === "anonymous" ? ctx.actor.address : null);
  let response;
  try {
    response = await ctx.http.json({
      method,
      own: true,
      url: `${ctx.config.supabaseUrl}/auth/v1${path}`,
      headers: {
        apikey,
        "x-supabase-api-version": "2024-01-01",
        ...(bearer ? { authorization: `Bearer ${bearer}` } : {}),
        // The auth server limits by address; without this everybody would share ours.
        ...(address === null ? {} : { "x-forwarded-for": address }),
      },
      timeoutMs: 10_000,
      maxBytes: 256 * 1024,
      ...(body === undefined ? {} : { body }),
    });
  } catch (cause) {
    if (!(cause instanceof HttpError)) throw cause;
    throw new AppError("unavailable", "The sign-in service does not respond.", { cause, retryAfter: 5 });
  }
  if (response.status >= 500) {
    throw new AppError("unavailable", "The sign-in service failed.", {
      cause: new Error(`${path}: ${response.status} ${response.text().slice(0, 500)}`),
      retryAfter: 5,
    });
  }
  const text = response.text();
  let parsed: unknown = null;
  try {
    parsed = text === "" ? null : JSON.parse(text);
  } catch (cause) {
    throw new AppError("unavailable", "The sign-in service sent a response that is not JSON.", {
      cause,
      retryAfter: 5,
    });
  }
  if (response.status < 300) return { ok: true, body: parsed };
  const failure = FailureBody.parse(parsed ?? {});
  return {
    ok: false,
    status: response.status,
    code: [failure.error_code, failure.code, failure.error].find((c) => typeof c === "string") ?? "",
    message: failure.msg ?? failure.message ?? failure.error_description ?? "",
    retryAfter: Number(response.headers.get("retry-after")) || undefined,
  };
}

const sessionIn = (body: unknown): AuthSession | null => {
  const parsed = Session.safeParse(body);
  return parsed.success ? parsed.data : null;
};

/** What no caller can treat better than by passing it on. */
function refuse(answer: Extract<Answer, { ok: false }>): never {
  if (answer.status === 429)
    throw new AppError("rate_limited", "Too many attempts.", { retryAfter: answer.retryAfter ?? 60 });
  if (answer.code === "weak_password") throw invalidField("/password", answer.message || "The password is too weak.");
  if (/^email_(address_)?(invalid|not_authorized)$/.test(answer.code))
    throw invalidField("/email", "This email address is not accepted.");
  if (/signup_disabled|email_provider_disabled/.test(answer.code))
    throw new AppError("forbidden", "The sign-in service does not accept new accounts.");
  throw new AppError("unavailable", "The sign-in service rejected the request.", {
    cause: new Error(`${answer.status} ${answer.code} ${answer.message}`),
  });
}

const isBadPassword = (code: string) => code === "invalid_credentials" || code === "invalid_grant";

/** A session for this e-mail and password, `confirm` while the e-mail is unconfirmed, or null when they do not fit. */
export async function signIn(ctx: Caller, email: string, password: string): Promise<Opened | null> {
  const answer = await call(ctx, "POST", "/token?grant_type=password", { email, password });
  if (answer.ok) {
    const session = sessionIn(answer.body);
    if (!session) throw new AppError("unavailable", "The sign-in service sent a response without a session.");
    return { kind: "session", session };
  }
  if (answer.code === "email_not_confirmed") return { kind: "confirm" };
  if (isBadPassword(answer.code) || answer.code === "user_banned") return null;
  return refuse(answer);
}

/**
 * Makes an account, or opens the one that exists when the password fits: after a crash between the account and what
 * was to follow, the same call goes on where it stopped. Null: the account exists and the password is another one.
 */
export async function openAccount(
  ctx: Caller,
  email: string,
  password: string,
  data: Record<string, string>,
): Promise<Opened | null> {
  let made: Answer;
  try {
    made = await call(ctx, "POST", "/signup", { email, password, data });
  } catch (fault) {
    if (!(fault instanceof AppError) || fault.cause instanceof HttpError) throw fault;
    // Two at once: GoTrue reports the loser's "already exists" as a fault of its own. The password then fits.
    const known = await signIn(ctx, email, password).catch(() => null);
    if (known) return known;
    throw fault;
  }
  if (made.ok) {
    const session = sessionIn(made.body);
    if (session) return { kind: "session", session };
    // Confirmation is wanted. A confirmed account gets the same answer by design, so its password is tried; a stranger
    // with a wrong one must not learn more than that.
    const known = await signIn(ctx, email, password);
    return known ?? { kind: "confirm" };
  }
  if (made.code === "user_already_exists" || made.code === "email_exists") return await signIn(ctx, email, password);
  return refuse(made);
}

/** A fresh session for a refresh token; null when the token is used up, revoked or unknown. */
export async function refresh(ctx: Caller, refreshToken: string): Promise<AuthSession | null> {
  const answer = await call(ctx, "POST", "/token?grant_type=refresh_token", { refresh_token: refreshToken });
  if (answer.ok) return sessionIn(answer.body);
  if (answer.status === 429) return refuse(answer);
  return null;
}

/** Ends the session behind an access token. One that has ended already is fine. */
export async function signOut(ctx: Caller, accessToken: string): Promise<void> {
  const answer = await call(ctx, "POST", "/logout?scope=local", undefined, accessToken);
  if (!answer.ok && answer.status === 429) refuse(answer);
}

/**
 * Changes an account whose owner has proved who they are (by the password, or by a link to their mailbox), by the auth server's admin API.
 * False: another account has this address. Throws `invalid` for a password that the auth server refuses.
 */
export async function setAccount(
  ctx: Caller,
  userId: string,
  change: { password: string } | { email: string },
): Promise<boolean> {
  const key = ctx.config.secretKey;
  // A legacy key is a token of its own; the newer ones are none.
  const bearer = key.startsWith("eyJ") ? key : undefined;
  const answer = await call(ctx, "PUT", `/admin/users/${userId}`, { ...change, email_confirm: true }, bearer, key);
  if (answer.ok) return true;
  if (answer.code === "email_exists" || answer.code === "user_already_exists") return false;
  return refuse(answer);
}

/** The person behind an access token, with the name they registered under; null when the session has ended. */
export async function userOf(ctx: Caller, accessToken: string): Promise<AuthUser | null> {
  const answer = await call(ctx, "GET", "/user", undefined, accessToken);
  if (!answer.ok) return answer.status === 429 ? refuse(answer) : null;
  const user = UserBody.safeParse(answer.body);
  return user.success ? { id: user.data.id, email: user.data.email, name: user.data.user_metadata.name } : null;
}
