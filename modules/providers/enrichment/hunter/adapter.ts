import { z } from "zod";
import type { HttpClient, HttpResponse } from "../../../kernel/http/client.ts";
import type { Connection } from "../../../kernel/provider.ts";
import * as answers from "../../answers.ts";
import { linkedinUrl, lookupCall, refusal } from "../answer.ts";
import { type Answer, defineLookupProvider, type EmailStatus, type Question } from "../vocabulary.ts";

const BASE = "https://api.hunter.io/v2";

const Credentials = z.object({
  api_key: z.string().min(1).meta({ title: "API key", secret: true, placeholder: "40 characters" }),
});
type Credentials = z.infer<typeof Credentials>;

/**
 * A unit is a tenth of a credit, so that all prices are whole: an address found is 1 credit, one verified half, one profile 0.2. Nothing is
 * charged for what was not found (help.hunter.io/en/articles/1911617). Teams with a Data Platform plan pay a whole credit for each.
 */
const UNITS = { finder: 10, verifier: 5, profile: 2 } as const;
/** Hunter names no time for what is in progress; asking again is free until it has answered. */
const ASK_AGAIN = 30;

const text = z.string().nullish();
const score = z.number().min(0).max(100).nullish();
const status = z.enum(["valid", "invalid", "accept_all", "webmail", "disposable", "unknown"]);
const Finder = z.object({
  data: z.object({
    email: text,
    score,
    domain: text,
    position: text,
    linkedin_url: text,
    phone_number: text,
    company: text,
    verification: z.object({ status: status.nullish() }).nullish(),
    sources: z.array(z.object({ last_seen_on: text })).nullish(),
  }),
});
const Verifier = z.object({ data: z.object({ status, score, smtp_check: z.boolean().nullish() }) });
const handle = z.object({ handle: text }).nullish();
const place = z.object({ city: text, country: text }).nullish();
const Person = z.object({
  data: z.object({
    name: z.object({ givenName: text, familyName: text }).nullish(),
    email: text,
    geo: place,
    employment: z.object({ domain: text, name: text, title: text, role: text, seniority: text }).nullish(),
    linkedin: handle,
    phone: text,
  }),
});
const Company = z.object({
  data: z.object({
    name: text,
    domain: text,
    site: z.object({ phoneNumbers: z.array(z.string()).nullish() }).nullish(),
    category: z.object({ industry: text }).nullish(),
    description: text,
    foundedYear: z.number().nullish(),
    geo: place,
    linkedin: handle,
    // A count in the documentation; answers were seen that have a range such as "11-50".
    metrics: z
      .object({ employees: z.union([z.number(), z.string()]).nullish(), annualRevenue: z.number().nullish() })
      .nullish(),
    tech: z.array(z.string()).nullish(),
  }),
});

const api = (connection: Connection<Credentials>, http: HttpClient) =>
  answers.caller(http, connection.base_url ?? BASE, { "x-api-key": connection.credentials.api_key });

/** Whatever is no answer with a status of 200. 403 is the rate limit and 429 a plan that is used up, the reverse of the usual. */
function failure(response: HttpResponse): Answer {
  const again = { outcome: "later", after_seconds: ASK_AGAIN } as const;
  if (response.status === 202) return { ...again, detail: "Hunter is still at work on it." };
  // The mail server of the address answered oddly: no verdict yet, and none charged.
  if (response.status === 222)
    return { outcome: "retry", code: "smtp_failed", detail: "The mail server gave Hunter an unexpected answer." };
  if (response.status === 404) return { outcome: "miss", units: 0 };
  if (response.status === 429)
    return { outcome: "broken", code: "http_429", detail: "The plan's credits at Hunter are used up." };
  const read = refusal("Hunter", response, { broken: [401, 402], refused: [400, 422, 451], limited: [403] });
  // The person asked Hunter to stop processing their data.
  return read.outcome === "refused" && response.status === 451 ? { ...read, forget: true } : read;
}

const company = (q: Question): Record<string, string> =>
  q.domain ? { domain: q.domain } : { company: q.company_name! };

