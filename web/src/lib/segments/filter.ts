import type { Condition, Filter, Operator } from "../api/types.ts";
import { withoutValue } from "../contacts/fields.ts";

/** A group in the builder; ids keep rows stable while they are edited. */
export type Row = { id: number; field: string; op: Operator; value: string; negate: boolean };
export type Group = { id: number; match: "all" | "any"; negate: boolean; rows: (Row | Group)[] };

let next = 1;
export const newRow = (): Row => ({ id: next++, field: "email", op: "contains", value: "", negate: false });
export const newGroup = (): Group => ({ id: next++, match: "all", negate: false, rows: [newRow()] });
export const isGroup = (item: Row | Group): item is Group => "rows" in item;

const numeric = new Set<Operator>(["gt", "gte", "lt", "lte", "within_days"]);

function toValue(row: Row, type: string): unknown {
  if (row.op === "in")
    return row.value
      .split(",")
      .map((v) => v.trim())
      .filter(Boolean);
  if (row.op === "within_days" || (type === "number" && (numeric.has(row.op) || row.op === "eq" || row.op === "neq")))
    return Number(row.value);
  if (type === "boolean") return row.value === "true";
  return row.value;
}

/** The builder's tree as the API's filter; rows still waiting for a value are left out. Null when nothing is left. */
export function toFilter(item: Row | Group, typeOf: (field: string) => string): Filter | null {
  if (isGroup(item)) {
    const parts = item.rows.map((r) => toFilter(r, typeOf)).filter((f) => f !== null);
    if (parts.length === 0) return null;
    const filter: Filter = item.match === "all" ? { all: parts } : { any: parts };
    return item.negate ? { not: filter } : filter;
  }
  if (!withoutValue.has(item.op) && item.value.trim() === "") return null;
  const condition: Condition = { field: item.field, op: item.op };
  if (!withoutValue.has(item.op)) condition.value = toValue(item, typeOf(item.field));
  return item.negate ? { not: condition } : condition;
}

/** The API's filter as the builder's tree; every filter the language allows can be shown. */
export function fromFilter(filter: Filter): Group {
  const item = fromAny(filter, false);
  return isGroup(item) ? item : { id: next++, match: "all", negate: false, rows: [item] };
}
function fromAny(filter: Filter, negate: boolean): Row | Group {
  if ("not" in filter) return fromAny(filter.not, !negate);
  if ("all" in filter) return { id: next++, match: "all", negate, rows: filter.all.map((f) => fromAny(f, false)) };
  if ("any" in filter) return { id: next++, match: "any", negate, rows: filter.any.map((f) => fromAny(f, false)) };
  const value = Array.isArray(filter.value)
    ? filter.value.join(", ")
    : filter.value === undefined || filter.value === null
      ? ""
      : String(filter.value);
  return { id: next++, field: filter.field, op: filter.op, value, negate };
}
