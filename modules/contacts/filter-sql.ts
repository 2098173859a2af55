import type postgres from "postgres";
import type { Tx } from "../kernel/database/db.ts";
import { AppError, type FieldError } from "../kernel/errors.ts";
import { type CustomDef, loadCustomFields } from "./custom-values.ts";
import {
  allowedFields,
  type Condition,
  customKey,
  type Filter,
  FIELD_KINDS,
  filterFaults,
  type Kind,
  kindFault,
} from "./filter.ts";
import { readEmailAddress } from "./email-address.ts";
import { normaliseCountry } from "./normalize.ts";
import { clean } from "../kernel/text.ts";

/**
 * Filters as SQL fragments over `c` (public.contacts). Every value is a parameter and every name comes from a table here,
 * so nothing a person writes becomes SQL.
 */

export type Fragment = postgres.PendingQuery<postgres.Row[]>;

/** Up to so many matches an index probe's ids are joined; above, the condition is common. */
export const PROBE_MOST = 5000;
const PROBES_MOST = 20;

export type Probe =
  { like: string[] } | { tags: string[] } | { custom: Record<string, unknown> } | { company_like: string };

/** `%` and `_` are letters here. */
export const escapeLike = (text: string): string => text.replace(/[\\%_]/g, "\\$&");

/** An address with an internationalised domain as it is stored; any other word as it is. */
function storedWord(word: string): string {
  const address = word.includes("@") ? readEmailAddress(word) : null;
  return address && "value" in address ? address.value : word;
}

/** The words of a search box as LIKE patterns over the search text; one or two letters match only the beginning of a word. */
export function searchPatterns(search: string): string[] {
  const words = clean(search)
    .split(/\s+/)
    .filter((w) => w !== "")
    .slice(0, 8)
    .map(storedWord);
  return words.map((w) => (w.length < 3 ? `% ${escapeLike(w)}%` : `%${escapeLike(w)}%`));
}

/** Fields that are part of the search text, whose trigram index can therefore narrow them down. */
const SEARCHED = new Set(["email", "first_name", "last_name", "full_name", "title"]);

export const and = (db: Tx, parts: readonly Fragment[]): Fragment => parts.reduce((a, b) => db`${a} and ${b}`);
const or = (db: Tx, parts: readonly Fragment[]): Fragment => parts.reduce((a, b) => db`${a} or ${b}`);

export type Compiler = {
  /** A condition over `c`, in parentheses. Call `ready` first. */
  filter(filter: Filter): Fragment;
  search(text: string): Fragment;
  tag(tag: string): Fragment;
  /** What an index can answer about everybody selected; asked already unless `defer` was given. */
  required: Probe[];
  /** Conditions on everybody selected that the planner itself finds an index for, each perhaps selective. */
  narrow: Fragment[];
  /** The required probes alone say who is selected. */
  exact: boolean;
};

/**
 * Prepares filters and a search for one query: checks custom fields and asks the indexes, in two round trips at most. With
 * `defer` what must hold for everybody is left to the caller, who may not need the index at all.
 * Throws a field error under `pointer` when a filter is not valid for this team.
 */
