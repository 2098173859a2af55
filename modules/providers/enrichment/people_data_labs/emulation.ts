import { z } from "zod";
import { type BodyFault, defineEmulation, looksUp, route } from "../../../sandbox/emulation.ts";
import { companyAt, type DirectoryPerson, knows, personOf } from "../../../sandbox/directory.ts";

/** People Data Labs v5: person bulk, company enrichment, autocomplete. Stricter: a parameter it does not know is refused. */

const fail = (status: number, type: string, message: string) =>
  Response.json({ status, error: { type, message } }, { status });

const likelihood = z.number().int().min(1).max(10);
const Params = z
  .strictObject({
    email: z.string(),
    profile: z.string(),
    first_name: z.string(),
    last_name: z.string(),
    company: z.string(),
    min_likelihood: likelihood,
  })
  .partial();
const Bulk = z.strictObject({
  requests: z
    .array(z.strictObject({ params: Params }))
    .min(1)
    .max(100),
});

const show = (p: DirectoryPerson) => ({
  id: `pdl_${p.email}`,
  full_name: `${p.first_name} ${p.last_name}`.toLowerCase(),
  first_name: p.first_name.toLowerCase(),
  last_name: p.last_name.toLowerCase(),
  work_email: p.email,
  job_title: p.title.toLowerCase(),
  job_title_levels: [{ c_level: "cxo", head: "director" }[p.seniority] ?? p.seniority],
  job_title_role: p.department,
  mobile_phone: null,
  linkedin_url: p.linkedin_url.replace("https://www.", ""),
  location_country: new Intl.DisplayNames(["en"], { type: "region" }).of(p.country)!.toLowerCase(),
  location_locality: p.city.toLowerCase(),
  job_company_name: p.company.name.toLowerCase(),
  job_company_website: p.company.domain,
  job_company_industry: p.company.industry.toLowerCase(),
  job_company_size: p.company.employees > 500 ? "501-1000" : "51-200",
  job_company_employee_count: p.company.employees,
  job_company_founded: p.company.founded,
  job_company_linkedin_url: p.company.linkedin_url.replace("https://www.", ""),
  job_company_location_country: null,
  job_company_location_locality: null,
});

export const emulation = defineEmulation({
  id: "people_data_labs",
  example() {
    const api_key = crypto.randomUUID().replaceAll("-", "").repeat(2);
    return { credentials: { api_key }, key: api_key };
  },
  http: {
    content: "json",
    auth(request) {
      const key = request.headers.get("x-api-key") ?? "";
      return /^[0-9a-f]{64}$/.test(key)
        ? { key }
        : fail(401, "invalid_request_error", "Request contained a missing or invalid key");
    },
    refuse: {
      body: ({ detail }: BodyFault) => fail(400, "invalid_request_error", detail),
      unknownPath: () => fail(404, "not_found", "No such endpoint"),
      rateLimit: (after) => {
        const response = fail(429, "rate_limit_error", "An error occurred due to requests hitting the API too quick");
        response.headers.set("retry-after", String(after));
        return response;
      },
      serverError: () => fail(500, "api_error", "The server encountered an unexpected condition"),
    },
    routes: [
      route("GET /autocomplete", () => ({ data: [{ name: "engineer", count: 1 }], fields: ["title"], status: 200 })),
      looksUp(
        route("POST /person/bulk", Bulk, ({ body, charge }) =>
          body.requests.map(({ params }) => {
            const ref = {
              email: params.email,
              linkedin_url: params.profile,
              first_name: params.first_name,
              last_name: params.last_name,
              ...(params.company?.includes(".") ? { domain: params.company } : { company_name: params.company }),
            };
            const person = personOf(ref);
            const question = `person:${person?.email ?? JSON.stringify(params)}`;
            if (!person || !knows("people_data_labs", person.email, 0.6)) {
              charge(0, question);
              return {
                status: 404,
                error: { type: "not_found", message: "No records were found matching your request" },
              };
            }
            charge(1, question);
            return { status: 200, likelihood: Math.max(params.min_likelihood ?? 2, 9), data: show(person) };
          }),
        ),
      ),
      looksUp(
        route("GET /company/enrich", ({ query, charge }) => {
          const website = query.get("website");
          const name = query.get("name");
          if (!website && !name)
            return fail(400, "invalid_request_error", "One of name, website, profile, ticker or pdl_id is needed");
          const company = companyAt(website ?? `${name!.toLowerCase()}.com`);
          if (!company || !knows("people_data_labs", company.domain, 0.7)) {
            charge(0, `company:${website ?? name}`);
            return fail(404, "not_found", "No records were found matching your request");
          }
          charge(1, `company:${company.domain}`);
          return {
            status: 200,
            likelihood: 9,
            id: company.domain,
            name: company.name.toLowerCase(),
            display_name: company.name,
            website: company.domain,
            industry: company.industry.toLowerCase(),
            size: company.employees > 500 ? "501-1000" : "51-200",
            employee_count: company.employees,
            founded: company.founded,
            linkedin_url: company.linkedin_url.replace("https://www.", ""),
            summary: company.description,
            location: { country: null, locality: company.city.toLowerCase() },
          };
        }),
      ),
    ],
  },
});
