import { z } from "zod";
import type { Ctx } from "../context.ts";
import { invalidField } from "../errors.ts";

/** A moment as an input, RFC 3339 with any offset: within the years that Postgres and JavaScript both write with four digits. */
export const Moment = z.iso.datetime({ offset: true }).refine((text) => {
  const year = new Date(text).getUTCFullYear();
  return year >= 1 && year <= 9999;
}, "must be within the years 0001 to 9999");

/**
 * An IANA time zone as an input. UTC or Area/Place alone: JavaScript and Postgres read short names such as IST or PST as different zones,
 * and offsets such as +02:00 as opposite ones.
 */
export const TimeZone = z
  .string()
  .max(64)
  .regex(/^(UTC|[A-Za-z_]+(\/[A-Za-z0-9_+-]+){1,2})$/, "must be an IANA time zone such as Europe/Berlin")
  .refine((zone) => {
    try {
      return new Intl.DateTimeFormat("en", { timeZone: zone }).resolvedOptions().timeZone !== "";
    } catch {
      return false;
    }
  }, "is not a known time zone");

/**
 * Refuses a zone that the database does not know, naming the field: statements over all campaigns or senders calculate in these zones,
 * and one unknown zone would make them fail for everybody.
 */
export async function requireZone(ctx: Pick<Ctx, "db">, zone: string | undefined, pointer: string): Promise<void> {
  if (zone === undefined) return;
  try {
    await ctx.db`select kernel.now() at time zone ${zone}`;
  } catch (error) {
    if ((error as { code?: string }).code === "22023")
      throw invalidField(pointer, "is not a time zone the database knows");
    throw error;
  }
}
