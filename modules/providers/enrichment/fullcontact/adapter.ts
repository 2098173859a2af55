import { z } from "zod";
import type { HttpClient, HttpResponse } from "../../../kernel/http/client.ts";
import type { Connection } from "../../../kernel/provider.ts";
import * as answers from "../../answers.ts";
import { lookupCall, pickFirst, refusal } from "../answer.ts";
import { type Answer, defineLookupProvider, type Found, type Question } from "../vocabulary.ts";

const BASE = "https://api.fullcontact.com/v3";

const Credentials = z.object({ api_key: z.string().min(1).meta({ title: "API key", secret: true }) });
type Credentials = z.infer<typeof Credentials>;

/** How sure FullContact itself is at each of its levels (docs.fullcontact.com/docs/request-properties). */
const SURE = { LOW: 0.6, MED: 0.8, HIGH: 0.95, MAX: 0.98 } as const;
type Level = keyof typeof SURE;
const Settings = z.object({
  confidence: z.enum(["LOW", "MED", "HIGH", "MAX"]).default("HIGH").meta({
    title: "Least confidence",
    description: "How sure FullContact must be of a person: LOW 60 %, MED 80 %, HIGH 95 %, MAX 98 %.",
  }),
});

const text = z.string().nullish();
const values = z.array(z.object({ value: text })).nullish();
const places = z.array(z.object({ city: text, country: text, countryCode: text })).nullish();
const Person = z.object({
  title: text,
  organization: text,
  linkedin: text,
  updated: text,
  details: z
    .object({
      name: z.object({ given: text, family: text }).nullish(),
      emails: values,
      phones: values,
      locations: places,
      employment: z
        .array(z.object({ name: text, domain: text, title: text, current: z.boolean().nullish() }))
        .nullish(),
    })
    .nullish(),
});
const Company = z.object({
  name: text,
  bio: text,
  website: text,
  founded: z.number().nullish(),
  employees: z.number().nullish(),
  linkedin: text,
  updated: text,
  details: z
    .object({ industries: z.array(z.object({ name: text })).nullish(), phones: values, locations: places })
    .nullish(),
});

const api = (connection: Connection<Credentials>, http: HttpClient) =>
  answers.caller(http, connection.base_url ?? BASE, { authorization: `Bearer ${connection.credentials.api_key}` });

/** 403: the key is wrong, missing, or its quota used up. */
const failure = (response: HttpResponse): Answer =>
  refusal("FullContact", response, { broken: [401, 403, 410], refused: [400, 422] });

/** 202: it is being searched, ask again. How long that takes is not documented: two minutes are assumed. */
function unanswered(response: HttpResponse): Answer | null {
  if (response.status === 404) return { outcome: "miss", units: 0 };
  if (response.status === 202)
    return {
      outcome: "later",
      after_seconds: answers.retryAfterSeconds(response.headers) ?? 120,
      detail: "FullContact is still searching.",
    };
  return response.status === 200 ? null : failure(response);
}

/** A day without a year of meaning: records without a date say 1970. */
const seenAt = (updated: string | null | undefined): { seen_at?: string } => {
  const at = updated ? answers.isoDate(updated) : null;
  return at === null || at.startsWith("1970") ? {} : { seen_at: at };
};

function ofPerson(p: z.infer<typeof Person>): Found["values"] {
  const job = p.details?.employment?.find((e) => e.current);
  const place = p.details?.locations?.[0];
  return {
    email: p.details?.emails?.[0]?.value,
    first_name: p.details?.name?.given,
    last_name: p.details?.name?.family,
    title: pickFirst(job?.title, p.title),
    phone: p.details?.phones?.[0]?.value,
    linkedin_url: p.linkedin,
    country: pickFirst(place?.countryCode, place?.country),
    city: place?.city,
    company_name: pickFirst(job?.name, p.organization),
    company_domain: job?.domain,
  };
}

