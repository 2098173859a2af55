import { z } from "zod";
import type { HttpClient, HttpResponse } from "../../../kernel/http/client.ts";
import type { Connection } from "../../../kernel/provider.ts";
import * as answers from "../../answers.ts";
import { lookupCall, pickFirst, refusal } from "../answer.ts";
import { type Answer, defineLookupProvider, type Found, type Question } from "../vocabulary.ts";

const BASE = "https://api.apollo.io/api/v1";

const Credentials = z.object({
  api_key: z.string().min(1).meta({ title: "API key", secret: true, placeholder: "22 characters" }),
});
type Credentials = z.infer<typeof Credentials>;

const text = z.string().nullish();
const Organization = z.object({
  name: text,
  primary_domain: text,
  website_url: text,
  industry: text,
  estimated_num_employees: z.number().nullish(),
  annual_revenue: z.number().nullish(),
  founded_year: z.number().nullish(),
  country: text,
  city: text,
  linkedin_url: text,
  phone: text,
  primary_phone: z.object({ number: text, sanitized_number: text }).nullish(),
  short_description: text,
  technology_names: z.array(z.string()).nullish(),
});
const Person = z.object({
  id: text,
  first_name: text,
  last_name: text,
  email: text,
  email_status: text,
  extrapolated_email_confidence: z.number().min(0).max(1).nullish(),
  title: text,
  seniority: text,
  departments: z.array(z.string()).nullish(),
  linkedin_url: text,
  country: text,
  city: text,
  organization: Organization.nullish(),
});
type Person = z.infer<typeof Person>;
const Matched = z.object({ person: Person.nullish() });
const Matches = z.object({ matches: z.array(Person.nullable()), credits_consumed: z.number().nullish() });
const Enriched = z.object({ organization: Organization.nullish() });

const api = (connection: Connection<Credentials>, http: HttpClient) =>
  answers.caller(http, connection.base_url ?? BASE, { "x-api-key": connection.credentials.api_key });

/**
 * Errors of the whole call; 401 is plain text, 403 a key that may not use this endpoint. That missing credits are a 422 whose words speak
 * of them is UNVERIFIED.
 */
function failure(response: HttpResponse): Answer {
  const read = refusal("Apollo", response, { broken: [401, 402, 403], refused: [400, 422] });
  return read.outcome === "refused" && /insufficient credits/i.test(read.detail)
    ? { ...read, outcome: "broken" }
    : read;
}

const companyValues = (o: z.infer<typeof Organization> | null | undefined): Found["values"] =>
  o
    ? {
        company_name: o.name,
        company_domain: pickFirst(o.primary_domain, o.website_url),
        company_industry: o.industry,
        company_employees: o.estimated_num_employees,
        company_revenue: o.annual_revenue,
        company_founded: o.founded_year,
        company_country: o.country,
        company_city: o.city,
        company_linkedin_url: o.linkedin_url,
        company_phone: pickFirst(o.primary_phone?.sanitized_number, o.primary_phone?.number, o.phone),
        company_description: o.short_description,
        company_technologies: o.technology_names,
      }
    : {};

/** Apollo gives records no measure: what it matches, it calls the person; 0.85 is assumed. Of the address it says how it knows it. */
const RECORD_CONFIDENCE = 0.85;

function personAnswer(p: Person | null | undefined, units: number): Answer {
  if (!p?.id) return { outcome: "miss", units: 0 };
  // What stands in for an address that the plan has not unlocked.
  const email = p.email?.startsWith("email_not_unlocked@") ? null : p.email;
  const verified = p.email_status === "verified";
  return {
    outcome: "found",
    units,
    found: {
      confidence: RECORD_CONFIDENCE,
      // A verified address was tried; another one is guessed with the sureness it names, or with none.
      ...(email
        ? { confidences: { email: verified ? 0.95 : Math.max(0.01, p.extrapolated_email_confidence ?? 0.5) } }
        : {}),
      values: {
        email,
        email_status: email && verified ? "valid" : undefined,
        first_name: p.first_name,
        last_name: p.last_name,
        title: p.title,
        seniority: p.seniority,
        department: p.departments?.[0],
        linkedin_url: p.linkedin_url,
        country: p.country,
        city: p.city,
        ...companyValues(p.organization),
      },
    },
  };
}