export async function prepare(
  db: Tx,
  tenantId: string,
  wanted: {
    filters?: readonly { filter: unknown; pointer: string }[];
    search?: string | undefined;
    tag?: string | undefined;
    defer?: boolean;
  },
): Promise<Compiler> {
  const filters = wanted.filters ?? [];
  const errors: FieldError[] = filters.flatMap(({ filter, pointer }) =>
    filterFaults(filter).map((f) => ({ pointer: [pointer, ...f.path].join("/"), detail: f.detail })),
  );
  if (errors.length > 0) throw faulty(errors);

  const conditions = filters.flatMap(({ filter, pointer }) => [...walk(filter as Filter, pointer, true)]);
  const usesCustom = conditions.some(({ condition }) => customKey(condition.field));
  const custom = usesCustom ? await loadCustomFields(db, tenantId) : new Map<string, CustomDef>();
  for (const { condition, pointer } of conditions) {
    const key = customKey(condition.field);
    if (key === null) continue;
    const def = custom.get(key);
    if (!def) {
      const known = [...custom.keys()].map((k) => `custom.${k}`).join(", ") || "no custom fields yet";
      errors.push({
        pointer: `${pointer}/field`,
        detail: `is not a field of this workspace; use one of ${allowedFields()} (there are ${known})`,
      });
      continue;
    }
    const fault = kindFault(condition.field, customKind(def), condition.op, condition.value);
    if (fault) errors.push({ pointer: `${pointer}/${fault.at}`, detail: fault.detail });
  }
  if (errors.length > 0) throw faulty(errors);

  const probes: Probe[] = [];
  const required: Probe[] = [];
  const ask = new Map<unknown, number>();
  const add = (owner: unknown, probe: Probe | null, isRequired: boolean) => {
    if (!probe || probes.length + required.length >= PROBES_MOST) return;
    if (isRequired) required.push(probe);
    if (!(isRequired && wanted.defer)) ask.set(owner, probes.push(probe) - 1);
  };
  const patterns = wanted.search ? searchPatterns(wanted.search) : [];
  if (patterns.length > 0) add("search", { like: patterns }, true);
  if (wanted.tag !== undefined) add("tag", { tags: [wanted.tag] }, true);
  for (const { condition, required: isRequired } of conditions) add(condition, probeOf(condition), isRequired);

  const found = new Map<number, string[] | null>();
  if (probes.length > 0) {
    const json = JSON.stringify(probes.map((p, n) => ({ n, ...p })));
    const rows = await db<
      { n: number; ids: string[] | null }[]
    >`select n, ids from private.probe_contacts(${json}::text::jsonb, ${PROBE_MOST})`;
    for (const row of rows) found.set(row.n, row.ids);
  }

  const idsOf = (owner: unknown): string[] | null => {
    const n = ask.get(owner);
    return n === undefined ? null : (found.get(n) ?? null);
  };
  const exactly = (ids: string[]): Fragment => db`c.id = any(${ids}::uuid[])`;

  const leaf = (condition: Condition): Fragment => {
    const plain = conditionSql(db, tenantId, condition, custom);
    const ids = idsOf(condition);
    // The probe may be wider than the condition (the search text holds several fields), so both are asked.
    return ids ? db`(${exactly(ids)} and ${plain})` : plain;
  };

  const compile = (filter: Filter): Fragment => {
    if ("all" in filter) return filter.all.length === 0 ? db`true` : db`(${and(db, filter.all.map(compile))})`;
    if ("any" in filter) return filter.any.length === 0 ? db`false` : db`(${or(db, filter.any.map(compile))})`;
    if ("not" in filter) return db`(not coalesce(${compile(filter.not)}, false))`;
    return db`(${leaf(filter)})`;
  };

  return {
    required,
    narrow: conditions
      .filter((c) => c.required && isNarrow(c.condition))
      .map(({ condition }) => db`(${leaf(condition)})`),
    exact:
      required.length > 0 &&
      required.length === conditions.length + Number(patterns.length > 0) + Number(wanted.tag !== undefined) &&
      filters.every(({ filter }) => isOnlyTags(filter as Filter)),
    filter: compile,
    search() {
      if (patterns.length === 0) return db`true`;
      const ids = idsOf("search");
      return ids
        ? exactly(ids)
        : db`(${and(
            db,
            patterns.map((p) => db`c.search_text like kernel.fold(${p}::text)`),
          )})`;
    },
    tag(tag) {
      const ids = idsOf("tag");
      return ids ? exactly(ids) : db`c.tags && array[${tag}::text]`;
    },
  };
}

const faulty = (errors: FieldError[]) =>
  new AppError(
    "invalid",
    errors.length === 1 ? `filter: ${errors[0]!.detail}` : `The filter has ${errors.length} errors.`,
    { errors },
  );

/** Every condition with its place, and whether nobody is selected for whom it does not hold. */
function* walk(
  filter: Filter,
  pointer: string,
  required: boolean,
): Generator<{ condition: Condition; pointer: string; required: boolean }> {
  if ("all" in filter) for (const [i, part] of filter.all.entries()) yield* walk(part, `${pointer}/all/${i}`, required);
  else if ("any" in filter)
    for (const [i, part] of filter.any.entries()) yield* walk(part, `${pointer}/any/${i}`, false);
  else if ("not" in filter) yield* walk(filter.not, `${pointer}/not`, false);
  else yield { condition: filter, pointer, required };
}

