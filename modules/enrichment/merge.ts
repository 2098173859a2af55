import {
  type CompanyColumn,
  type ContactColumn,
  ENRICHED_COMPANY_COLUMNS,
  ENRICHED_CONTACT_COLUMNS,
  type EnrichedChange,
  linkCompanies,
  writeEmailStates,
  writeEnrichedCompanies,
  writeEnrichedContacts,
} from "../contacts/enriched.ts";
import type { Fragment } from "../contacts/filter-sql.ts";
import type { Ctx } from "../kernel/context.ts";
import { EMAIL_FIELDS, type Field, FIELDS } from "../providers/enrichment/vocabulary.ts";
import { keyOf, weigh } from "./confidence.ts";
import type { Value, Values } from "./normalise.ts";
import { isCompanyField, loadSubjects, type Stored, type Subject } from "./subjects.ts";

/** Brings what a provider said into contacts and companies, field by field, and keeps who said what. */

export type News = {
  subject: Subject;
  provider: string;
  connection_id: string;
  values: Values;
  /** 0 to 1, by field where the provider says so. */
  confidence(field: Field): number;
  seen_at: Date | null;
  fetched_at: Date;
};

/** Values less sure than this, in per cent, are kept beside the contact and not written into it. */
export const LEAST_CONFIDENCE = 50;

/** The column a field stands in; null: it stands in none and is kept with its provenance alone. */
function columnOf(
  field: Field,
): { table: "contacts"; name: ContactColumn } | { table: "companies"; name: CompanyColumn } | null {
  if (!isCompanyField(field))
    return (ENRICHED_CONTACT_COLUMNS as readonly string[]).includes(field)
      ? { table: "contacts", name: field as ContactColumn }
      : null;
  const name = field.slice("company_".length);
  return (ENRICHED_COMPANY_COLUMNS as readonly string[]).includes(name)
    ? { table: "companies", name: name as CompanyColumn }
    : null;
}

type Decision = { subject: Subject; field: Field; best: Value; confidence: number; write: boolean };

/**
 * What is known of a field now, and whether it is written: into an empty place, or over a less sure value that came from a provider too.
 * What a person entered stays.
 */
export function decide(subject: Subject, field: Field, now: Date): Decision | null {
  const claims = subject.stored.filter((s) => s.field === field);
  const rejected = new Set(claims.filter((s) => s.state === "rejected").map((s) => keyOf(s.value)));
  const weighed = weigh(
    claims.map((s) => ({ value: s.value, confidence: s.confidence / 100, at: s.seen_at ?? s.fetched_at })),
    now,
  ).filter((w) => !rejected.has(keyOf(w.value)));
  const [best] = weighed;
  if (!best) return null;
  const confidence = Math.round(best.confidence * 100);
  const standing = subject.current[field];
  const same = standing !== undefined && keyOf(standing) === keyOf(best.value);
  const standingSure =
    standing === undefined ? 0 : (weighed.find((w) => keyOf(w.value) === keyOf(standing))?.confidence ?? 0);
  const free = standing === undefined || (!subject.entered.has(field) && best.confidence > standingSure);
  return { subject, field, best: best.value, confidence, write: free && !same && confidence >= LEAST_CONFIDENCE };
}

/**
 * Writes what was heard of many subjects and changes them to match: statements by the batch, whatever the number. Returns the fields that
 * were filled or replaced, by contact.
 */
export async function absorb(ctx: Ctx, news: readonly News[], runId: string | null): Promise<Map<string, Field[]>> {
  const filled = new Map<string, Field[]>();
  if (news.length === 0) return filled;
  const linked = await linkNewCompanies(ctx, news);
  for (const n of news) {
    remember(n);
    // Linked by its name or domain, which the contact has by that.
    if (linked.has(n.subject.contact_id))
      filled.set(
        n.subject.contact_id,
        (["company_name", "company_domain"] as const).filter((f) => n.values[f] !== undefined),
      );
  }

  const decisions = news.flatMap(({ subject, values }) =>
    (Object.keys(values) as Field[]).flatMap((field) => {
      if (isCompanyField(field) && subject.company_id === null) return [];
      const decision = decide(subject, field, ctx.now);
      return decision ? [decision] : [];
    }),
  );
  const written = await write(ctx, decisions);
  for (const d of decisions) {
    const done = d.write && (columnOf(d.field) === null || written.has(placeOf(d)));
    if (done) {
      if (d.subject.current[d.field] === undefined || !d.subject.entered.has(d.field))
        d.subject.current[d.field] = d.best;
      const list = filled.get(d.subject.contact_id) ?? [];
      if (!list.includes(d.field)) filled.set(d.subject.contact_id, [...list, d.field]);
    }
    setStates(d, done);
  }
  await keepValues(ctx, news, runId);
  await writeEmailStates(ctx.db, verified(decisions));
  return filled;
}

