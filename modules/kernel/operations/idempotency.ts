import type { Tx } from "../database/db.ts";
import { AppError } from "../errors.ts";
import type { AnyOperation } from "./operation.ts";
import type { Reply } from "./reply.ts";

/**
 * Idempotency-Key: the first answer is kept and given again to whoever repeats the request. An act of one transaction
 * keeps it there, under a lock. One of several claims the key first, with a lease, and settles it at its end.
 */

export type Idempotency = { scope: string; key: string; hash: string };

/**
 * How long an act of several transactions may hold its key, in seconds. Longer than any runtime lets a request live (hosted
 * edge functions end after 400), so that whoever takes the key over afterwards never runs beside the first.
 */
const LEASE_SECONDS = 600;

/** The caller's key, checked; null when there is none. */
export function idempotencyKey(key: string | null | undefined): string | null {
  if (key === null || key === undefined) return null;
  if (key.length < 1 || key.length > 255)
    throw new AppError("bad_request", "Idempotency-Key must have 1 to 255 characters.");
  return key;
}

type Before = { running: boolean; operation: string; request_hash: string; status: number; response: unknown };

/** Runs `act` in this transaction unless its answer is kept. Throws while the first request runs and for a key of another. */
export async function replayOr(
  db: Tx,
  op: AnyOperation,
  key: Idempotency | null,
  act: () => Promise<Reply>,
): Promise<Reply> {
  if (!key) return await act();
  const [before] = await db<Before[]>`select * from kernel.idempotency_begin(${key.scope}, ${key.key})`;
  if (before) return repeated(op, key, before);
  const reply = await act();
  const stored = await storable(reply);
  if (stored)
    await db`select kernel.idempotency_keep(${key.scope}, ${key.key}, ${op.id}, ${key.hash}, ${stored.status}, ${db.json(stored.body)})`;
  return reply;
}

/** A key that this request holds until it is settled or the lease ends. */
export type Claim = Idempotency & { attempt: number };

/** Takes the key for an act of several transactions, or gives the kept answer. Throws as `replayOr` does. */
export async function claimKey(db: Tx, op: AnyOperation, key: Idempotency): Promise<Claim | Reply> {
  const [row] = await db<(Before & { attempt: number | null })[]>`
    select * from kernel.idempotency_claim(${key.scope}, ${key.key}, ${op.id}, ${key.hash}, ${LEASE_SECONDS})`;
  if (row!.attempt === null) return repeated(op, key, row!);
  return { ...key, attempt: row!.attempt };
}

/** Keeps the answer under a claimed key; without one, after a failure, the key is free again. */
export async function settleKey(db: Tx, claim: Claim, reply: Reply | null): Promise<void> {
  const stored = reply && (await storable(reply));
  await db`select kernel.idempotency_settle(${claim.scope}, ${claim.key}, ${claim.attempt}, ${stored?.status ?? null},
    ${stored ? db.json(stored.body) : null})`;
}

function repeated(op: AnyOperation, key: Idempotency, before: Before): Reply {
  if (before.running)
    throw new AppError("idempotency_in_progress", "The first request with this key has not finished.", {
      retryAfter: 1,
    });
  if (before.operation !== op.id || before.request_hash !== key.hash) {
    throw new AppError("idempotency_mismatch", "This Idempotency-Key was used with another request.", {
      suggestion: "Use a new key for a new request.",
    });
  }
  return { status: before.status, body: before.response, replayed: true };
}

/** What can be kept of an answer: JSON, or nothing at all. */
async function storable(reply: Reply): Promise<{ status: number; body: unknown } | null> {
  if (!(reply instanceof Response)) return reply;
  if (!(reply.headers.get("content-type") ?? "application/json").startsWith("application/json")) return null;
  return { status: reply.status, body: reply.status === 204 ? null : await reply.clone().json() };
}