/** Conditions that, required, few people may meet and whose index row-level security leaves to the planner. */
const isNarrow = ({ field, op }: Condition): boolean =>
  (field === "list" && (op === "eq" || op === "in")) ||
  (op === "eq" && ["email", "linkedin_url", "company.domain"].includes(field));

/** Whether probes for tags say all that this filter says; other probes are wider than their conditions. */
function isOnlyTags(filter: Filter): boolean {
  if ("all" in filter) return filter.all.every(isOnlyTags);
  return "field" in filter && filter.field === "tag" && probeOf(filter) !== null;
}

/** The kind a filter takes a custom field for. */
export const customKind = (def: Pick<CustomDef, "type">): Kind =>
  def.type === "number" || def.type === "date" || def.type === "boolean" ? def.type : "text";

/** An indexed question that all matches of the condition answer with yes; null when no index helps. */
function probeOf({ field, op, value }: Condition): Probe | null {
  const key = customKey(field);
  if (key !== null) {
    return op === "eq" ? { custom: { [key]: value } } : null;
  }
  if (field === "tag")
    return op === "eq" ? { tags: [value as string] } : op === "in" ? { tags: value as string[] } : null;
  const text = typeof value === "string" && value.length >= 3 ? escapeLike(value) : null;
  if (text === null) return null;
  // An address asked for whole has an index of its own.
  if (
    SEARCHED.has(field) &&
    ["eq", "contains", "starts_with", "ends_with"].includes(op) &&
    !(field === "email" && op === "eq")
  )
    return { like: [`%${text}%`] };
  if (field === "company.name" && op !== "neq")
    return {
      company_like:
        op === "contains" ? `%${text}%` : op === "starts_with" ? `${text}%` : op === "ends_with" ? `%${text}` : text,
    };
  return null;
}

function conditionSql(
  db: Tx,
  tenantId: string,
  condition: Condition,
  custom: ReadonlyMap<string, CustomDef>,
): Fragment {
  const { field, op, value } = condition;
  if (field === "tag") return tagSql(db, op, value);
  if (field === "list") return listSql(db, tenantId, op, value);
  const key = customKey(field);
  if (key !== null) {
    const kind = customKind(custom.get(key)!);
    const text = db`(c.custom ->> ${key}::text)`;
    if (kind === "number")
      return numberSql(
        db,
        db`(case when jsonb_typeof(c.custom -> ${key}::text) = 'number' then ${text}::numeric end)`,
        op,
        value,
      );
    if (kind === "boolean") return booleanSql(db, text, op, value);
    if (kind === "date") return dateSql(db, text, op, value);
    return textSql(db, text, op, value);
  }
  const dot = field.startsWith("company.") ? field.slice("company.".length) : null;
  if (dot !== null) return companySql(db, tenantId, dot, condition);
  if (field === "country" && (op === "eq" || op === "neq" || op === "in")) return countrySql(db, op, value);
  const kind = FIELD_KINDS[field]!;
  const column = db`c.${db(field)}`;
  if (kind === "number") return numberSql(db, column, op, value);
  if (kind === "time") return timeSql(db, column, op, value);
  return textSql(db, column, op, value, FOLDED.has(field));
}

/** Fields stored in lower case only, where the index on the bare column serves. */
const FOLDED = new Set(["email", "linkedin_url", "status", "phone", "whatsapp_number", "lawful_basis"]);

function textSql(db: Tx, column: Fragment, op: string, value: unknown, isFolded = false): Fragment {
  const folded = isFolded ? column : db`lower(${column})`;
  switch (op) {
    case "eq":
      return db`${folded} = lower(${value as string}::text)`;
    case "neq":
      return db`${folded} is distinct from lower(${value as string}::text)`;
    case "in":
      return db`${folded} = any(array(select lower(v) from unnest(${value as string[]}::text[]) v))`;
    case "is_empty":
      return db`(${column} is null or ${column} = '')`;
    case "is_not_empty":
      return db`(${column} is not null and ${column} <> '')`;
    default: {
      const text = escapeLike(value as string);
      const pattern = op === "contains" ? `%${text}%` : op === "starts_with" ? `${text}%` : `%${text}`;
      return db`${folded} like lower(${pattern}::text)`;
    }
  }
}

