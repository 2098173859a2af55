import { setTimeout as delay } from "node:timers/promises";
import { equalSecrets } from "../../modules/kernel/secrets/signatures.ts";
import { type Guard, tooMany } from "./guard.ts";

/**
 * What the embedded auth server would allow with an access token alone, or with six digits: both would let whoever copied a token, or
 * guesses long enough, take an account. A password is changed with the current one, as GoTrue does it with "require current password";
 * addresses are changed and passwords are reset through the API (/api/v1/auth), whose links hold 256 bits.
 */

/** Ways in without a password. This server sends no mail, so nobody can use their codes lawfully. */
const CLOSED = /^\/auth\/v1\/(otp|magiclink|recover|verify|resend|reauthenticate)$/;

/**
 * Milliseconds that a refused sign-in takes at least, with the check of the password in it: that check takes about a tenth of a second and
 * is only made where there is an account, so a quicker answer would tell that there is none.
 */
export const REFUSED_MS = 400;

type Send = (request: Request, peer: string) => Promise<Response>;
type Options = {
  guard: Guard;
  send: Send;
  /** Ends the session of a refresh token that was exchanged already, unless just now; whether it did. */
  endStolen(refreshToken: string): Promise<boolean>;
  /** Whether the session counts for nothing although the auth server knows it: it was made without the person's second factor. */
  unproven(sessionId: string): Promise<boolean>;
  admin: AccountAdmin;
};

/** The part of GoTrue's admin API that the embedded auth server lacks and the product uses. Each says whether there is such an account. */
export type AccountAdmin = {
  secretKey: string;
  setPassword(userId: string, password: string): Promise<boolean>;
  /** `taken`: another account has the address. */
  setEmail(userId: string, email: string): Promise<boolean | "taken">;
};

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const ACCOUNT = /^\/auth\/v1\/admin\/users\/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