/** People without a company get the one that was found: by its domain where there is one, else by name. */
async function linkNewCompanies(ctx: Ctx, news: readonly News[]): Promise<Map<string, string>> {
  const without = news.filter((n) => n.subject.company_id === null);
  const linked = await linkCompanies(
    ctx.db,
    ctx.tenantId,
    without.map(({ subject, values }) => ({
      contact_id: subject.contact_id,
      company_name: (values.company_name as string | undefined) ?? null,
      company_domain: (values.company_domain as string | undefined) ?? null,
    })),
  );
  if (linked.size === 0) return linked;
  const made = await ctx.db<{ id: string }[]>`
    select id from public.companies
    where tenant_id = (select kernel.tenant()) and id = any(${[...new Set(linked.values())]}::uuid[]) and created_at >= ${ctx.now}`;
  const fresh = new Set(made.map((m) => m.id));
  const loaded = new Map((await loadSubjects(ctx, [...linked.keys()])).map((s) => [s.contact_id, s]));
  for (const { subject } of without) {
    const now = loaded.get(subject.contact_id);
    if (!now || !linked.has(subject.contact_id)) continue;
    // What stands in a company that was made of the answer was entered by nobody.
    const entered = [...now.entered].filter((f) => !(isCompanyField(f) && fresh.has(now.company_id!)));
    Object.assign(subject, {
      company_id: now.company_id,
      current: now.current,
      entered: new Set(entered),
      stored: now.stored,
    });
  }
  return linked;
}

/** The newest word of a provider on a field replaces its earlier one. */
function remember({ subject, provider, values, confidence, seen_at, fetched_at }: News): void {
  for (const [name, value] of Object.entries(values) as [Field, Value][]) {
    if (isCompanyField(name) && subject.company_id === null) continue;
    const earlier = subject.stored.find((s) => s.field === name && s.provider === provider);
    const rejected = earlier?.state === "rejected" && keyOf(earlier.value) === keyOf(value);
    const now: Stored = {
      field: name,
      value,
      provider,
      confidence: Math.round(Math.min(1, Math.max(0, confidence(name))) * 100),
      state: rejected ? "rejected" : "known",
      seen_at,
      fetched_at,
    };
    if (earlier) Object.assign(earlier, now);
    else subject.stored.push(now);
  }
}

/** The row a decision is written to, with its field: two contacts of one company have one. */
const placeOf = ({ subject, field }: Decision): string =>
  `${isCompanyField(field) ? subject.company_id : subject.contact_id}/${field}`;

async function write(ctx: Ctx, decisions: readonly Decision[]): Promise<Set<string>> {
  const places = {
    contacts: new Map<string, EnrichedChange<ContactColumn>>(),
    companies: new Map<string, EnrichedChange<CompanyColumn>>(),
  };
  for (const d of decisions) {
    const column = columnOf(d.field);
    if (!d.write || !column) continue;
    const id = column.table === "contacts" ? d.subject.contact_id : d.subject.company_id!;
    const known = places[column.table] as Map<string, EnrichedChange<string>>;
    const change: EnrichedChange<string> = known.get(id) ?? { id, set: {} };
    const was = d.subject.current[d.field];
    change.set[column.name] ??= [was === undefined ? null : String(was), String(d.best)];
    known.set(id, change);
  }
  const written = new Set<string>();
  const contacts = await contactsOrWithoutEmail(ctx, [...places.contacts.values()]);
  for (const [id, columns] of contacts) for (const name of columns) written.add(`${id}/${name}`);
  const companies = await writeEnrichedCompanies(ctx.db, [...places.companies.values()]);
  for (const [id, columns] of companies) for (const name of columns) written.add(`${id}/company_${name}`);
  return written;
}