const details = (q: Question): Record<string, string> => ({
  ...(q.email ? { email: q.email } : {}),
  ...(q.linkedin_url ? { linkedin_url: q.linkedin_url } : {}),
  ...(q.first_name ? { first_name: q.first_name } : {}),
  ...(q.last_name ? { last_name: q.last_name } : {}),
  ...(q.domain ? { domain: q.domain } : {}),
  ...(q.company_name ? { organization_name: q.company_name } : {}),
});

const COMPANY_GIVES = [
  "company_name",
  "company_domain",
  "company_industry",
  "company_employees",
  "company_revenue",
  "company_founded",
  "company_country",
  "company_city",
  "company_linkedin_url",
  "company_phone",
  "company_description",
  "company_technologies",
] as const;

/**
 * Apollo, https://docs.apollo.io. One person is asked for by query parameters, up to ten in one bulk call; no match is a 200 with an empty
 * person and free. Mobile phones are left out: they cost nine times as much and arrive by an unsigned webhook.
 */
export const apollo = defineLookupProvider({
  id: "apollo",
  label: "Apollo",
  category: "enrichment",
  docs_url: "https://docs.apollo.io/reference/people-enrichment",
  setup:
    "Create an API key at app.apollo.io, Settings, Integrations, API, for the endpoints people/match, people/bulk_match, organizations/enrich and users/api_profile.",
  credentials: Credentials,
  default_base_url: BASE,
  runs_in: "anywhere",

  /** The profile is free. A key limited to other endpoints is refused there, yet known: Apollo answers 401 to one it does not know. */
  async check(connection, http) {
    const response = await api(connection, http)("GET", "/users/api_profile?include_credit_usage=true");
    if (response.status === 200) return { ok: true, detail: "Connected." };
    if (response.status === 403)
      return {
        ok: true,
        detail: "Apollo knows the key, which is limited to some endpoints: people/match must be one.",
      };
    const { code, detail } = failure(response) as { code: string; detail: string };
    return {
      ok: false,
      code,
      detail,
      suggestion: "Copy the key again from app.apollo.io, Settings, Integrations, API.",
    };
  },

  lookup: {
    // 1,000 calls a minute with a paid plan, 50 without; it says by 429 and Retry-After when to wait.
    per_second: 16,
    call_seconds: 15,
    // UNVERIFIED: Apollo publishes no price of a credit; others quote $0.03 to $0.10 for an extra one (2026), $0.04 is assumed.
    unit_micros: 40_000,
    kinds: {
      person: {
        needs: [
          ["email"],
          ["linkedin_url"],
          ["first_name", "last_name", "domain"],
          ["first_name", "last_name", "company_name"],
        ],
        gives: [
          "email",
          "email_status",
          "first_name",
          "last_name",
          "title",
          "seniority",
          "department",
          "linkedin_url",
          "country",
          "city",
          ...COMPANY_GIVES,
        ],
        batch: 10,
        units: 1,
      },
      company: { needs: [["domain"], ["company_name"]], gives: COMPANY_GIVES, batch: 1, units: 1 },
    },
    lookup: (kind, questions, connection, http) =>
      lookupCall(questions, async () => {
        const call = api(connection, http);
        const [q] = questions as [Question];
        if (kind === "company") {
          const query = new URLSearchParams(q.domain ? { domain: q.domain } : { name: q.company_name! });
          const response = await call("GET", `/organizations/enrich?${query}`);
          if (response.status !== 200) return [failure(response)];
          const { organization } = answers.shaped(Enriched, response.json(), "Apollo organization");
          if (!organization?.name) return [{ outcome: "miss", units: 0 }];
          // A domain is one company's, a name may be several companies'.
          const confidence = q.domain ? 0.9 : 0.6;
          return [{ outcome: "found", units: 1, found: { confidence, values: companyValues(organization) } }];
        }
        if (questions.length === 1) {
          const response = await call("POST", `/people/match?${new URLSearchParams(details(q))}`);
          if (response.status !== 200) return [failure(response)];
          return [personAnswer(answers.shaped(Matched, response.json(), "Apollo person").person, 1)];
        }
        const response = await call("POST", "/people/bulk_match", { details: questions.map(details) });
        if (response.status !== 200) return questions.map(() => failure(response));
        const { matches, credits_consumed } = answers.shaped(Matches, response.json(), "Apollo people");
        // People whom the team has already are free, which only the total tells: it is laid on the first ones.
        let left = Math.ceil(credits_consumed ?? matches.length);
        return matches.map((p) => personAnswer(p, p?.id && left-- > 0 ? 1 : 0));
      }),
  },
});
