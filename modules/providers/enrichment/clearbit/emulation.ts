import { z } from "zod";
import { companyAt, type DirectoryCompany, type DirectoryPerson, knows, personOf } from "../../../sandbox/directory.ts";
import { type Call, defineEmulation, looksUp, route } from "../../../sandbox/emulation.ts";

/**
 * Clearbit Enrichment v2: combined and company. Stricter: a parameter it does not know is refused. A local part or domain that begins with
 * `slow` is queued at first, `likely@` is a fuzzy match, `newcomer@` has a company and no person. Keys that begin with sk_0 are over quota.
 */

const fail = (status: number, type: string, message: string) => Response.json({ error: { type, message } }, { status });

const Asked = {
  person: z.strictObject({ email: z.email() }),
  company: z.strictObject({ domain: z.string().regex(/^[^@\s]+\.[^@\s]+$/) }),
};

const INDEXED = "2026-08-01T00:00:00.000Z";
const geo = (city: string, countryCode: string) => ({
  city,
  country: new Intl.DisplayNames(["en"], { type: "region" }).of(countryCode),
  countryCode,
});
const companyOf = (c: DirectoryCompany) => ({
  id: c.domain,
  name: c.name,
  legalName: null,
  domain: c.domain,
  site: { phoneNumbers: [], emailAddresses: [] },
  category: { sector: null, industryGroup: null, industry: c.industry },
  description: c.description,
  foundedYear: c.founded,
  geo: geo(c.city, c.country),
  linkedin: { handle: c.linkedin_url.split(".com/")[1] },
  phone: c.phone,
  metrics: {
    employees: c.employees,
    employeesRange: c.employees > 250 ? "251-1K" : "51-250",
    annualRevenue: c.revenue,
  },
  tech: c.technologies.map((t) => t.toLowerCase().replaceAll(" ", "_")),
  indexedAt: INDEXED,
});
const profileOf = (p: DirectoryPerson) => ({
  id: p.email,
  name: { fullName: `${p.first_name} ${p.last_name}`, givenName: p.first_name, familyName: p.last_name },
  email: p.email,
  geo: geo(p.city, p.country),
  employment: {
    domain: p.company.domain,
    name: p.company.name,
    title: p.title,
    role: p.department,
    subRole: null,
    seniority: ["c_level", "vp", "head"].includes(p.seniority) ? "executive" : p.seniority,
  },
  linkedin: { handle: p.linkedin_url.split(".com/")[1] },
  phone: null,
  fuzzy: p.email.startsWith("likely@"),
  indexedAt: INDEXED,
});

/** Every subject is billed once, found or not, from the moment it is queued. */
function bill(call: Call<null>, subject: string): void {
  const billed = (call.account.state.billed ??= {}) as Record<string, boolean>;
  call.charge(billed[subject] ? 0 : 1, subject);
  billed[subject] = true;
}

function answer(call: Call<null>, subject: string, body: object | null): object {
  if (call.account.id.includes(":sk_0")) return fail(402, "over_quota", "Your account is over its quota.");
  bill(call, subject);
  const queued = (call.account.state.queued ??= {}) as Record<string, boolean>;
  if (subject.includes(":slow") && !queued[subject]) {
    queued[subject] = true;
    return Response.json({ status: "queued" }, { status: 202 });
  }
  return body ?? fail(404, "unknown_record", "Unknown record.");
}

export const emulation = defineEmulation({
  id: "clearbit",
  example() {
    const api_key = `sk_f${crypto.randomUUID().replaceAll("-", "").slice(1)}`;
    return { credentials: { api_key }, key: api_key };
  },
  http: {
    content: "json",
    auth(request) {
      const key = /^Bearer (sk_[0-9a-f]{32})$/.exec(request.headers.get("authorization") ?? "")?.[1];
      return key ? { key } : fail(401, "auth_invalid", "Invalid API key provided.");
    },
    refuse: {
      body: ({ detail }) => fail(422, "params_invalid", detail),
      unknownPath: () => fail(404, "unknown_path", "No such endpoint."),
      rateLimit: () => fail(429, "rate_limit", "You have exceeded the rate limit."),
      serverError: () => fail(500, "api_error", "Something went wrong."),
    },
    routes: [
      looksUp(
        route("GET /combined/find", (call) => {
          const { email } = call.parse(Asked.person, Object.fromEntries(call.query));
          const p = personOf({ email });
          const person = p && knows("clearbit", p.email, 0.5) && !email.startsWith("newcomer@") ? profileOf(p) : null;
          const company = p && knows("clearbit", p.company.domain, 0.6) ? companyOf(p.company) : null;
          return answer(call, `person:${email}`, person || company ? { person, company } : null);
        }),
      ),
      looksUp(
        route("GET /companies/find", (call) => {
          const { domain } = call.parse(Asked.company, Object.fromEntries(call.query));
          const c = companyAt(domain);
          return answer(call, `company:${domain}`, c && knows("clearbit", c.domain, 0.6) ? companyOf(c) : null);
        }),
      ),
    ],
  },
});