/** The auth server behind these rules. Expects a request whose body was read by the guard. */
export function authRules({ guard, send, endStolen, unproven, admin }: Options): Send {
  return async (request, peer) => {
    const { pathname } = new URL(request.url);
    if (CLOSED.test(pathname)) {
      return refusal(
        403,
        "email_provider_disabled",
        "The embedded auth server sends no mail. Reset a password with POST /api/v1/auth/reset.",
      );
    }
    const account = ACCOUNT.exec(pathname)?.[1];
    if (account !== undefined && request.method === "PUT") return await setAccount(request, account);
    if (pathname === "/auth/v1/user" && request.method === "PUT") return await updateUser(request, peer);
    if (pathname === "/auth/v1/logout") return await logout(request, peer);
    if (pathname === "/auth/v1/token" && request.method === "POST") {
      const begun = performance.now();
      // Whatever grant_type says: a refresh token in the body is what can be used.
      const token = parsed(await request.clone().text())?.refresh_token;
      if (typeof token === "string" && (await endStolen(token))) {
        return refusal(400, "refresh_token_already_used", "Invalid Refresh Token: Already Used");
      }
      const answer = await send(request, peer);
      // Whatever grant_type says, here as well. A timer may be up to a millisecond early.
      if (!answer.ok) await delay(Math.max(0, Math.ceil(begun + REFUSED_MS - performance.now()) + 1));
      return answer;
    }
    return await send(request, peer);
  };

  /** Whether the request carries a session that lacks the second factor, or has ended. */
  async function lacksFactor(request: Request): Promise<boolean> {
    const session = sessionIn(request.headers);
    return session !== null && (await unproven(session));
  }

  /** Without the second factor a session ends itself and none of the owner's others. */
  async function logout(request: Request, peer: string): Promise<Response> {
    if (!(await lacksFactor(request))) return await send(request, peer);
    const url = new URL(request.url);
    const scopes = [...url.searchParams.getAll("scope"), parsed(await request.clone().text())?.scope ?? "local"];
    if (scopes.some((scope) => scope !== "local")) return withoutFactor();
    // Only what was looked at goes on.
    url.search = "?scope=local";
    return await send(new Request(url, { method: request.method, headers: bare(request) }), peer);
  }

  async function updateUser(request: Request, peer: string): Promise<Response> {
    if (await lacksFactor(request)) return withoutFactor();
    const body = parsed(await request.clone().text());
    if (body === null) return await send(request, peer);
    if (body.email !== undefined || body.phone !== undefined) {
      return refusal(403, "email_change_needs_confirmation", "Change your address with POST /api/v1/auth/email.");
    }
    if (body.password === undefined) return await send(request, peer);
    const { password, current_password: current, data } = body;
    const fits = await hasPassword(request, peer, current);
    if (fits instanceof Response) return fits;
    if (!fits) {
      return refusal(400, "current_password_mismatch", "Current password required when setting new password.");
    }
    // Only what was looked at goes on.
    const changed = JSON.stringify({ password, ...(data === undefined ? {} : { data }) });
    return await send(new Request(request.url, { method: "PUT", headers: bare(request), body: changed }), peer);
  }

  async function setAccount(request: Request, id: string): Promise<Response> {
    if (!(await equalSecrets(request.headers.get("apikey") ?? "", admin.secretKey)))
      return refusal(401, "no_authorization", "This endpoint requires the secret key.");
    const { password, email } = parsed(await request.text()) ?? {};
    if (typeof password === "string") {
      const bytes = new TextEncoder().encode(password).byteLength;
      if (bytes < 10 || bytes > 72) return refusal(422, "weak_password", "Password should have 10 to 72 bytes.");
      if (!(await admin.setPassword(id, password))) return refusal(404, "user_not_found", "User not found");
    }
    if (typeof email === "string") {
      const set = await admin.setEmail(id, email.toLowerCase());
      if (set === "taken")
        return refusal(422, "email_exists", "A user with this email address has already been registered");
      if (!set) return refusal(404, "user_not_found", "User not found");
    }
    return Response.json({ id });
  }

  /** Whether this is the password of the token's person; or the answer that refuses the token or the attempt. */
  async function hasPassword(request: Request, peer: string, password: unknown): Promise<boolean | Response> {
    const at = (path: string) => new URL(path, request.url);
    const who = await send(new Request(at("/auth/v1/user"), { headers: bare(request) }), peer);
    if (!who.ok) return who;
    const { id, email } = (await who.json()) as { id: string; email?: unknown };
    if (typeof email !== "string" || typeof password !== "string" || password === "") return false;
    // Who holds a token guesses in that session's name: other sessions, the owner's, are not held back by it.
    const wait = guard.passwordOf(`${id} ${sessionIn(request.headers)}`);
    if (wait > 0) return tooMany(wait);
    const headers = bare(request);
    headers.delete("authorization");
    const body = JSON.stringify({ email, password });
    const tried = await send(
      new Request(at("/auth/v1/token?grant_type=password"), { method: "POST", headers, body }),
      peer,
    );
    if (!tried.ok) {
      await tried.body?.cancel();
      return false;
    }
    // The attempt made a session that nobody needs.
    const { access_token } = (await tried.json()) as { access_token: string };
    headers.set("authorization", `Bearer ${access_token}`);
    const left = await send(new Request(at("/auth/v1/logout?scope=local"), { method: "POST", headers }), peer);
    await left.body?.cancel();
    return true;
  }
}

/** As the auth server reads it: JSON, whatever the content type says. */
function parsed(text: string): Record<string, unknown> | null {
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === "object" && body !== null ? (body as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

/** The session that an access token names; whether the token is genuine the auth server says. */
function sessionIn(headers: Headers): string | null {
  const payload = headers.get("authorization")?.split(".").at(-2) ?? "";
  try {
    const { session_id } = JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/"))) as {
      session_id?: unknown;
    };
    return typeof session_id === "string" && UUID.test(session_id) ? session_id : null;
  } catch {
    return null;
  }
}

/** The headers without what describes the body. */
function bare(request: Request): Headers {
  const headers = new Headers(request.headers);
  headers.delete("content-length");
  headers.delete("transfer-encoding");
  headers.set("content-type", "application/json");
  return headers;
}

const withoutFactor = (): Response =>
  refusal(403, "insufficient_aal", "This session was made without the second factor, or has ended.");

const refusal = (status: number, code: string, msg: string): Response =>
  Response.json({ code: status, error_code: code, msg }, { status });
