import { z } from "zod";
import { type DirectoryCompany, companyAt, type DirectoryPerson, knows, personOf } from "../../../sandbox/directory.ts";
import { type BodyFault, type Call, defineEmulation, looksUp, route } from "../../../sandbox/emulation.ts";

/**
 * Apollo v1: people match and bulk match, organization enrichment, profile. Stricter: a parameter it does not know is refused. Keys that
 * begin with `limited` may not read the profile, keys that begin with `nothing` have no credits. A person of whom the account asked before
 * is free.
 */

const fail = (status: number, error: string, error_code?: string) =>
  Response.json({ error, ...(error_code ? { error_code } : {}) }, { status });

const Details = z
  .strictObject({
    first_name: z.string(),
    last_name: z.string(),
    name: z.string(),
    email: z.string(),
    organization_name: z.string(),
    domain: z.string().regex(/^(?!www\.)[^@\s]+$/),
    id: z.string(),
    linkedin_url: z.string(),
  })
  .partial();
type Details = z.infer<typeof Details>;
const Bulk = z.strictObject({ details: z.array(Details).min(1).max(10) });
const OneOf = z
  .strictObject({ domain: z.string(), name: z.string(), linkedin_url: z.string(), website: z.string() })
  .partial();

const organization = (c: DirectoryCompany) => ({
  id: c.domain,
  name: c.name,
  website_url: `http://www.${c.domain}`,
  primary_domain: c.domain,
  industry: c.industry.toLowerCase(),
  industries: [c.industry.toLowerCase()],
  estimated_num_employees: c.employees,
  annual_revenue: c.revenue,
  founded_year: c.founded,
  country: new Intl.DisplayNames(["en"], { type: "region" }).of(c.country),
  city: c.city,
  linkedin_url: c.linkedin_url.replace("https", "http"),
  phone: null,
  primary_phone: { number: c.phone, source: "Owler", sanitized_number: c.phone },
  short_description: c.description,
  technology_names: c.technologies,
});

const person = (p: DirectoryPerson) => ({
  id: `apollo_${p.email}`,
  first_name: p.first_name,
  last_name: p.last_name,
  name: `${p.first_name} ${p.last_name}`,
  title: p.title,
  email: p.email_status === "invalid" ? null : p.email,
  email_status: p.email_status === "valid" ? "verified" : "unverified",
  extrapolated_email_confidence: p.email_status === "valid" ? null : 0.62,
  linkedin_url: p.linkedin_url.replace("https", "http"),
  seniority: { c_level: "c_suite" }[p.seniority] ?? p.seniority,
  departments: [p.department],
  functions: [p.department],
  country: new Intl.DisplayNames(["en"], { type: "region" }).of(p.country),
  city: p.city,
  organization: organization(p.company),
});

/** The person, and what they cost: nothing where the account has asked before. */
function match(call: Pick<Call<unknown>, "account" | "charge">, d: Details) {
  const p = personOf({ ...d, company_name: d.organization_name });
  const found = p && knows("apollo", p.email, 0.7) ? p : null;
  const bought = (call.account.state.bought ??= {}) as Record<string, boolean>;
  const units = found && !bought[found.email] ? 1 : 0;
  if (found) bought[found.email] = true;
  call.charge(units, `person:${found?.email ?? JSON.stringify(d)}`);
  return { found: found && person(found), units };
}

const keyOf = ({ account }: Pick<Call<unknown>, "account">) => account.id.split(":")[1]!;
const broke = (call: Pick<Call<unknown>, "account">) =>
  keyOf(call).startsWith("nothing") ? fail(422, "You have insufficient credits to perform this action.") : null;

export const emulation = defineEmulation({
  id: "apollo",
  example() {
    const api_key = crypto.randomUUID().replaceAll("-", "").slice(0, 22);
    return { credentials: { api_key }, key: api_key };
  },
  http: {
    content: "json",
    auth(request) {
      const key = request.headers.get("x-api-key") ?? "";
      return /^[\w-]{22}$/.test(key)
        ? { key }
        : new Response("Invalid access credentials.", { status: 401, headers: { "content-type": "text/plain" } });
    },
    refuse: {
      body: ({ detail, issues }: BodyFault) =>
        issues.some((i) => i.code === "too_big")
          ? fail(400, "You can enrich up to 10 people per request.", "RECORD_LIMIT_EXCEEDED")
          : fail(422, detail),
      unknownPath: () => fail(404, "Not found"),
      rateLimit: (after) =>
        Response.json(
          { message: "The maximum number of api calls allowed is 1000 times per minute." },
          { status: 429, headers: { "retry-after": String(after), "x-minute-requests-left": "0" } },
        ),
      serverError: () => fail(500, "Internal server error"),
    },
    routes: [
      route("GET /users/api_profile", (call) =>
        keyOf(call).startsWith("limited")
          ? fail(403, "api/v1/users/api_profile is not accessible with this api_key.", "API_INACCESSIBLE")
          : { id: "user", email: "team@example.com", credit_usage: {} },
      ),
      looksUp(
        route("POST /people/match", (call) => {
          const d = call.parse(Details, Object.fromEntries(call.query));
          return broke(call) ?? { person: match(call, d).found ?? {}, request_id: "-4829384756102938475" };
        }),
      ),
      looksUp(
        route("POST /people/bulk_match", Bulk, (call) => {
          const refused = broke(call);
          if (refused) return refused;
          const all = call.body.details.map((d) => match(call, d));
          const matches = all.map(({ found }) => found);
          const credits_consumed = all.reduce((sum, { units }) => sum + units, 0);
          return {
            status: "success",
            total_requested_enrichments: matches.length,
            unique_enriched_records: credits_consumed,
            missing_records: matches.filter((m) => m === null).length,
            credits_consumed,
            matches,
          };
        }),
      ),
      looksUp(
        route("GET /organizations/enrich", (call) => {
          const { domain, name } = call.parse(OneOf, Object.fromEntries(call.query));
          if (!domain && !name) return fail(422, "One of domain, name, linkedin_url, website is required.");
          const c = companyAt(domain ?? `${name!.toLowerCase()}.com`);
          const found = c && knows("apollo", c.domain, 0.75) ? c : null;
          const refused = broke(call);
          if (refused) return refused;
          call.charge(found ? 1 : 0, `company:${domain ?? name}`);
          return { organization: found ? organization(found) : null };
        }),
      ),
    ],
  },
});
