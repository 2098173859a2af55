import { z } from "zod";
import { isRealTime } from "../kernel/operations/time.ts";
import { STATUSES } from "./normalize.ts";

/**
 * The filter language: what people can be selected by. A tree of all/any/not over conditions. This file says what is a
 * filter and reports every fault with its place; filter-sql.ts turns it into SQL with parameters.
 */

export const OPS = [
  "eq",
  "neq",
  "contains",
  "starts_with",
  "ends_with",
  "gt",
  "gte",
  "lt",
  "lte",
  "in",
  "is_empty",
  "is_not_empty",
  "before",
  "after",
  "within_days",
] as const;
export type Op = (typeof OPS)[number];

export type Condition = { field: string; op: Op; value?: unknown };
export type Filter = { all: Filter[] } | { any: Filter[] } | { not: Filter } | Condition;

/** Deep enough for any sentence a person means; shallow enough for the planner. */
export const MAX_DEPTH = 5;
export const MAX_CONDITIONS = 50;
const MAX_VALUES = 500;
const MAX_TEXT = 500;

export type Kind = "text" | "number" | "time" | "date" | "boolean" | "tag" | "list";

const EMPTY: Op[] = ["is_empty", "is_not_empty"];
const ORDER: Op[] = ["gt", "gte", "lt", "lte"];
export const KIND_OPS: Record<Kind, readonly Op[]> = {
  text: ["eq", "neq", "contains", "starts_with", "ends_with", "in", ...EMPTY],
  number: ["eq", "neq", ...ORDER, "in", ...EMPTY],
  time: ["before", "after", ...ORDER, "within_days", ...EMPTY],
  date: ["eq", "neq", "before", "after", ...ORDER, "within_days", ...EMPTY],
  boolean: ["eq", "neq", ...EMPTY],
  tag: ["eq", "neq", "in", ...EMPTY],
  list: ["eq", "neq", "in", ...EMPTY],
};

export const FIELD_KINDS: Readonly<Record<string, Kind>> = {
  email: "text",
  first_name: "text",
  last_name: "text",
  full_name: "text",
  title: "text",
  phone: "text",
  whatsapp_number: "text",
  linkedin_url: "text",
  status: "text",
  pipeline_stage: "text",
  time_zone: "text",
  locale: "text",
  country: "text",
  consent_source: "text",
  lawful_basis: "text",
  warmth_score: "number",
  deal_value: "number",
  created_at: "time",
  updated_at: "time",
  last_interaction_at: "time",
  tag: "tag",
  list: "list",
  "company.name": "text",
  "company.domain": "text",
  "company.industry": "text",
  "company.size": "text",
  "company.country": "text",
};

const CUSTOM = /^custom\.([a-z][a-z0-9_]{0,49})$/;

/** The key of `custom.<key>`, or null. */
export const customKey = (field: string): string | null => CUSTOM.exec(field)?.[1] ?? null;

export const allowedFields = (): string => `${Object.keys(FIELD_KINDS).join(", ")}, custom.<key>`;

export type Fault = { path: (string | number)[]; detail: string };

const isObject = (v: unknown): v is Record<string, unknown> => typeof v === "object" && v !== null && !Array.isArray(v);

/** Every fault of something that wants to be a filter. Custom fields are only checked by form: their kinds are the team's own. */
export function filterFaults(input: unknown): Fault[] {
  const faults: Fault[] = [];
  let conditions = 0;
  const visit = (node: unknown, path: (string | number)[], depth: number): void => {
    if (faults.length >= 20) return;
    if (depth > MAX_DEPTH) return void faults.push({ path, detail: `is nested deeper than ${MAX_DEPTH} levels` });
    if (!isObject(node))
      return void faults.push({ path, detail: "must be {all:[…]}, {any:[…]}, {not:…} or {field, op, value}" });
    const keys = Object.keys(node);
    const group = keys.find((k) => k === "all" || k === "any" || k === "not");
    if (group) {
      const extra = keys.find((k) => k !== group);
      if (extra) return void faults.push({ path: [...path, extra], detail: `cannot be combined with ${group}` });
      if (group === "not") return visit(node.not, [...path, "not"], depth + 1);
      const parts = node[group];
      if (!Array.isArray(parts))
        return void faults.push({ path: [...path, group], detail: "must be a list of filters" });
      if (parts.length > MAX_CONDITIONS)
        return void faults.push({ path: [...path, group], detail: `has more than ${MAX_CONDITIONS} parts` });
      parts.forEach((part, i) => visit(part, [...path, group, i], depth + 1));
      return;
    }
    conditions += 1;
    if (conditions > MAX_CONDITIONS)
      return void faults.push({ path, detail: `is one condition too many; at most ${MAX_CONDITIONS} are allowed` });
    conditionFaults(node, path, faults);
  };
  visit(input, [], 1);
  return faults;
}

