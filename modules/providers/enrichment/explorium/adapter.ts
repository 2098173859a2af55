import { z } from "zod";
import { HttpError, type HttpClient, type HttpResponse } from "../../../kernel/http/client.ts";
import type { Connection } from "../../../kernel/provider.ts";
import * as answers from "../../answers.ts";
import { lookupCall, pickFirst, refusal } from "../answer.ts";
import { type Answer, defineLookupProvider, type Found, type Question } from "../vocabulary.ts";

const BASE = "https://api.explorium.ai/v1";

const Credentials = z.object({ api_key: z.string().min(1).meta({ title: "API key", secret: true }) });
type Credentials = z.infer<typeof Credentials>;
const Settings = z.object({
  contacts: z.boolean().default(true).meta({
    title: "E-mail and phone",
    description:
      "Look up e-mail address and phone of a person too: 5 credits more. Otherwise 1 credit for the profile.",
  }),
});

const text = z.string().nullish();
const Profile = z.object({
  first_name: text,
  last_name: text,
  country_name: text,
  city: text,
  linkedin: text,
  company_name: text,
  company_website: text,
  company_linkedin: text,
  job_title: text,
  job_level_main: text,
  job_department_main: text,
});
const Contacts = z.object({
  professions_email: text,
  professional_email_status: text,
  mobile_phone: text,
  phone_numbers: z.array(z.object({ phone_number: text })).nullish(),
});
/** The documentation's names of firmographics; fields beyond these are not read. */
const Firmographics = z.object({
  name: text,
  website: text,
  business_description: text,
  country_name: text,
  city_name: text,
  number_of_employees_range: text,
  yearly_revenue_range: text,
  linkedin_industry_category: text,
  naics_description: text,
  linkedin_profile: text,
});

const prospects = {
  path: "/prospects",
  matched: "matched_prospects",
  id: "prospect_id",
} as const;
const businesses = {
  path: "/businesses",
  matched: "matched_businesses",
  id: "business_id",
} as const;
type Side = typeof prospects | typeof businesses;

const api = (connection: Connection<Credentials>, http: HttpClient) =>
  answers.caller(http, connection.base_url ?? BASE, { api_key: connection.credentials.api_key });

/** 403: no credits are left. */
const failure = (response: HttpResponse): Answer =>
  refusal("Explorium", response, { broken: [401, 403], refused: [400, 422] });

/** Ends the whole call with one outcome for all its questions. */
class Ended extends Error {
  readonly answer: Answer;
  constructor(answer: Answer) {
    super("ended");
    this.answer = answer;
  }
}

/** Step one, which is free: who or what the questions are about, in their order. Whatever goes wrong in it may be repeated. */
async function match(call: answers.Caller, side: Side, key: string, asked: object[]): Promise<(string | null)[]> {
  let response: HttpResponse;
  try {
    response = await call("POST", `${side.path}/match`, { [key]: asked });
  } catch (error) {
    if (error instanceof HttpError && error.sent)
      throw new Ended({ outcome: "retry", code: error.kind, detail: error.message });
    throw error;
  }
  if (response.status !== 200) throw new Ended(failure(response));
  const Matched = z.object({
    [side.matched]: z.array(z.object({ [side.id]: text })).length(asked.length),
  });
  const body = answers.shaped(Matched, response.json(), "Explorium match") as Record<string, Record<string, string>[]>;
  return body[side.matched]!.map((m) => m[side.id] ?? null);
}

/** Step two, which is charged for each record that comes back: the data by id. */
async function enrich<T>(
  call: answers.Caller,
  side: Side,
  what: string,
  ids: readonly string[],
  shape: z.ZodType<T>,
): Promise<Map<string, T> | Answer> {
  const response = await call("POST", `${side.path}/${what}/bulk_enrich`, { [`${side.id}s`]: ids });
  if (response.status !== 200) return failure(response);
  const Rows = z.object({ data: z.array(z.looseObject({ [side.id]: z.string(), data: shape.nullish() })).nullish() });
  const { data } = answers.shaped(Rows, response.json(), `Explorium ${what}`);
  return new Map((data ?? []).flatMap((row) => (row.data ? [[row[side.id] as string, row.data as T]] : [])));
}

const PROFILE = 1;
const CONTACTS = 5;
/** Explorium matches or does not, and tells no measure: 0.8 stands for that. */
const MATCHED = 0.8;

type Person = { profile: z.infer<typeof Profile> | undefined; contacts: z.infer<typeof Contacts> | undefined };

const ofPerson = ({ profile, contacts }: Person): Found["values"] => ({
  email: contacts?.professional_email_status === "invalid" ? undefined : contacts?.professions_email,
  phone: pickFirst(contacts?.mobile_phone, contacts?.phone_numbers?.[0]?.phone_number),
  first_name: profile?.first_name,
  last_name: profile?.last_name,
  title: profile?.job_title,
  seniority: profile?.job_level_main,
  department: profile?.job_department_main,
  linkedin_url: profile?.linkedin,
  country: profile?.country_name,
  city: profile?.city,
  company_name: profile?.company_name,
  company_domain: profile?.company_website,
  company_linkedin_url: profile?.company_linkedin,
});

const ofCompany = (c: z.infer<typeof Firmographics>): Found["values"] => ({
  company_name: c.name,
  company_domain: c.website,
  company_industry: pickFirst(c.linkedin_industry_category, c.naics_description),
  company_size: c.number_of_employees_range,
  company_revenue: c.yearly_revenue_range,
  company_country: c.country_name,
  company_city: c.city_name,
  company_linkedin_url: c.linkedin_profile,
  company_description: c.business_description,
});