function ofCompany(c: z.infer<typeof Company>): Found["values"] {
  const place = c.details?.locations?.[0];
  return {
    company_name: c.name,
    company_domain: c.website,
    company_industry: c.details?.industries?.[0]?.name,
    company_employees: c.employees,
    company_founded: c.founded,
    company_linkedin_url: c.linkedin,
    company_phone: c.details?.phones?.[0]?.value,
    company_description: c.bio,
    company_country: pickFirst(place?.countryCode, place?.country),
    company_city: place?.city,
  };
}

/** FullContact v3, https://docs.fullcontact.com; answers as its official Go client reads them (github.com/fullcontact/fullcontact-go). */
export const fullContact = defineLookupProvider({
  id: "fullcontact",
  label: "FullContact",
  category: "enrichment",
  docs_url: "https://docs.fullcontact.com",
  setup:
    "Create an API key as docs.fullcontact.com/docs/generate-an-api-key shows. The plan must include person and company enrichment.",
  credentials: Credentials,
  settings: Settings,
  default_base_url: BASE,
  runs_in: "anywhere",

  /** No free call is documented: a question without anything to search for is refused (400) once the key is accepted. UNVERIFIED. */
  async check(connection, http) {
    const response = await api(connection, http)("POST", "/person.enrich", {});
    if ([200, 400, 404, 422].includes(response.status)) return { ok: true, detail: "Connected." };
    const { code, detail } = failure(response) as { code: string; detail: string };
    return { ok: false, code, detail, suggestion: "Copy the key again and look at the quota of your plan." };
  },

  lookup: {
    // 6,000 calls a minute for a key; above it delays answers, and refuses with 429 beyond a second (docs.fullcontact.com/docs/rate-limiting).
    per_second: 50,
    call_seconds: 15,
    // A match is a unit. Prices are not published: $0.10 is assumed. UNVERIFIED.
    unit_micros: 100_000,
    kinds: {
      person: {
        // A name needs a postal address beside it, which is not known.
        needs: [["email"], ["linkedin_url"]],
        gives: [
          "email",
          "first_name",
          "last_name",
          "title",
          "phone",
          "linkedin_url",
          "country",
          "city",
          "company_name",
          "company_domain",
        ],
        batch: 1,
        units: 1,
      },
      company: {
        needs: [["domain"]],
        gives: [
          "company_name",
          "company_domain",
          "company_industry",
          "company_employees",
          "company_founded",
          "company_linkedin_url",
          "company_phone",
          "company_description",
          "company_country",
          "company_city",
        ],
        batch: 1,
        units: 1,
      },
    },
    lookup(kind, questions, connection, http) {
      const call = api(connection, http);
      const [q] = questions as [Question];
      return lookupCall(questions, async () => {
        if (kind === "company") {
          const response = await call("POST", "/company.enrich", { domain: q.domain });
          const none = unanswered(response);
          if (none) return [none];
          const company = answers.shaped(Company, response.json(), "FullContact company");
          // The domain is the company's own key; FullContact tells no measure of its own.
          return [found(0.9, ofCompany(company), company.updated)];
        }
        const confidence = (connection.settings.confidence ?? "HIGH") as Level;
        const response = await call("POST", "/person.enrich", {
          ...(q.email ? { emails: [q.email] } : {}),
          ...(q.linkedin_url ? { profiles: [{ service: "linkedin", url: q.linkedin_url }] } : {}),
          confidence,
        });
        const none = unanswered(response);
        if (none) return [none];
        const person = answers.shaped(Person, response.json(), "FullContact person");
        return [found(SURE[confidence], ofPerson(person), person.updated)];
      });
    },
  },
});

/** Only a match is charged. */
const found = (confidence: number, of: Found["values"], updated: string | null | undefined): Answer => ({
  outcome: "found",
  units: 1,
  found: { confidence, values: of, ...seenAt(updated) },
});