/** Countries are stored as ISO codes, so «Germany» asks for DE. */
function countrySql(db: Tx, op: string, value: unknown): Fragment {
  const codes = (op === "in" ? (value as string[]) : [value as string]).map((name) => {
    const country = normaliseCountry(name);
    return "value" in country ? country.value : name;
  });
  return op === "neq"
    ? db`(c.country is null or c.country <> all(${codes}::text[]))`
    : db`c.country = any(${codes}::text[])`;
}

/** The comparison itself is one of these six, never text from outside. */
function operator(db: Tx, op: string): Fragment {
  switch (op) {
    case "gt":
    case "after":
      return db`>`;
    case "gte":
      return db`>=`;
    case "lt":
    case "before":
      return db`<`;
    case "lte":
      return db`<=`;
    default:
      return db`=`;
  }
}

function numberSql(db: Tx, column: Fragment, op: string, value: unknown): Fragment {
  if (op === "is_empty") return db`${column} is null`;
  if (op === "is_not_empty") return db`${column} is not null`;
  if (op === "in") return db`${column} = any(${(value as number[]).map(String)}::text[]::numeric[])`;
  if (op === "neq") return db`${column} is distinct from ${String(value)}::text::numeric`;
  return db`${column} ${operator(db, op)} ${String(value)}::text::numeric`;
}

function booleanSql(db: Tx, text: Fragment, op: string, value: unknown): Fragment {
  if (op === "is_empty") return db`${text} is null`;
  if (op === "is_not_empty") return db`${text} is not null`;
  if (op === "neq") return db`${text} is distinct from ${String(value)}::text`;
  return db`${text} = ${String(value)}::text`;
}

function timeSql(db: Tx, column: Fragment, op: string, value: unknown): Fragment {
  if (op === "is_empty") return db`${column} is null`;
  if (op === "is_not_empty") return db`${column} is not null`;
  if (op === "within_days")
    return db`(${column} > (select kernel.now()) - make_interval(days => ${String(value)}::text::int) and ${column} <= (select kernel.now()))`;
  return db`${column} ${operator(db, op)} (${value as string}::text)::timestamptz`;
}

/** ISO dates sort as text. */
function dateSql(db: Tx, text: Fragment, op: string, value: unknown): Fragment {
  if (op === "is_empty") return db`${text} is null`;
  if (op === "is_not_empty") return db`${text} is not null`;
  if (op === "neq") return db`${text} is distinct from ${value as string}::text`;
  if (op === "within_days") {
    return db`(${text} >= to_char((select kernel.now()) - make_interval(days => ${String(value)}::text::int), 'YYYY-MM-DD') and ${text} <= to_char((select kernel.now()), 'YYYY-MM-DD'))`;
  }
  return db`${text} ${operator(db, op)} ${value as string}::text`;
}

function tagSql(db: Tx, op: string, value: unknown): Fragment {
  if (op === "is_empty") return db`cardinality(c.tags) = 0`;
  if (op === "is_not_empty") return db`cardinality(c.tags) > 0`;
  if (op === "neq") return db`not (c.tags && array[${value as string}::text])`;
  return db`c.tags && ${op === "in" ? (value as string[]) : [value as string]}::text[]`;
}

function listSql(db: Tx, tenantId: string, op: string, value: unknown): Fragment {
  const on = (ids: string[] | null) => db`
    exists (select from public.list_contacts lc where lc.tenant_id = ${tenantId} and lc.contact_id = c.id ${ids ? db`and lc.list_id = any(${ids}::uuid[])` : db``})`;
  if (op === "is_empty") return db`not ${on(null)}`;
  if (op === "is_not_empty") return on(null);
  if (op === "neq") return db`not ${on([value as string])}`;
  return on(op === "in" ? (value as string[]) : [value as string]);
}

/** About the company; a person without one has an empty name. */
function companySql(db: Tx, tenantId: string, column: string, { op, value }: Condition): Fragment {
  const holds = (inner: Fragment) =>
    db`exists (select from public.companies o where o.tenant_id = ${tenantId} and o.id = c.company_id and ${inner})`;
  // Name and domain have indexes on lower-case columns.
  const folded = column === "name" || column === "domain";
  const name = db`o.${db(column === "name" ? "name_sort" : column)}`;
  if (op === "is_empty") return db`not ${holds(textSql(db, name, "is_not_empty", null, folded))}`;
  if (op === "neq") return db`not ${holds(textSql(db, name, "eq", value, folded))}`;
  return holds(textSql(db, name, op, value, folded));
}
