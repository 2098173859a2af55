import { z } from "zod";
import type { Ctx } from "../context.ts";
import { invalidField } from "../errors.ts";
import { zoneOf } from "./zones.ts";

const TIME =
  /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?(?:Z|([+-]\d{2})(?::?(\d{2}))?)?)?$/;

/**
 * Whether a date or time (RFC 3339, or as Postgres prints it) exists and both Postgres and JavaScript read it: a day of the calendar
 * (Date.parse takes 2026-02-30 for March), an offset below 16 hours, and in UTC a year from 0001 to 9999.
 */
export function isRealTime(text: string): boolean {
  const parts = TIME.exec(text);
  if (!parts) return false;
  const [year, month, day, hour, minute, second, , offset, offsetMinute] = parts.slice(1).map((p) => Number(p ?? 0));
  if (hour! > 23 || minute! > 59 || second! > 59 || Math.abs(offset!) > 15 || offsetMinute! > 59) return false;
  const date = new Date(0);
  date.setUTCFullYear(year!, month! - 1, day!);
  if (date.getUTCMonth() !== month! - 1 || date.getUTCDate() !== day!) return false;
  const sign = parts[8]?.startsWith("-") ? -1 : 1;
  // Postgres rounds what is finer than a microsecond, perhaps into the next year.
  date.setUTCHours(hour! - offset!, minute! - sign * offsetMinute!, second! + Number((parts[7]?.length ?? 0) > 6));
  return date.getUTCFullYear() >= 1 && date.getUTCFullYear() <= 9999;
}

/** A moment as an input, RFC 3339 with an offset below 16 hours: what Postgres and JavaScript both read, and write with four digits. */
export const Moment = z.iso
  .datetime({ offset: true })
  .refine(isRealTime, "must be a time that exists, within the years 0001 to 9999 and with an offset below 16 hours");

/** A time zone of the list as an input, whatever its case; the output has the list's spelling. */
export const TimeZone = z
  .string()
  .max(64)
  .overwrite((text) => zoneOf(text) ?? text)
  .refine((text) => zoneOf(text) !== null, "must be an IANA time zone such as Europe/Berlin");

/**
 * Refuses a zone of the list that this database is too old to know, naming the field: statements over all campaigns or senders calculate
 * in these zones, and one unknown zone would make them fail for everybody.
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