/** Somebody else may take a found address at the same moment: then all others are written, and that one is left for the next time. */
async function contactsOrWithoutEmail(ctx: Ctx, changes: EnrichedChange<ContactColumn>[]) {
  try {
    return (await ctx.db.savepoint((db) => writeEnrichedContacts(db, changes))) as Map<string, ContactColumn[]>;
  } catch (error) {
    if ((error as { code?: string }).code !== "23505") throw error;
    const rest = changes.map(({ id, set: { email: _, ...set } }) => ({ id, set }));
    return await writeEnrichedContacts(ctx.db, rest);
  }
}

/** used: what stands there came from providers who say so. offered: a person entered something else. known: the rest. */
function setStates({ subject, field, best, write, confidence }: Decision, done: boolean): void {
  const standing = subject.current[field];
  for (const s of subject.stored) {
    if (s.field !== field || s.state === "rejected") continue;
    const same = standing !== undefined && keyOf(s.value) === keyOf(standing);
    const entered = subject.entered.has(field);
    if (same) s.state = entered && !done ? "known" : "used";
    else if (keyOf(s.value) === keyOf(best) && (entered || (write && !done)) && confidence >= LEAST_CONFIDENCE)
      s.state = "offered";
    else s.state = "known";
  }
}

/** All of what is known of the fields that were spoken of, with their states. */
async function keepValues(ctx: Ctx, news: readonly News[], runId: string | null): Promise<void> {
  const rows = new Map<string, Record<string, unknown>>();
  for (const { subject, values, connection_id, provider } of news)
    for (const s of subject.stored) {
      if (!(s.field in values) || !FIELDS.includes(s.field)) continue;
      const company = isCompanyField(s.field);
      if (company && subject.company_id === null) continue;
      const whose = company ? { company_id: subject.company_id } : { contact_id: subject.contact_id };
      const mine = s.provider === provider;
      rows.set(`${Object.values(whose)[0]}/${s.field}/${s.provider}`, {
        ...whose,
        ...s,
        ...(mine ? { connection_id, run_id: runId } : {}),
      });
    }
  if (rows.size === 0) return;
  const all = [...rows.values()];
  await keep(
    ctx,
    all.filter((r) => "contact_id" in r),
    ctx.db`contact_id`,
  );
  await keep(
    ctx,
    all.filter((r) => "company_id" in r),
    ctx.db`company_id`,
  );
}

/** `whose`: the column that names the subject, and so which key a second word of a provider meets. */
async function keep(ctx: Ctx, rows: readonly Record<string, unknown>[], whose: Fragment): Promise<void> {
  if (rows.length === 0) return;
  await ctx.db`
    insert into public.enriched_values as v (tenant_id, contact_id, company_id, field, value, provider, connection_id, confidence, state, seen_at,
      fetched_at, run_id)
    select ${ctx.tenantId}::uuid, r.contact_id, r.company_id, r.field, r.value, r.provider, r.connection_id, r.confidence, r.state, r.seen_at,
      r.fetched_at, r.run_id
    from jsonb_to_recordset(${ctx.db.json(rows as never)}) as r(contact_id uuid, company_id uuid, field text, value jsonb, provider text,
      connection_id uuid, confidence int, state text, seen_at timestamptz, fetched_at timestamptz, run_id uuid)
    -- In one order everywhere, so that two portions with the same company wait for each other instead of deadlocking.
    order by r.contact_id, r.company_id, r.field, r.provider
    on conflict (tenant_id, ${whose}, field, provider) do update set value = excluded.value, confidence = excluded.confidence, state = excluded.state,
      seen_at = excluded.seen_at, fetched_at = excluded.fetched_at, connection_id = coalesce(excluded.connection_id, v.connection_id),
      run_id = coalesce(excluded.run_id, v.run_id)
      where (v.value, v.confidence, v.state, v.seen_at, v.fetched_at) is distinct from
        (excluded.value, excluded.confidence, excluded.state, excluded.seen_at, excluded.fetched_at)`;
}

/** What verifications say clearly of addresses that stand in their contacts. */
const verified = (decisions: readonly Decision[]) =>
  decisions.flatMap(({ subject, field, best }) =>
    (EMAIL_FIELDS as readonly string[]).includes(field) &&
    (best === "valid" || best === "invalid") &&
    subject.current.email
      ? [
          {
            contact_id: subject.contact_id,
            email: subject.current.email as string,
            state: best,
            reason: "verification: the address takes no messages",
          } as const,
        ]
      : [],
  );