/** Which call answers the question: a profile by address, the address by name and company, else a profile by LinkedIn. */
function personPath(q: Question): { path: string; finder: boolean } {
  if (!q.email && q.first_name && q.last_name && (q.domain || q.company_name)) {
    const query = new URLSearchParams({ ...company(q), first_name: q.first_name, last_name: q.last_name });
    return { path: `/email-finder?${query}`, finder: true };
  }
  const slug = /linkedin\.com\/in\/([^/?#]+)/i.exec(q.linkedin_url ?? "")?.[1];
  const query = new URLSearchParams(q.email ? { email: q.email } : { linkedin_handle: slug ?? "" });
  return { path: `/people/find?${query}`, finder: false };
}

/** Its score, 0 to 100, is how sure Hunter is of the address. The names are an echo of the question, so they are not given. */
function foundAddress(response: HttpResponse): Answer {
  const { data } = answers.shaped(Finder, response.json(), "Hunter address");
  if (!data.email) return { outcome: "miss", units: 0 };
  const seen = (data.sources ?? []).flatMap((s) => (s.last_seen_on ? (answers.isoDate(s.last_seen_on) ?? []) : []));
  const verdict = data.verification?.status;
  return {
    outcome: "found",
    units: UNITS.finder,
    found: {
      confidence: Math.max(0.01, (data.score ?? 50) / 100),
      values: {
        email: data.email,
        email_status: verdict ? emailStatus(verdict) : undefined,
        title: data.position,
        linkedin_url: data.linkedin_url,
        phone: data.phone_number,
        company_name: data.company,
        company_domain: data.domain,
      },
      ...(seen.length > 0 ? { seen_at: seen.sort().at(-1)! } : {}),
    },
  };
}

/** Profiles carry no measure. They are kept under the very address or domain asked for: 0.8 is assumed. */
const PROFILE_CONFIDENCE = 0.8;

function foundPerson(response: HttpResponse): Answer {
  const { data } = answers.shaped(Person, response.json(), "Hunter person");
  const { employment: job } = data;
  return {
    outcome: "found",
    units: UNITS.profile,
    found: {
      confidence: PROFILE_CONFIDENCE,
      values: {
        email: data.email,
        first_name: data.name?.givenName,
        last_name: data.name?.familyName,
        title: job?.title,
        seniority: job?.seniority,
        department: job?.role,
        phone: data.phone,
        linkedin_url: linkedinUrl(data.linkedin?.handle, "in"),
        country: data.geo?.country,
        city: data.geo?.city,
        company_name: job?.name,
        company_domain: job?.domain,
      },
    },
  };
}

function foundCompany(response: HttpResponse): Answer {
  const { data } = answers.shaped(Company, response.json(), "Hunter company");
  const staff = data.metrics?.employees;
  return {
    outcome: "found",
    units: UNITS.profile,
    found: {
      confidence: PROFILE_CONFIDENCE,
      values: {
        company_name: data.name,
        company_domain: data.domain,
        company_industry: data.category?.industry,
        company_employees: typeof staff === "number" ? staff : undefined,
        company_size: typeof staff === "string" ? staff : undefined,
        company_country: data.geo?.country,
        company_city: data.geo?.city,
        company_founded: data.foundedYear,
        company_revenue: data.metrics?.annualRevenue,
        company_linkedin_url: linkedinUrl(data.linkedin?.handle, "company"),
        company_phone: data.site?.phoneNumbers?.[0],
        company_description: data.description,
        company_technologies: data.tech,
      },
    },
  };
}

/** `webmail` says whose mailbox it is, not whether it takes messages: the mail server's word decides. */
function emailStatus(of: z.infer<typeof status>, smtp?: boolean | null): EmailStatus {
  if (of === "accept_all") return "catch_all";
  if (of === "disposable") return "risky";
  if (of === "webmail") return smtp ? "valid" : "unknown";
  return of;
}

/** Its score, 0 to 100, is how deliverable the address is: near 100 it is surely valid, near 0 surely not; between, Hunter is less sure. */
function verdictOn(response: HttpResponse): Answer {
  const { data } = answers.shaped(Verifier, response.json(), "Hunter verification");
  const email_status = emailStatus(data.status, data.smtp_check);
  // What could not be verified is not charged, and another provider may know.
  if (email_status === "unknown") return { outcome: "miss", units: 0 };
  const sure = (data.score ?? 50) / 100;
  return {
    outcome: "found",
    units: UNITS.verifier,
    found: { confidence: Math.max(sure, 1 - sure), values: { email_status } },
  };
}

/**
 * Hunter, https://hunter.io/api-documentation/v2: addresses by name and company, profiles, verification. 202 is in progress, 403 the rate
 * limit, 429 a plan that is used up, 451 a person who asked not to be processed.
 */
export const hunter = defineLookupProvider({
  id: "hunter",
  label: "Hunter",
  category: "enrichment",
  docs_url: "https://hunter.io/api-documentation/v2",
  setup: "Create an API key at hunter.io/api-keys. Verification and profiles use the same key.",
  credentials: Credentials,
  default_base_url: BASE,
  runs_in: "anywhere",

  /** The account is free to read. */
  async check(connection, http) {
    const response = await api(connection, http)("GET", "/account");
    if (response.status === 200) return { ok: true, detail: "Connected." };
    const read = failure(response);
    const { code, detail } = "code" in read ? read : { code: `http_${response.status}`, detail: "Not an account." };
    return { ok: false, code, detail, suggestion: "Copy the key again from hunter.io/api-keys." };
  },

  lookup: {
    // The verifier's 300 calls a minute; the other calls may be 500.
    per_second: 5,
    call_seconds: 15,
    // Starter: $49 for 2,000 credits of 10 units (hunter.io/pricing, August 2026).
    unit_micros: 2_450,
    kinds: {
      person: {
        needs: [
          ["email"],
          ["first_name", "last_name", "domain"],
          ["first_name", "last_name", "company_name"],
          ["linkedin_url"],
        ],
        gives: [
          "email",
          "email_status",
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
        ],
        batch: 1,
        units: UNITS.finder,
      },
      company: {
        needs: [["domain"]],
        gives: [
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
        ],
        batch: 1,
        units: UNITS.profile,
      },
      email: { needs: [["email"]], gives: ["email_status"], batch: 1, units: UNITS.verifier },
    },
    lookup: (kind, questions, connection, http) =>
      lookupCall(questions, async () => {
        const [q] = questions as [Question];
        const call = api(connection, http);
        const ask = async (path: string, read: (response: HttpResponse) => Answer) => {
          const response = await call("GET", path);
          return [response.status === 200 ? read(response) : failure(response)];
        };
        if (kind === "email") return ask(`/email-verifier?${new URLSearchParams({ email: q.email! })}`, verdictOn);
        if (kind === "company")
          return ask(`/companies/find?${new URLSearchParams({ domain: q.domain! })}`, foundCompany);
        const { path, finder } = personPath(q);
        return ask(path, finder ? foundAddress : foundPerson);
      }),
  },
});