function conditionFaults(node: Record<string, unknown>, path: (string | number)[], faults: Fault[]): void {
  const extra = Object.keys(node).find((k) => k !== "field" && k !== "op" && k !== "value");
  if (extra)
    return void faults.push({ path: [...path, extra], detail: "is not a key of a condition; use field, op, value" });
  const { field, op } = node;
  if (typeof field !== "string" || !(Object.hasOwn(FIELD_KINDS, field) || customKey(field))) {
    return void faults.push({ path: [...path, "field"], detail: `is not a field; use one of ${allowedFields()}` });
  }
  if (!(OPS as readonly unknown[]).includes(op))
    return void faults.push({ path: [...path, "op"], detail: `is not an operator; use one of ${OPS.join(", ")}` });
  const kind = FIELD_KINDS[field];
  const detail = kind === undefined ? null : kindFault(field, kind, op as Op, node.value);
  if (detail) faults.push({ path: [...path, detail.at], detail: detail.detail });
}

/** What is wrong with an operator or value for a field of this kind; null when they fit. */
export function kindFault(
  field: string,
  kind: Kind,
  op: Op,
  value: unknown,
): { at: "op" | "value"; detail: string } | null {
  if (!KIND_OPS[kind].includes(op))
    return { at: "op", detail: `${op} cannot be used with ${field}; use one of ${KIND_OPS[kind].join(", ")}` };
  if (EMPTY.includes(op))
    return value === undefined || value === null ? null : { at: "value", detail: `${op} does not take a value` };
  if (op === "within_days") {
    const good = typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 3650;
    return good ? null : { at: "value", detail: "must be a whole number of days from 1 to 3650" };
  }
  if (op === "in") {
    if (!Array.isArray(value) || value.length === 0 || value.length > MAX_VALUES)
      return { at: "value", detail: `must be a list of 1 to ${MAX_VALUES} values` };
    for (const v of value) {
      const detail = valueFault(field, kind, v);
      if (detail) return { at: "value", detail };
    }
    return null;
  }
  const detail = valueFault(field, kind, value);
  return detail ? { at: "value", detail } : null;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

function valueFault(field: string, kind: Kind, value: unknown): string | null {
  switch (kind) {
    case "number":
      return typeof value === "number" && Number.isFinite(value) ? null : "must be a number";
    case "boolean":
      return typeof value === "boolean" ? null : "must be true or false";
    case "time":
      return typeof value === "string" && isRealTime(value)
        ? null
        : "must be a date (YYYY-MM-DD) or a time (RFC 3339) that exists";
    case "date":
      return typeof value === "string" && /^\d{4}-\d{2}-\d{2}$/.test(value) && isRealTime(value)
        ? null
        : "must be a date (YYYY-MM-DD) that exists";
    case "list":
      return typeof value === "string" && UUID.test(value) ? null : "must be the id of a list";
    default:
      if (typeof value !== "string" || value === "" || value.length > MAX_TEXT || value.includes("\u0000"))
        return `must be text of 1 to ${MAX_TEXT} characters`;
      if (field === "status" && !(STATUSES as readonly string[]).includes(value))
        return `is not a status; use one of ${STATUSES.join(", ")}`;
      return null;
  }
}

/** JSON Schema of the language for the API document; zod cannot say "recursive, with a depth". */
const documentation = {
  description: `A group ({all}, {any}, {not}) or a condition {field, op, value}. At most ${MAX_DEPTH} levels and ${MAX_CONDITIONS} conditions. Fields: ${allowedFields()}. Text is compared without regard to upper and lower case; neq and not include empty values; within_days means within that number of days before now.`,
  type: "object" as const,
  properties: {
    all: {
      type: "array" as const,
      items: { type: "object" as const },
      description: "All of these are true; an empty list selects all contacts.",
    },
    any: {
      type: "array" as const,
      items: { type: "object" as const },
      description: "At least one of these is true; an empty list selects no contacts.",
    },
    not: { type: "object" as const },
    field: { type: "string" as const },
    op: { type: "string" as const, enum: [...OPS] },
    value: { description: "Text, number, boolean, or a list for `in`." },
  },
};

export const FilterSchema = (z.record(z.string(), z.unknown()) as unknown as z.ZodType<Filter, Filter>)
  .superRefine((input, context) => {
    for (const { path, detail } of filterFaults(input)) context.addIssue({ code: "custom", path, message: detail });
  })
  .meta({ id: "Filter", override: documentation });
