import { createHash } from "node:crypto";
import { z } from "zod";
import { companyAt, type DirectoryCompany, type DirectoryPerson, knows, personOf } from "../../../sandbox/directory.ts";
import { type BodyFault, type Call, defineEmulation, looksUp, route } from "../../../sandbox/emulation.ts";

/** Explorium AgentSource v1: match and bulk enrich. It knows the ids that its match gave out; unknown fields are refused, as it does itself. */

const invalid = (msg: string) =>
  Response.json({ detail: [{ loc: ["body"], msg, type: "value_error" }] }, { status: 422 });
const details = (status: number, words: string) =>
  Response.json({ details: words, correlation_id: crypto.randomUUID().replaceAll("-", "") }, { status });

const Prospects = z.strictObject({
  prospects_to_match: z
    .array(
      z
        .strictObject({ email: z.string(), linkedin: z.url(), full_name: z.string(), company_name: z.string() })
        .partial()
        .refine((p) => (p.full_name === undefined) === (p.company_name === undefined), "full_name needs company_name")
        .refine((p) => p.email ?? p.linkedin ?? p.full_name, "an identifier is needed"),
    )
    .min(1)
    .max(50),
});
const Businesses = z.strictObject({
  businesses_to_match: z
    .array(
      z
        .strictObject({ name: z.string(), domain: z.string() })
        .partial()
        .refine((b) => b.name ?? b.domain, "name or domain is needed"),
    )
    .min(1)
    .max(50),
});
const ProspectIds = z.strictObject({
  prospect_ids: z
    .array(z.string().regex(/^[a-f0-9]{40}$/))
    .min(1)
    .max(50),
});
const BusinessIds = z.strictObject({
  business_ids: z
    .array(z.string().regex(/^[a-f0-9]{32}$/))
    .min(1)
    .max(50),
});

/** Ids of the right length, the same for the same subject. */
const hex = (subject: string, length: number) => createHash("sha256").update(subject).digest("hex").slice(0, length);
const people = new Map<string, DirectoryPerson>();
const firms = new Map<string, DirectoryCompany>();
const context = (status: string) => ({
  correlation_id: crypto.randomUUID().replaceAll("-", ""),
  request_status: status,
  time_took_in_seconds: 0.1,
});
const countryOf = (code: string) => new Intl.DisplayNames(["en"], { type: "region" }).of(code)!.toLowerCase();

function rows<T>(
  { charge }: Call<never>,
  {
    ids,
    of,
    units,
    what,
    show,
  }: { ids: string[]; of: Map<string, T>; units: number; what: string; show(t: T): object },
) {
  const data = ids.flatMap((id) => {
    const subject = of.get(id);
    if (!subject) return [];
    charge(units, `${what}:${id}`);
    return [{ [ids[0]!.length === 40 ? "prospect_id" : "business_id"]: id, data: show(subject) }];
  });
  return { response_context: context(data.length > 0 ? "success" : "miss"), data, total_results: data.length };
}

export const emulation = defineEmulation({
  id: "explorium",
  example() {
    const api_key = crypto.randomUUID();
    return { credentials: { api_key }, key: api_key };
  },
  http: {
    content: "json",
    auth(request) {
      const key = request.headers.get("api_key") ?? "";
      return /^[0-9a-f-]{36}$/.test(key) ? { key } : details(401, "The API key is missing or invalid.");
    },
    refuse: {
      body: ({ detail }: BodyFault) => invalid(detail),
      unknownPath: () => Response.json({ detail: "Not Found" }, { status: 404 }),
      rateLimit: () => details(429, "Too many requests."),
      serverError: () => details(500, "Internal error."),
    },
    routes: [
      route("GET /credits", () => ({ remaining_credits: 500 })),
      // Free, and so without a charge.
      route("POST /prospects/match", Prospects, ({ body }) => ({
        response_context: context("success"),
        matched_prospects: body.prospects_to_match.map((input) => {
          const [first_name, ...rest] = input.full_name?.split(" ") ?? [];
          const person = personOf({
            email: input.email,
            linkedin_url: input.linkedin,
            first_name,
            last_name: rest.join(" "),
            company_name: input.company_name,
          });
          if (!person || !knows("explorium", person.email, 0.6)) return { input, prospect_id: null };
          const id = hex(person.email, 40);
          people.set(id, person);
          return { input, prospect_id: id };
        }),
        total_matches: body.prospects_to_match.length,
      })),
      route("POST /businesses/match", Businesses, ({ body }) => ({
        response_context: context("success"),
        matched_businesses: body.businesses_to_match.map((input) => {
          const company = companyAt(input.domain ?? `${input.name!.toLowerCase()}.com`);
          if (!company || !knows("explorium", company.domain, 0.8)) return { input, business_id: null };
          const id = hex(company.domain, 32);
          firms.set(id, company);
          return { input, business_id: id };
        }),
      })),
      looksUp(
        route("POST /prospects/profiles/bulk_enrich", ProspectIds, (call) =>
          rows(call as Call<never>, {
            ids: call.body.prospect_ids,
            of: people,
            units: 1,
            what: "profile",
            show: (p) => ({
              full_name: `${p.first_name} ${p.last_name}`,
              first_name: p.first_name,
              last_name: p.last_name,
              country_name: countryOf(p.country),
              city: p.city.toLowerCase(),
              linkedin: p.linkedin_url,
              company_name: p.company.name,
              company_website: `https://${p.company.domain}`,
              company_linkedin: p.company.linkedin_url,
              job_title: p.title,
              job_level_main:
                { c_level: "c-suite", vp: "vice president", head: "director" }[p.seniority] ?? p.seniority,
              job_department_main: p.department,
            }),
          }),
        ),
      ),
      looksUp(
        route("POST /prospects/contacts_information/bulk_enrich", ProspectIds, (call) =>
          rows(call as Call<never>, {
            ids: call.body.prospect_ids,
            of: people,
            units: 5,
            what: "contacts",
            show: (p) => ({
              professions_email: p.email,
              professional_email_status: p.email_status === "risky" ? "valid" : p.email_status,
              mobile_phone: p.phone,
              phone_numbers: [{ phone_number: p.phone }],
            }),
          }),
        ),
      ),
      looksUp(
        route("POST /businesses/firmographics/bulk_enrich", BusinessIds, (call) =>
          rows(call as Call<never>, {
            ids: call.body.business_ids,
            of: firms,
            units: 1,
            what: "firmographics",
            show: (c) => ({
              name: c.name,
              website: `https://${c.domain}`,
              business_description: c.description,
              country_name: countryOf(c.country),
              city_name: c.city.toLowerCase(),
              number_of_employees_range: c.employees > 500 ? "501-1000" : "51-200",
              yearly_revenue_range: "5M-10M",
              linkedin_industry_category: c.industry.toLowerCase(),
              linkedin_profile: c.linkedin_url,
            }),
          }),
        ),
      ),
    ],
  },
});
