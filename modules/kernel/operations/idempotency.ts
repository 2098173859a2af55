import type { Tx } from "../database/db.ts";
import { AppError } from "../errors.ts";
import type { AnyOperation } from "./operation.ts";

/** Idempotency-Key: the first answer is kept in the transaction of its effect, and given again to whoever repeats the request. */

export type Idempotency = { scope: string; key: string; hash: string };

export function idempotencyKey(headers: Headers): string | null {
  const key = headers.get("idempotency-key");
  if (key === null) return null;
  if (key.length < 1 || key.length > 255)
    throw new AppError("bad_request", "Idempotency-Key must have 1 to 255 characters.");
  return key;
}

/** The kept answer, or null for a fresh key. Throws while the first request runs and for a key used with another request. */
export async function replay(
  db: Tx,
  op: AnyOperation,
  key: Idempotency,
  headers: Record<string, string>,
): Promise<Response | null> {
  const [before] = await db<
    { running: boolean; operation: string; request_hash: string; status: number; response: unknown }[]
  >`
    select * from kernel.idempotency_begin(${key.scope}, ${key.key})`;
  if (!before) return null;
  if (before.running)
    throw new AppError("idempotency_in_progress", "The first request with this key has not finished.", {
      retryAfter: 1,
    });
  if (before.operation !== op.id || before.request_hash !== key.hash) {
    throw new AppError("idempotency_mismatch", "This Idempotency-Key was used with another request.", {
      suggestion: "Use a fresh key for a new request.",
    });
  }
  return new Response(before.status === 204 ? null : JSON.stringify(before.response), {
    status: before.status,
    headers: {
      ...headers,
      "idempotency-replayed": "true",
      ...(before.status === 204 ? {} : { "content-type": "application/json" }),
    },
  });
}

export async function keep(db: Tx, op: AnyOperation, key: Idempotency, response: Response): Promise<void> {
  if (!(response.headers.get("content-type") ?? "application/json").startsWith("application/json")) return;
  const body = response.status === 204 ? null : await response.clone().json();
  await db`select kernel.idempotency_keep(${key.scope}, ${key.key}, ${op.id}, ${key.hash}, ${response.status}, ${db.json(body)})`;
}
