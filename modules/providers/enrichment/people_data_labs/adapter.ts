import { z } from "zod";
import type { HttpClient, HttpResponse } from "../../../kernel/http/client.ts";
import type { Connection } from "../../../kernel/provider.ts";
import * as answers from "../../answers.ts";
import { lookupCall, pickFirst, refusal } from "../answer.ts";
import { type Answer, defineLookupProvider, type Question } from "../vocabulary.ts";

const BASE = "https://api.peopledatalabs.com/v5";

const Credentials = z.object({
  api_key: z.string().min(1).meta({ title: "API key", secret: true, placeholder: "64 characters" }),
});
type Credentials = z.infer<typeof Credentials>;
const Settings = z.object({
  min_likelihood: z.number().int().min(1).max(10).default(6).meta({
    title: "Least likelihood",
    description: "1 to 10: how sure People Data Labs must be that a record is the person asked about.",
  }),
});

const text = z.string().nullish();
const Person = z.object({
  first_name: text,
  last_name: text,
  work_email: z.union([z.string(), z.boolean()]).nullish(),
  job_title: text,
  job_title_levels: z.array(z.string()).nullish(),
  job_title_role: text,
  mobile_phone: z.union([z.string(), z.boolean()]).nullish(),
  linkedin_url: text,
  location_country: text,
  location_locality: z.union([z.string(), z.boolean()]).nullish(),
  job_company_name: text,
  job_company_website: text,
  job_company_industry: text,
  job_company_size: text,
  job_company_employee_count: z.number().nullish(),
  job_company_founded: z.number().nullish(),
  job_company_linkedin_url: text,
  job_company_location_country: text,
  job_company_location_locality: text,
});
const Company = z.object({
  display_name: text,
  name: text,
  website: text,
  industry: text,
  size: text,
  employee_count: z.number().nullish(),
  founded: z.number().nullish(),
  linkedin_url: text,
  summary: text,
  location: z.object({ country: text, locality: text }).nullish(),
});
const Item = z.object({ status: z.number(), likelihood: z.number().nullish(), data: Person.nullish() });

const api = (connection: Connection<Credentials>, http: HttpClient) =>
  answers.caller(http, connection.base_url ?? BASE, { "x-api-key": connection.credentials.api_key });

const shown = (value: string | boolean | null | undefined) => (typeof value === "string" ? value : undefined);

/** Its likelihood, 1 to 10, is how sure it is that the record is the person asked about. */
const personAnswer = ({ status, likelihood, data }: z.infer<typeof Item>): Answer => {
  // Only a record that was found is charged.
  if (status === 404 || !data) return { outcome: "miss", units: 0 };
  const confidence = (likelihood ?? 5) / 10;
  return {
    outcome: "found",
    units: 1,
    found: {
      confidence,
      values: {
        email: shown(data.work_email),
        first_name: data.first_name,
        last_name: data.last_name,
        title: data.job_title,
        seniority: data.job_title_levels?.[0],
        department: data.job_title_role,
        phone: shown(data.mobile_phone),
        linkedin_url: data.linkedin_url,
        country: data.location_country,
        city: shown(data.location_locality),
        company_name: data.job_company_name,
        company_domain: data.job_company_website,
        company_industry: data.job_company_industry,
        company_size: data.job_company_size,
        company_employees: data.job_company_employee_count,
        company_founded: data.job_company_founded,
        company_linkedin_url: data.job_company_linkedin_url,
        company_country: data.job_company_location_country,
        company_city: data.job_company_location_locality,
      },
    },
  };
};

const personParams = (q: Question) => ({
  ...(q.email ? { email: q.email } : {}),
  ...(q.linkedin_url ? { profile: q.linkedin_url } : {}),
  ...(q.first_name ? { first_name: q.first_name } : {}),
  ...(q.last_name ? { last_name: q.last_name } : {}),
  ...(q.domain || q.company_name ? { company: q.domain ?? q.company_name } : {}),
});

/** Errors of the whole call. 402: no credits are left. */
const failure = (response: HttpResponse): Answer =>
  refusal("People Data Labs", response, { broken: [401, 402, 403], refused: [400, 422] });

/**
 * People Data Labs, https://docs.peopledatalabs.com. Persons in one bulk call (up to 100, an item each with a status of its own),
 * companies one by one; 404 is a miss and free.
 */
export const peopleDataLabs = defineLookupProvider({
  id: "people_data_labs",
  label: "People Data Labs",
  category: "enrichment",
  docs_url: "https://docs.peopledatalabs.com/docs/person-enrichment-api",
  setup: "Create an API key at dashboard.peopledatalabs.com/api-keys.",
  credentials: Credentials,
  settings: Settings,
  default_base_url: BASE,
  runs_in: "anywhere",

  /** Autocomplete is free. */
  async check(connection, http) {
    const response = await api(connection, http)("GET", "/autocomplete?field=title&text=eng&size=1");
    if (response.status === 200) return { ok: true, detail: "Connected." };
    const { code, detail } = failure(response) as { code: string; detail: string };
    return { ok: false, code, detail, suggestion: "Copy the key again from dashboard.peopledatalabs.com/api-keys." };
  },

  lookup: {
    // 100 calls a minute with a free key, 1,000 with a paid one.
    per_second: 1.6,
    call_seconds: 15,
    // The price per record of the free and small plans lies between $0.20 and $0.28 in 2026; large contracts pay less: $0.004 is assumed.
    unit_micros: 4_000,
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
          "company_industry",
          "company_size",
          "company_employees",
          "company_founded",
          "company_linkedin_url",
          "company_country",
          "company_city",
        ],
        batch: 100,
        units: 1,
      },
      company: {
        needs: [["domain"], ["company_name"]],
        gives: [
          "company_name",
          "company_domain",
          "company_industry",
          "company_size",
          "company_employees",
          "company_founded",
          "company_linkedin_url",
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
      const min_likelihood = Number(connection.settings.min_likelihood ?? 6);
      if (kind === "company")
        return lookupCall(questions, async () => {
          const [q] = questions as [Question];
          const query = new URLSearchParams(q.domain ? { website: q.domain } : { name: q.company_name! });
          query.set("min_likelihood", String(min_likelihood));
          const response = await call("GET", `/company/enrich?${query}`);
          if (response.status === 404) return [{ outcome: "miss", units: 0 }];
          if (response.status !== 200) return [failure(response)];
          const body = answers.shaped(
            Company.extend({ likelihood: z.number().nullish() }),
            response.json(),
            "People Data Labs company",
          );
          return [
            {
              outcome: "found",
              units: 1,
              found: {
                confidence: (body.likelihood ?? 5) / 10,
                values: {
                  company_name: pickFirst(body.display_name, body.name),
                  company_domain: body.website,
                  company_industry: body.industry,
                  company_size: body.size,
                  company_employees: body.employee_count,
                  company_founded: body.founded,
                  company_linkedin_url: body.linkedin_url,
                  company_description: body.summary,
                  company_country: body.location?.country,
                  company_city: body.location?.locality,
                },
              },
            },
          ];
        });
      return lookupCall(questions, async () => {
        const requests = questions.map((q) => ({ params: { ...personParams(q), min_likelihood } }));
        const response = await call("POST", "/person/bulk", { requests });
        if (response.status !== 200) return questions.map(() => failure(response));
        return answers.shaped(z.array(Item), response.json(), "People Data Labs answer").map(personAnswer);
      });
    },
  },
});
