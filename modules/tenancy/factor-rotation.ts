import { z } from "zod";
import type { Ctx } from "../kernel/context.ts";
import { defineConsumer, done } from "../kernel/queues/consumer.ts";
import { factorSeal } from "./second-factor.ts";

/** After a change of OVERTURE_KEYS: a daily schedule seals the keys of authenticator apps under the current key, as it does credentials. */

/** Small enough to hold the rows' locks for a moment only. */
const BATCH = 100;

/**
 * Re-seals one batch, of at most `most` people after `behind` (null: from the first). Returns how many were re-sealed, and where the next batch
 * begins; null when this was the last. A key whose own key is gone is left as it is: its owner signs in with a recovery code.
 */
export async function rotateFactors(
  ctx: Ctx,
  behind: string | null,
  most = BATCH,
): Promise<{ rotated: number; next: string | null }> {
  const stale = await ctx.db<{ person: string; secret: string }[]>`
    select * from private.stale_factors(${ctx.vault.currentKey}, ${behind}, ${most})`;
  const sealed: { person: string; was: string; secret: string }[] = [];
  for (const { person, secret } of stale) {
    try {
      const key = await ctx.vault.open<string>(secret, factorSeal(person));
      sealed.push({ person, was: secret, secret: await ctx.vault.seal(key, factorSeal(person)) });
    } catch (error) {
      ctx.log.error("the key of an authenticator app cannot be decrypted; its owner must add the app again", {
        person,
        error,
      });
    }
  }
  const [row] = await ctx.db<{ n: number }[]>`
    select private.reseal_factors(${sealed.map((s) => s.person)}::uuid[], ${sealed.map((s) => s.was)}::text[],
      ${sealed.map((s) => s.secret)}::text[]) as n`;
  return { rotated: row!.n, next: stale.length === most ? stale.at(-1)!.person : null };
}

export const rotateFactorsConsumer = defineConsumer({
  queue: "tenancy_rotate",
  payload: z.object({ tenant_id: z.uuid(), behind: z.uuid().nullable().default(null) }),
  visibilitySeconds: 60, // a batch is milliseconds of AES
  maxAttempts: 5, // the next day asks again
  async handle(ctx, { tenant_id, behind }) {
    const { rotated, next } = await rotateFactors(ctx, behind);
    if (next !== null) await ctx.enqueue(rotateFactorsConsumer, { tenant_id, behind: next });
    if (rotated > 0) ctx.log.info("keys of authenticator apps were encrypted with the current key", { rotated });
    return done();
  },
});
