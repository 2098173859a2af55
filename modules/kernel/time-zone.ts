import { z } from "zod";
import type { Ctx } from "./context.ts";
import { invalidField } from "./errors.ts";

/**
 * A time zone by which JavaScript and Postgres reckon alike: an IANA name of the form Area/City, or UTC. Offsets such as +02:00 mean
 * opposite things to the two, and short names different ones: CET has no summer time in Postgres, IST is Israel there and India here.
 */
export const TimeZone = z
  .string()
  .max(64)
  .regex(/^(UTC|[A-Za-z_]+(\/[A-Za-z0-9_+-]+){1,2})$/, "must be an IANA time zone, e.g. Europe/Berlin")
  .refine((zone) => {
    try {
      return new Intl.DateTimeFormat("en", { timeZone: zone }).resolvedOptions().timeZone !== "";
    } catch {
      return false;
    }
  }, "is not a known time zone");

/**
 * Refuses a zone that Postgres does not know, naming the field: its list can be older than JavaScript's, and one unknown zone would break
 * every statement that reckons with it. Undefined passes. Throws `invalid`.
 */
export async function requireTimeZone(ctx: Ctx, zone: string | undefined, pointer: string): Promise<void> {
  if (zone === undefined) return;
  try {
    await ctx.db`select kernel.now() at time zone ${zone}`;
  } catch (error) {
    if ((error as { code?: string }).code === "22023")
      throw invalidField(pointer, "is not a time zone the database knows");
    throw error;
  }
}
