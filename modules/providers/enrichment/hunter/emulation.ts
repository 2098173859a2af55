import { z } from "zod";
import { companyAt, type DirectoryPerson, knows, personOf } from "../../../sandbox/directory.ts";
import { type Call, defineEmulation, looksUp, route } from "../../../sandbox/emulation.ts";

/**
 * Hunter v2: account, finder, verifier, profiles. Stricter: a parameter it does not know is refused. Names that play a part: a last name or
 * local part `claimed` asked not to be processed, `slow` is in progress at first, `greylisted` has a mail server that answers oddly. Keys
 * that begin with 0000 have no credits left.
 */

const fail = (status: number, id: string, details: string) =>
  Response.json({ errors: [{ id, code: status, details }] }, { status });
const bad = (details: string) => fail(400, "wrong_params", details);

const email = z.email();
const Asked = {
  finder: z
    .strictObject({
      domain: z.string().optional(),
      company: z.string().optional(),
      first_name: z.string().min(1),
      last_name: z.string().min(1),
      max_duration: z
        .string()
        .regex(/^([3-9]|1\d|20)$/)
        .optional(),
    })
    .refine((q) => q.domain || q.company, "The domain or the company is missing."),
  verifier: z.strictObject({ email }),
  person: z
    .strictObject({ email: email.optional(), linkedin_handle: z.string().min(1).optional() })
    .refine((q) => q.email || q.linkedin_handle, "The email or the linkedin_handle is missing."),
  company: z.strictObject({ domain: z.string().min(3) }),
};

/** The special parts, before anything is looked up; null: none. */
function played(call: Call<null>, name: string): Response | null {
  if (call.account.id.includes(":0000")) return fail(429, "usage_limit", "You have reached your usage limit.");
  if (name === "claimed")
    return fail(451, "claimed_email", "The person asked us to stop the processing of their personal data.");
  if (name === "greylisted") return fail(222, "smtp_error", "Unexpected response from the remote SMTP server.");
  const asked = (call.account.state.asked ??= {}) as Record<string, boolean>;
  if (name !== "slow" || asked[call.query.toString()]) return null;
  asked[call.query.toString()] = true;
  return Response.json({ data: { status: "in_progress" } }, { status: 202 });
}

const missing = (call: Call<null>, question: string) => {
  call.charge(0, question);
  return fail(404, "not_found", "No profile was found.");
};

const STATUS = { valid: "valid", invalid: "invalid", catch_all: "accept_all", risky: "disposable" } as const;
const SCORE = { valid: 96, invalid: 0, catch_all: 68, risky: 20 } as const;

const profile = (p: DirectoryPerson) => ({
  id: crypto.randomUUID(),
  name: { fullName: `${p.first_name} ${p.last_name}`, givenName: p.first_name, familyName: p.last_name },
  email: p.email,
  location: `${p.city}, ${p.country}`,
  geo: { city: p.city, state: null, country: p.country },
  employment: {
    domain: p.company.domain,
    name: p.company.name,
    title: p.title,
    role: p.department,
    seniority: ["c_level", "vp", "head", "director"].includes(p.seniority) ? "executive" : p.seniority,
  },
  linkedin: { handle: p.linkedin_url.split("/in/")[1] },
  phone: null,
});

export const emulation = defineEmulation({
  id: "hunter",
  example() {
    const api_key = `1${crypto.randomUUID().replaceAll("-", "")}a0b1c2d`;
    return { credentials: { api_key }, key: api_key };
  },
  http: {
    content: "json",
    auth(request) {
      const key = request.headers.get("x-api-key") ?? "";
      return /^[0-9a-f]{40}$/.test(key) ? { key } : fail(401, "authentication_failed", "No user found for the API key");
    },
    refuse: {
      body: ({ detail }) => bad(detail),
      unknownPath: () => fail(404, "not_found", "This endpoint does not exist."),
      rateLimit: () => fail(403, "too_many_requests", "You have reached the rate limit."),
      serverError: () => fail(500, "server_error", "Something went wrong on Hunter's end."),
    },
    routes: [
      route("GET /account", () => ({
        data: { email: "team@example.com", plan_name: "Starter", requests: { credits: { used: 10, available: 2000 } } },
      })),
      looksUp(
        route("GET /email-finder", (call) => {
          const asked = call.parse(Asked.finder, Object.fromEntries(call.query));
          const special = played(call, asked.last_name.toLowerCase());
          if (special) return special;
          const { first_name, last_name, domain, company: company_name } = asked;
          const p = personOf({ first_name, last_name, domain, company_name });
          const found = p && knows("hunter", p.email, 0.6) ? p : null;
          call.charge(found ? 10 : 0, `finder:${found?.email ?? call.query}`);
          return {
            data: {
              first_name,
              last_name,
              email: found?.email ?? null,
              score: found ? SCORE[found.email_status] : null,
              domain: p?.company.domain ?? null,
              accept_all: found?.email_status === "catch_all",
              position: found?.title ?? null,
              twitter: null,
              linkedin_url: null,
              phone_number: null,
              company: p?.company.name ?? null,
              sources: found ? [{ domain: found.company.domain, last_seen_on: "2026-09-30", still_on_page: true }] : [],
              verification: { date: null, status: found ? STATUS[found.email_status] : null },
            },
          };
        }),
      ),
      looksUp(
        route("GET /email-verifier", (call) => {
          const asked = call.parse(Asked.verifier, Object.fromEntries(call.query));
          const special = played(call, asked.email.split("@")[0]!);
          if (special) return special;
          const p = personOf({ email: asked.email });
          const known = p && knows("hunter_verifier", p.email, 0.95) ? p.email_status : null;
          call.charge(known ? 5 : 0, `verifier:${asked.email}`);
          return {
            data: {
              status: known ? STATUS[known] : "unknown",
              score: known ? SCORE[known] : 50,
              email: asked.email,
              smtp_check: known === "valid",
              accept_all: known === "catch_all",
              block: false,
            },
          };
        }),
      ),
      looksUp(
        route("GET /people/find", (call) => {
          const { email: address, linkedin_handle } = call.parse(Asked.person, Object.fromEntries(call.query));
          const special = played(call, address?.split("@")[0] ?? "");
          if (special) return special;
          const p = personOf(
            address ? { email: address } : { linkedin_url: `https://linkedin.com/in/${linkedin_handle}` },
          );
          if (!p || !knows("hunter", p.email, 0.5)) return missing(call, `person:${address ?? linkedin_handle}`);
          call.charge(2, `person:${p.email}`);
          return { data: profile(p) };
        }),
      ),
      looksUp(
        route("GET /companies/find", (call) => {
          const { domain } = call.parse(Asked.company, Object.fromEntries(call.query));
          const special = played(call, "");
          if (special) return special;
          const c = companyAt(domain);
          if (!c || !knows("hunter", c.domain, 0.6)) return missing(call, `company:${domain}`);
          call.charge(2, `company:${c.domain}`);
          return {
            data: {
              name: c.name,
              domain: c.domain,
              site: { phoneNumbers: [c.phone], emailAddresses: [] },
              category: { sector: null, industry: c.industry },
              description: c.description,
              foundedYear: c.founded,
              geo: { city: c.city, state: null, country: c.country },
              linkedin: { handle: c.linkedin_url.split(".com/")[1] },
              metrics: { employees: c.employees, annualRevenue: c.revenue },
              tech: c.technologies,
            },
          };
        }),
      ),
    ],
  },
});
