import { z } from "zod";
import type { HttpClient, HttpResponse } from "../../../kernel/http/client.ts";
import type { Connection } from "../../../kernel/provider.ts";
import * as answers from "../../answers.ts";
import { linkedinUrl, lookupCall, pickFirst, refusal } from "../answer.ts";
import { type Answer, defineLookupProvider, type Found, type Question } from "../vocabulary.ts";

/** Persons and companies have a host each; a base URL of the connection stands for both. */
const PERSON = "https://person.clearbit.com/v2";
const COMPANY = "https://company.clearbit.com/v2";

const Credentials = z.object({
  api_key: z.string().min(1).meta({ title: "API key", secret: true, placeholder: "sk_…" }),
});
type Credentials = z.infer<typeof Credentials>;

const text = z.string().nullish();
const place = z.object({ city: text, country: text, countryCode: text }).nullish();
const handle = z.object({ handle: text }).nullish();
const Person = z.object({
  name: z.object({ givenName: text, familyName: text }).nullish(),
  email: text,
  geo: place,
  employment: z.object({ domain: text, name: text, title: text, role: text, seniority: text }).nullish(),
  linkedin: handle,
  phone: text,
  /** A match by likeness, not by the very address. */
  fuzzy: z.boolean().nullish(),
  indexedAt: text,
});
const Company = z.object({
  name: text,
  domain: text,
  category: z.object({ industry: text }).nullish(),
  description: text,
  foundedYear: z.number().nullish(),
  geo: place,
  linkedin: handle,
  phone: text,
  metrics: z
    .object({ employees: z.number().nullish(), employeesRange: text, annualRevenue: z.number().nullish() })
    .nullish(),
  tech: z.array(z.string()).nullish(),
  indexedAt: text,
});
const Combined = z.object({ person: Person.nullish(), company: Company.nullish() });

const api = (connection: Connection<Credentials>, http: HttpClient, host: string) =>
  answers.caller(http, connection.base_url ?? host, { authorization: `Bearer ${connection.credentials.api_key}` });

/** Billed are 200, 201, 202 and 404, each subject once in a billing period (help.clearbit.com): a miss costs as much as an answer. */
const UNIT = 1;

/** 402: the contract's lookups are used up. */
function failure(response: HttpResponse): Answer {
  // A record is being made; the legacy documentation says to call again after a few minutes.
  if (response.status === 202)
    return { outcome: "later", after_seconds: 180, detail: "Clearbit has queued the lookup." };
  if (response.status === 404) return { outcome: "miss", units: UNIT };
  return refusal("Clearbit", response, { broken: [401, 402, 403], refused: [400, 422] });
}

const companyValues = (c: z.infer<typeof Company> | null | undefined): Found["values"] =>
  c
    ? {
        company_name: c.name,
        company_domain: c.domain,
        company_industry: c.category?.industry,
        company_employees: c.metrics?.employees,
        company_size: c.metrics?.employeesRange,
        company_country: pickFirst(c.geo?.countryCode, c.geo?.country),
        company_city: c.geo?.city,
        company_founded: c.foundedYear,
        company_revenue: c.metrics?.annualRevenue,
        company_linkedin_url: linkedinUrl(c.linkedin?.handle, "company"),
        company_phone: c.phone,
        company_description: c.description,
        company_technologies: c.tech,
      }
    : {};

const seen = (at: string | null | undefined) => {
  const iso = at ? answers.isoDate(at) : null;
  return iso ? { seen_at: iso } : {};
};

/** Records are kept by the very address or domain, 0.85 is assumed; of a `fuzzy` one Clearbit itself is unsure, 0.5. */
const sureness = (fuzzy: boolean | null | undefined) => (fuzzy ? 0.5 : 0.85);

function combined(response: HttpResponse): Answer {
  const { person: p, company: c } = answers.shaped(Combined, response.json(), "Clearbit person and company");
  if (!p && !c) return { outcome: "miss", units: UNIT };
  return {
    outcome: "found",
    units: UNIT,
    found: {
      confidence: sureness(p?.fuzzy),
      ...seen(p?.indexedAt ?? c?.indexedAt),
      values: {
        email: p?.email,
        first_name: p?.name?.givenName,
        last_name: p?.name?.familyName,
        title: p?.employment?.title,
        seniority: p?.employment?.seniority,
        department: p?.employment?.role,
        phone: p?.phone,
        linkedin_url: linkedinUrl(p?.linkedin?.handle, "in"),
        country: pickFirst(p?.geo?.countryCode, p?.geo?.country),
        city: p?.geo?.city,
        company_name: p?.employment?.name,
        company_domain: p?.employment?.domain,
        ...companyValues(c),
      },
    },
  };
}

function company(response: HttpResponse): Answer {
  const c = answers.shaped(Company, response.json(), "Clearbit company");
  return {
    outcome: "found",
    units: UNIT,
    found: { confidence: sureness(false), ...seen(c.indexedAt), values: companyValues(c) },
  };
}

const COMPANY_GIVES = [
  "company_name",
  "company_domain",
  "company_industry",
  "company_employees",
  "company_size",
  "company_country",
  "company_city",
  "company_founded",
  "company_revenue",
  "company_linkedin_url",
  "company_phone",
  "company_description",
  "company_technologies",
] as const;

const companyPath = (domain: string) => `/companies/find?${new URLSearchParams({ domain })}`;

/**
 * Clearbit's Enrichment API for keys of old contracts, https://help.clearbit.com: HubSpot issues no new ones. A person by address with
 * their company in one call, a company by domain.
 */
export const clearbit = defineLookupProvider({
  id: "clearbit",
  label: "Clearbit (legacy)",
  category: "enrichment",
  docs_url: "https://help.clearbit.com/hc/en-us/articles/6045527495191-How-Do-I-Access-My-Clearbit-API-Key",
  setup:
    "Only for the secret key (sk_…) of a Clearbit account created in 2023 or earlier: Clearbit belongs to HubSpot, which issues no new ones.",
  credentials: Credentials,
  default_base_url: PERSON,
  runs_in: "anywhere",

  /** No call is free: Clearbit's own domain costs one lookup in a billing period. */
  async check(connection, http) {
    const response = await api(connection, http, COMPANY)("GET", companyPath("clearbit.com"));
    if ([200, 202, 404].includes(response.status)) return { ok: true, detail: "Connected." };
    const { code, detail } = failure(response) as { code: string; detail: string };
    return { ok: false, code, detail, suggestion: "Use the secret key of your Clearbit contract (sk_…)." };
  },

  lookup: {
    // 600 calls a minute on legacy plans.
    per_second: 10,
    call_seconds: 15,
    // UNVERIFIED: old contracts differ and Clearbit publishes no price any more; $0.10 is assumed.
    unit_micros: 100_000,
    kinds: {
      person: {
        needs: [["email"]],
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
          ...COMPANY_GIVES,
        ],
        batch: 1,
        units: UNIT,
      },
      company: { needs: [["domain"]], gives: COMPANY_GIVES, batch: 1, units: UNIT },
    },
    lookup: (kind, questions, connection, http) =>
      lookupCall(questions, async () => {
        const [q] = questions as [Question];
        const [host, path, read] =
          kind === "company"
            ? ([COMPANY, companyPath(q.domain!), company] as const)
            : ([PERSON, `/combined/find?${new URLSearchParams({ email: q.email! })}`, combined] as const);
        const response = await api(connection, http, host)("GET", path);
        return [response.status === 200 ? read(response) : failure(response)];
      }),
  },
});
