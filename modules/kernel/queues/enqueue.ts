import type { Tx } from "../database/db.ts";

/** Puts payloads on a consumer's queue in this transaction, each parsed first. Throws for a payload that does not fit. */
export async function enqueue(
  tx: Tx,
  consumer: { queue: string; payload: { parse(value: unknown): unknown } },
  payloads: unknown,
  delaySeconds: number,
): Promise<void> {
  const list = Array.isArray(payloads) ? payloads : [payloads];
  if (list.length === 0) return;
  const messages = list.map((p) => JSON.stringify(consumer.payload.parse(p)));
  await tx`select kernel.enqueue(${consumer.queue}, ${messages}::text[]::jsonb[], ${delaySeconds})`;
}
