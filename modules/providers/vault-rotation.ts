import { z } from "zod";
import { defineConsumer, done } from "../kernel/queues/consumer.ts";
import type { Ctx } from "../kernel/context.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { openCredentials, sealCredentials } from "./credentials.ts";

/**
 * Changing the installation's key: put the new one first in OVERTURE_KEYS, keep the old one behind it, restart. A daily
 * schedule (or this operation, at once) seals every connection under the new key; then the old one may go.
 */

/** Small enough to hold the rows' locks for a moment only. */
const BATCH = 100;

/** Re-seals connections under an older key. Returns how many were re-sealed and how many are left. */
export async function rotateConnectionSecrets(ctx: Ctx): Promise<{ rotated: number; remaining: number }> {
  const current = `v1.${ctx.vault.currentKey}.%`.replaceAll("_", "\\_");
  const stale = await ctx.db<{ id: string; credentials: string }[]>`
    select id, credentials from public.connections
    where tenant_id = ${ctx.tenantId} and credentials not like ${current}
    order by id limit ${BATCH} for update skip locked`;
  const sealed: { id: string; credentials: string }[] = [];
  for (const row of stale) {
    try {
      const plain = await openCredentials(ctx.vault, ctx.tenantId, row.id, row.credentials);
      sealed.push({ id: row.id, credentials: await sealCredentials(ctx.vault, ctx.tenantId, row.id, plain) });
    } catch (error) {
      // Its key is gone already. It stays in `remaining`; the others must not wait for it.
      ctx.log.error("a connection's credentials cannot be decrypted and must be entered again", {
        connection: row.id,
        error,
      });
    }
  }
  if (sealed.length > 0) {
    await ctx.db`
      update public.connections c set credentials = n.credentials
      from unnest(${sealed.map((s) => s.id)}::uuid[], ${sealed.map((s) => s.credentials)}::text[]) as n(id, credentials)
      where c.tenant_id = ${ctx.tenantId} and c.id = n.id`;
  }
  const [left] = await ctx.db<{ n: number }[]>`
    select count(*)::int as n from public.connections where tenant_id = ${ctx.tenantId} and credentials not like ${current}`;
  return { rotated: sealed.length, remaining: left!.n };
}

export const rotateConsumer = defineConsumer({
  queue: "providers_rotate",
  payload: z.object({ tenant_id: z.uuid() }),
  visibilitySeconds: 60, // a batch is milliseconds of AES
  maxAttempts: 5, // the next day asks again
  async handle(ctx, payload) {
    const { rotated, remaining } = await rotateConnectionSecrets(ctx);
    // Rows somebody else holds are left to that transaction or to the next day.
    if (remaining > 0 && rotated > 0) await ctx.enqueue(rotateConsumer, payload);
    if (rotated > 0) ctx.log.info("credentials were encrypted with the current key", { rotated, remaining });
    return done();
  },
});

export const rotateKeys = defineOperation({
  id: "connections.rotate_keys",
  method: "POST",
  path: "/connections/rotate-keys",
  summary: "Encrypt stored credentials with the installation's current key",
  description: "One batch per request: repeat until `remaining` is 0. Also runs automatically every day.",
  permission: "providers:write",
  input: z.object({}),
  output: z.object({ rotated: z.number().int(), remaining: z.number().int() }),
  handle: (ctx) => rotateConnectionSecrets(ctx),
});
