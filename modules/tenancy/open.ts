import type { OpenCtx } from "../kernel/context.ts";
import type { Tx } from "../kernel/db.ts";
import { AppError, toProblem } from "../kernel/errors.ts";
import { sha256Hex } from "../kernel/vault.ts";

/**
 * A refusal as an answer rather than a throw: the transaction commits, so the attempt that was counted stays counted.
 */
export function refusal(ctx: Pick<OpenCtx, "requestId">, error: AppError): Response {
  const headers = new Headers({ "content-type": "application/problem+json" });
  if (error.retryAfter !== undefined) headers.set("retry-after", String(Math.ceil(error.retryAfter)));
  if (error.status === 401) headers.set("www-authenticate", "Bearer");
  return new Response(JSON.stringify(toProblem(error, ctx.requestId)), { status: error.status, headers });
}

/** 202: the account is there, but its owner must confirm the e-mail first; then the same call finishes the work. */
export const confirmationRequired = (email: string, next: string): Response =>
  Response.json(
    { status: "confirmation_required", email, detail: `We sent a confirmation link to ${email}. ${next}` },
    { status: 202 },
  );

/** Attempts at once, and one more per so many seconds. An office behind one address must still get in. */
const PER_ADDRESS = { capacity: 60, perSecond: 1 };
/** A person who mistypes needs a handful; a guesser gets 4 a minute, whatever addresses they come from. */
const PER_EMAIL = { capacity: 15, perSecond: 1 / 15 };

/** Counts an attempt with a password or a token; the error to answer with when there were too many. */
export async function throttle(
  db: Tx,
  ctx: Pick<OpenCtx, "actor">,
  what: string,
  email: string | null,
): Promise<AppError | null> {
  const address =
    ctx.actor.kind === "anonymous" ? ctx.actor.address : ctx.actor.kind === "user" ? ctx.actor.userId : "";
  const buckets = [{ key: `${what}:address:${address}`, ...PER_ADDRESS }];
  // Hashed: buckets are no place for people's addresses.
  if (email !== null) buckets.push({ key: `${what}:email:${await sha256Hex(email)}`, ...PER_EMAIL });
  for (const b of buckets) {
    const [row] = await db<{ taken: boolean; retry_after: number }[]>`
      select taken, retry_after from kernel.take_tokens(${b.key}, ${b.capacity}, ${b.perSecond})`;
    if (row && !row.taken) {
      const retryAfter = Math.max(1, Math.ceil(row.retry_after));
      return new AppError("rate_limited", "Too many attempts.", {
        retryAfter,
        suggestion: `Try again in ${retryAfter} seconds.`,
      });
    }
  }
  return null;
}

/** The bearer token of a request, without the scheme; null when there is none. */
export const bearerOf = (request: Request): string | null =>
  /^Bearer +(.+)$/i.exec(request.headers.get("authorization") ?? "")?.[1]?.trim() ?? null;
