import type { Ctx } from "../kernel/context.ts";
import type { Field, Kind, Question } from "../providers/enrichment/vocabulary.ts";
import { COMPANY_FIELDS, PERSON_FIELDS } from "../providers/enrichment/vocabulary.ts";
import { keyOf } from "./confidence.ts";
import type { Value, Values } from "./normalise.ts";

/** A contact with its company and what providers said of both, as the waterfall works with it. */

export type Stored = {
  field: Field;
  value: Value;
  provider: string;
  confidence: number;
  state: "used" | "known" | "offered" | "rejected";
  seen_at: Date | null;
  fetched_at: Date;
};

export type Subject = {
  contact_id: string;
  company_id: string | null;
  score: number;
  /** What stands in the contact and its company now, by field; a field without a column has its used value. */
  current: Values;
  /** Fields whose current value was entered by a person. */
  entered: ReadonlySet<Field>;
  stored: Stored[];
  /** Whether the address was verified, and when. */
  email_verified_at: Date | null;
};

type Row = {
  contact_id: string;
  company_id: string | null;
  score: number;
  email: string | null;
  first_name: string;
  last_name: string;
  title: string;
  phone: string | null;
  linkedin_url: string | null;
  country: string | null;
  company_name: string | null;
  company_domain: string | null;
  company_size: string | null;
  company_industry: string | null;
  company_country: string | null;
  verified_at: Date | null;
  stored: (Omit<Stored, "seen_at" | "fetched_at"> & { seen_at: string | null; fetched_at: string })[];
};

/** Mail providers' own domains, which say nothing of an employer. */
const MAILBOX_DOMAINS = new Set(
  (
    "gmail.com googlemail.com outlook.com hotmail.com live.com msn.com yahoo.com yahoo.co.uk yahoo.fr yahoo.de ymail.com icloud.com me.com mac.com aol.com gmx.de " +
    "gmx.net gmx.at gmx.ch gmx.com web.de t-online.de freenet.de proton.me protonmail.com mail.com mail.ru yandex.ru orange.fr wanadoo.fr free.fr laposte.net " +
    "libero.it virgilio.it wp.pl o2.pl onet.pl interia.pl seznam.cz qq.com 163.com naver.com zoho.com fastmail.com tutanota.com"
  ).split(" "),
);

/** A company's domain out of an e-mail address; null for addresses at a mail provider. */
export function employerDomain(email: string | null | undefined): string | null {
  const domain = email?.slice(email.lastIndexOf("@") + 1) ?? "";
  return domain === "" || MAILBOX_DOMAINS.has(domain) ? null : domain;
}

/** Subjects in the order of their ids; who is gone is left out. One statement, however many. */
export async function loadSubjects(ctx: Ctx, contactIds: readonly string[]): Promise<Subject[]> {
  const rows = await ctx.db<Row[]>`
    select c.id as contact_id, c.company_id, c.warmth_score as score, c.email, c.first_name, c.last_name, c.title, c.phone, c.linkedin_url, c.country,
      o.name as company_name, o.domain as company_domain, o.size as company_size, o.industry as company_industry, o.country as company_country,
      a.verified_at, coalesce(v.stored, '[]') as stored
    from public.contacts c
    left join public.companies o on o.tenant_id = (select kernel.tenant()) and o.id = c.company_id
    left join public.contact_addresses a on a.tenant_id = (select kernel.tenant()) and a.contact_id = c.id and a.channel = 'email' and a.is_primary
    left join lateral (
      select jsonb_agg(jsonb_build_object('field', e.field, 'value', e.value, 'provider', e.provider, 'confidence', e.confidence, 'state', e.state,
        'seen_at', e.seen_at, 'fetched_at', e.fetched_at)) as stored
      from public.enriched_values e
      where e.tenant_id = (select kernel.tenant()) and (e.contact_id = c.id or e.company_id = c.company_id)) v on true
    where c.tenant_id = (select kernel.tenant()) and c.id = any(${contactIds as string[]}::uuid[])
    order by c.id`;
  return rows.map(toSubject);
}

function toSubject(row: Row): Subject {
  const stored = row.stored.map((s) => ({
    ...s,
    seen_at: s.seen_at === null ? null : new Date(s.seen_at),
    fetched_at: new Date(s.fetched_at),
  }));
  const columns: Values = {};
  const { contact_id: _c, company_id: _o, score: _s, verified_at: _v, stored: _st, ...texts } = row;
  for (const [field, value] of Object.entries(texts)) if (value) columns[field as Field] = value;
  const entered = new Set<Field>();
  for (const [field, value] of Object.entries(columns)) {
    const ours = stored.some((s) => s.field === field && s.state === "used" && keyOf(s.value) === keyOf(value));
    if (!ours) entered.add(field as Field);
  }
  const current: Values = { ...columns };
  for (const { field, value, state } of stored)
    if (state === "used" && current[field] === undefined) current[field] = value;
  return {
    contact_id: row.contact_id,
    company_id: row.company_id,
    score: row.score,
    current,
    entered,
    stored,
    email_verified_at: row.verified_at,
  };
}

const of = (subject: Subject, field: Field): string | undefined => {
  const value = subject.current[field];
  return typeof value === "string" ? value : undefined;
};

/** All that is known and a provider may be asked with. */
function known(subject: Subject): Question {
  const email = of(subject, "email");
  const domain = of(subject, "company_domain") ?? employerDomain(email) ?? undefined;
  const given: Question = {
    ...optional("email", email),
    ...optional("first_name", of(subject, "first_name")),
    ...optional("last_name", of(subject, "last_name")),
    ...optional("domain", domain),
    ...optional("company_name", of(subject, "company_name")),
    ...optional("linkedin_url", of(subject, "linkedin_url")),
    ...optional("country", of(subject, "country")),
  };
  return given;
}

const optional = <K extends string>(key: K, value: string | undefined): { [P in K]?: string } =>
  (value === undefined ? {} : { [key]: value }) as { [P in K]?: string };

/**
 * The question of a kind about a subject, with its key: what names the subject most surely, in normal form, so that one company of many
 * contacts is asked about once. Null: too little is known for what the provider needs.
 */
export function questionOf(
  kind: Kind,
  subject: Subject,
  needs: readonly (readonly string[])[],
): { question: Question; key: string } | null {
  const all = known(subject);
  const question: Question =
    kind === "person"
      ? all
      : kind === "company"
        ? {
            ...optional("domain", all.domain),
            ...optional("company_name", all.company_name),
            ...optional("country", of(subject, "company_country")),
          }
        : { ...optional("email", all.email) };
  const way = needs.find((fields) =>
    fields.every((f) => (question as Record<string, string | undefined>)[f] !== undefined),
  );
  if (!way) return null;
  const key = way.map((f) => `${f}=${(question as Record<string, string>)[f]!.toLowerCase()}`).join("&");
  return { question, key };
}

/** Fields of the person, of the company, or of neither. */
export const isCompanyField = (field: Field): boolean => (COMPANY_FIELDS as readonly string[]).includes(field);
export const isPersonField = (field: Field): boolean => (PERSON_FIELDS as readonly string[]).includes(field);
