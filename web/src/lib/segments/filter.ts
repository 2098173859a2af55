import type { Condition, Filter, Operator } from "../api/types.ts";

/** A group in the builder; ids keep rows stable while they are edited. */
export type Row = { id: number; field: string; op: Operator; value: string; negate: boolean };
export type Group = { id: number; match: "all" | "any"; negate: boolean; rows: (Row | Group)[] };

let next = 1;
export const newRow = (): Row => ({ id: next++, field: "email", op: "contains", value: "", negate: false });
export const newGroup = (): Group => ({ id: next++, match: "all", negate: false, rows: [newRow()] });
export const isGroup = (item: Row | Group): item is Group => "rows" in item;

/** What the builder must know of the language; from the catalogue. */
export type Language = {
  /** The kind of value a field has: `text`, `number`, `time`, … */
  kindOf(field: string): string;
  /** What an operator compares a field of this kind with. */
  takes(op: string, kind: string): "value" | "values" | "days" | "nothing";
};

function toValue(row: Row, { kindOf, takes }: Language): unknown {
  const kind = kindOf(row.field);
  const how = takes(row.op, kind);
  const one = (text: string) => (kind === "number" ? Number(text) : kind === "boolean" ? text === "true" : text);
  if (how === "days") return Number(row.value);
  if (how === "value") return one(row.value);
  return row.value
    .split(",")
    .map((v) => v.trim())
    .filter(Boolean)
    .map(one);
}

/** The builder's tree as the API's filter; rows still waiting for a value are left out. Null when nothing is left. */
export function toFilter(item: Row | Group, language: Language): Filter | null {
  if (isGroup(item)) {
    const parts = item.rows.map((r) => toFilter(r, language)).filter((f) => f !== null);
    if (parts.length === 0) return null;
    const filter: Filter = item.match === "all" ? { all: parts } : { any: parts };
    return item.negate ? { not: filter } : filter;
  }
  const bare = language.takes(item.op, language.kindOf(item.field)) === "nothing";
  if (!bare && item.value.trim() === "") return null;
  const condition: Condition = { field: item.field, op: item.op };
  if (!bare) condition.value = toValue(item, language);
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
