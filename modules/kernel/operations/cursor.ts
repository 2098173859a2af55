import { z } from "zod";
import { clean } from "../text.ts";
import { invalidField } from "../errors.ts";
import { unstorable } from "../text.ts";
import { isRealTime } from "./time.ts";

/**
 * Keyset pages. A cursor is the sort key and id of the last row, base64url JSON: opaque to callers, validated on the way
 * back in, and bound to nothing secret — it only says where to go on.
 */

/** Query parameters of every list. */
export const pageParams = {
  limit: z.coerce.number().int().min(1).max(100).default(50).describe("Rows per page, 1 to 100."),
  cursor: z.string().max(2000).optional().describe("The `next_cursor` of the previous page."),
};

/** Query parameter of lists that pickers search. */
export const searchParam = {
  search: z
    .string()
    .max(120)
    .overwrite(clean)
    .optional()
    .describe("Part of the name. Upper and lower case and accents make no difference."),
};

/** Answer of every list. */
export const pageOf = <T extends z.ZodType>(item: T) =>
  z.object({
    data: z.array(item),
    next_cursor: z.string().nullable().describe("Pass it as `cursor` to get the next page."),
    has_more: z.boolean().describe("Whether a next page exists."),
  });

export type Page<T> = { data: T[]; next_cursor: string | null; has_more: boolean };

/** Values JSON keeps exactly. Timestamps go in as Postgres text: a Date would lose their microseconds. */
type CursorKey = readonly (string | number | null)[];

function encodeCursor(key: CursorKey): string {
  const bytes = new TextEncoder().encode(JSON.stringify(key));
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** Reads a cursor back. Throws a field error for anything that `encodeCursor` did not make for the same list. */
export function decodeCursor<T extends z.ZodType>(cursor: string | undefined, schema: T): z.output<T> | null {
  if (cursor === undefined || cursor === "") return null;
  let value: unknown;
  try {
    const binary = atob(cursor.replaceAll("-", "+").replaceAll("_", "/"));
    value = JSON.parse(
      new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(binary, (c) => c.charCodeAt(0))),
    );
  } catch {
    value = undefined;
  }
  const parsed = schema.safeParse(value);
  // JSON escapes can hold what no text of a request may: it would only fail in the database.
  if (!parsed.success || unstorable(value) !== null) {
    throw invalidField("/cursor", "This cursor does not belong to this list.", "Start again without a cursor.");
  }
  return parsed.data;
}

/** A timestamp inside a cursor, as Postgres prints it. */
export const cursorTime = z
  .string()
  .regex(/^\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}:\d{2}(\.\d{1,6})?([+-]\d{2}(:?\d{2})?|Z)$/)
  .refine(isRealTime);

/** Cuts `limit + 1` fetched rows to a page; the extra row only proves that there is more. */
export function toPage<R, T>(
  rows: readonly R[],
  limit: number,
  keyOf: (row: R) => CursorKey,
  toItem: (row: R) => T,
): Page<T> {
  const more = rows.length > limit;
  const kept = more ? rows.slice(0, limit) : rows;
  const last = kept.at(-1);
  return {
    data: kept.map(toItem),
    next_cursor: more && last !== undefined ? encodeCursor(keyOf(last)) : null,
    has_more: more,
  };
}

/** A row without the `sort_key` column that only its cursor needs. */
export function withoutSortKey<R extends { sort_key: string }>(row: R): Omit<R, "sort_key"> {
  const item: Partial<R> = { ...row };
  delete item.sort_key;
  return item as Omit<R, "sort_key">;
}