/** `full_name` is refused without `company_name`. */
const whoIs = (q: Question) => ({
  ...(q.email ? { email: q.email } : {}),
  ...(q.linkedin_url ? { linkedin: q.linkedin_url } : {}),
  ...(q.first_name && q.last_name && q.company_name
    ? { full_name: `${q.first_name} ${q.last_name}`, company_name: q.company_name }
    : {}),
});

const whatIs = (q: Question) => ({
  ...(q.domain ? { domain: q.domain } : {}),
  ...(q.company_name ? { name: q.company_name } : {}),
});

/** Answers in the order of the questions. Who is asked about twice in a batch is charged once. */
function inOrder(
  ids: readonly (string | null)[],
  found: (id: string) => { units: number; values: Found["values"] } | Answer | null,
) {
  const charged = new Set<string>();
  return ids.map((id): Answer => {
    const one = id === null ? null : found(id);
    if (id === null || one === null) return { outcome: "miss", units: 0 };
    if ("outcome" in one) return one;
    const units = charged.has(id) ? 0 : one.units;
    charged.add(id);
    return { outcome: "found", units, found: { confidence: MATCHED, values: one.values } };
  });
}

/** Explorium AgentSource v1, https://developers.explorium.ai: match, which is free, then enrich what was matched; both up to 50 at once. */
export const explorium = defineLookupProvider({
  id: "explorium",
  label: "Explorium",
  category: "enrichment",
  docs_url: "https://developers.explorium.ai/reference/introduction",
  setup:
    "Create an API key in your Explorium account, as the authentication guide at developers.explorium.ai shows. Data costs credits of that account.",
  credentials: Credentials,
  settings: Settings,
  default_base_url: BASE,
  runs_in: "anywhere",

  async check(connection, http) {
    const response = await api(connection, http)("GET", "/credits");
    if (response.status === 200) return { ok: true, detail: "Connected." };
    const { code, detail } = failure(response) as { code: string; detail: string };
    return { ok: false, code, detail, suggestion: "Copy the key again from your Explorium account." };
  },

  lookup: {
    // 200 records a minute; each record of a batch counts (public integrations quote it): UNVERIFIED.
    per_second: 3,
    call_seconds: 45,
    // Packages of $200 for 5,000 credits (2026): $0.04 for a credit.
    unit_micros: 40_000,
    kinds: {
      person: {
        needs: [["email"], ["linkedin_url"], ["first_name", "last_name", "company_name"]],
        gives: [
          "email",
          "first_name",
          "last_name",
          "title",
          "seniority",
          "department",
          "phone",
          "linkedin_url",
          "country",
          "city",
          "company_name",
          "company_domain",
          "company_linkedin_url",
        ],
        batch: 50,
        // What a profile and contact data cost is in no public page: as public integrations have it. UNVERIFIED.
        units: PROFILE + CONTACTS,
      },
      company: {
        needs: [["domain"], ["company_name"]],
        gives: [
          "company_name",
          "company_domain",
          "company_industry",
          "company_size",
          "company_revenue",
          "company_country",
          "company_city",
          "company_linkedin_url",
          "company_description",
        ],
        batch: 50,
        units: PROFILE,
      },
    },
    lookup(kind, questions, connection, http) {
      const call = api(connection, http);
      return lookupCall(questions, async () => {
        try {
          return kind === "company"
            ? await companies(questions, call)
            : await persons(questions, call, connection.settings.contacts !== false);
        } catch (error) {
          if (error instanceof Ended) return questions.map(() => error.answer);
          throw error;
        }
      });
    },
  },
});

const known = (ids: readonly (string | null)[]) => [...new Set(ids.filter((id) => id !== null))];

async function companies(questions: readonly Question[], call: answers.Caller): Promise<Answer[]> {
  const ids = await match(call, businesses, "businesses_to_match", questions.map(whatIs));
  if (known(ids).length === 0) return inOrder(ids, () => null);
  const rows = await enrich(call, businesses, "firmographics", known(ids), Firmographics);
  if (!(rows instanceof Map)) throw new Ended(rows);
  return inOrder(ids, (id) => {
    const row = rows.get(id);
    return row ? { units: PROFILE, values: ofCompany(row) } : null;
  });
}

const LOST: Answer = { outcome: "unknown", code: "lost", detail: "The call for contact data got no answer." };

async function persons(questions: readonly Question[], call: answers.Caller, wantContacts: boolean): Promise<Answer[]> {
  const ids = await match(call, prospects, "prospects_to_match", questions.map(whoIs));
  if (known(ids).length === 0) return inOrder(ids, () => null);
  const profiles = await enrich(call, prospects, "profiles", known(ids), Profile);
  if (!(profiles instanceof Map)) throw new Ended(profiles);
  const contacts = wantContacts ? await contactsOf(known(ids), call) : { rows: new Map<string, never>(), lost: false };
  return inOrder(ids, (id) => {
    const person: Person = { profile: profiles.get(id), contacts: contacts.rows.get(id) };
    if (!person.profile && contacts.lost) return LOST;
    if (!person.profile && !person.contacts) return null;
    const units = (person.profile ? PROFILE : 0) + (person.contacts || contacts.lost ? CONTACTS : 0);
    return { units, values: ofPerson(person) };
  });
}

/** The profiles are paid by now, so a failure here must not lose them. `lost`: no answer was read, and it may have been charged. */
async function contactsOf(ids: readonly string[], call: answers.Caller) {
  const none = new Map<string, z.infer<typeof Contacts>>();
  try {
    const rows = await enrich(call, prospects, "contacts_information", ids, Contacts);
    if (rows instanceof Map) return { rows, lost: false };
    return { rows: none, lost: rows.outcome === "unknown" };
  } catch (error) {
    return { rows: none, lost: !(error instanceof HttpError) || error.sent };
  }
}
