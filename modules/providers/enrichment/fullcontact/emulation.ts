import { z } from "zod";
import { companyAt, knows, personOf } from "../../../sandbox/directory.ts";
import { type BodyFault, type Call, defineEmulation, looksUp, route } from "../../../sandbox/emulation.ts";

/** FullContact v3: person and company enrichment. Stricter: a field it does not know is refused. */

const say = (status: number, message: string) => Response.json({ status, message }, { status });
const MISSING = "The request query was searched in the past 24 hours and nothing was found.";

const PersonQuery = z
  .strictObject({
    emails: z.array(z.email()).min(1),
    profiles: z.array(z.strictObject({ service: z.literal("linkedin"), url: z.url() })).min(1),
    confidence: z.enum(["LOW", "MED", "HIGH", "MAX"]),
  })
  .partial()
  .refine((q) => q.emails ?? q.profiles, "At least one identifier is needed");
const CompanyQuery = z.strictObject({ domain: z.string().regex(/^[^/:]+\.[^/:]+$/) });

/** Subjects of `pending…` are searched first: the first call of an account is told to come back. */
function searching({ account, store, charge }: Call<never>, subject: string): Response | null {
  const question = `search:${subject}`;
  if (!/(^|@)pending/.test(subject) || store.charged(account.id).some((c) => c.question === question)) return null;
  charge(0, question);
  return say(202, "Your request is currently being processed. You can check again later.");
}

export const emulation = defineEmulation({
  id: "fullcontact",
  example() {
    const api_key = `fc${crypto.randomUUID().replaceAll("-", "")}`;
    return { credentials: { api_key }, key: api_key };
  },
  http: {
    content: "json",
    auth(request) {
      const key = /^Bearer (fc[0-9a-f]{32})$/.exec(request.headers.get("authorization") ?? "")?.[1];
      return key ? { key } : say(403, "API Key is missing or invalid.");
    },
    refuse: {
      body: ({ detail }: BodyFault) => say(400, detail),
      unknownPath: () => say(404, "Endpoint not found. Please check https://docs.fullcontact.com"),
      // No Retry-After: the answer itself is delayed, and may be repeated at once.
      rateLimit: () => say(429, "Usage limits for plan exceeded."),
      serverError: () => say(500, "Something is broken."),
    },
    routes: [
      looksUp(
        route("POST /person.enrich", PersonQuery, (call) => {
          const { emails, profiles } = call.body;
          const person = personOf({ email: emails?.[0], linkedin_url: profiles?.[0]?.url });
          const subject = person?.email ?? JSON.stringify(call.body);
          const wait = searching(call as Call<never>, subject);
          if (wait) return wait;
          if (!person || !knows("fullcontact", subject, 0.6)) {
            call.charge(0, `person:${subject}`);
            return say(404, MISSING);
          }
          call.charge(1, `person:${subject}`);
          return {
            fullName: `${person.first_name} ${person.last_name}`,
            location: `${person.city}, ${person.country}`,
            title: person.title,
            organization: person.company.name,
            linkedin: person.linkedin_url,
            details: {
              name: { given: person.first_name, family: person.last_name },
              emails: [{ label: "work", value: person.email }],
              phones: [{ label: "work", value: person.phone }],
              locations: [{ city: person.city, countryCode: person.country, country: null }],
              employment: [
                { name: "A former employer", domain: "former.example", current: false, title: "Trainee" },
                { name: person.company.name, domain: person.company.domain, current: true, title: person.title },
              ],
            },
            updated: "2026-08-01",
          };
        }),
      ),
      looksUp(
        route("POST /company.enrich", CompanyQuery, (call) => {
          const { domain } = call.body;
          const wait = searching(call as Call<never>, domain);
          if (wait) return wait;
          const company = companyAt(domain);
          if (!company || !knows("fullcontact", domain, 0.7)) {
            call.charge(0, `company:${domain}`);
            return say(404, MISSING);
          }
          call.charge(1, `company:${domain}`);
          return {
            name: company.name,
            bio: company.description,
            website: `https://www.${company.domain}`,
            founded: company.founded,
            employees: company.employees,
            linkedin: company.linkedin_url,
            category: "Other",
            details: {
              industries: [{ type: "SIC", name: company.industry, code: "7373" }],
              phones: [{ label: "other", value: company.phone }],
              locations: [{ label: "work", city: company.city, countryCode: company.country }],
            },
            updated: "2026-08-01",
          };
        }),
      ),
    ],
  },
});
