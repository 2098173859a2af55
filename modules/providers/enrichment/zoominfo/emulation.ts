import { createHash } from "node:crypto";
import { z } from "zod";
import { companyAt, type DirectoryCompany, type DirectoryPerson, knows, personOf } from "../../../sandbox/directory.ts";
import { type BodyFault, type Call, defineEmulation, looksUp, route } from "../../../sandbox/emulation.ts";

/**
 * ZoomInfo's legacy Enterprise API: authenticate, usage, output fields, contact and company enrich. Any user whose password is `pw-` and the
 * name is let in. Users whose name begins with `limited` lack some fields, `silent` lack them and are not told, `spent` have no credits left,
 * `busy` are told to come back the first time they ask for the fields. Local parts that play a part: optout, invalid, limit, flaky, moved, donotcall, elsewhere, outage.
 */

const fail = (status: number, error: string) =>
  Response.json({ success: false, statusCode: status, error }, { status });

const HOUR_MS = 3_600_000;
const seal = (payload: string) => createHash("sha256").update(`sandbox:${payload}`).digest("base64url");
const tokenOf = (username: string) => {
  const payload = Buffer.from(JSON.stringify({ username, iat: Date.now() })).toString("base64url");
  return `eyJhbGciOiJIUzI1NiJ9.${payload}.${seal(payload)}`;
};
function userOf(token: string): string | null {
  const [, payload = "", mark] = token.split(".");
  if (mark !== seal(payload)) return null;
  const { username, iat } = JSON.parse(Buffer.from(payload, "base64url").toString()) as {
    username: string;
    iat: number;
  };
  return Date.now() - iat < HOUR_MS ? username : null;
}

const FIELDS = {
  contact:
    "id firstName lastName email phone directPhoneDoNotCall mobilePhone mobilePhoneDoNotCall jobTitle jobFunction managementLevel externalUrls city country personHasMoved contactAccuracyScore companyName companyWebsite companyPrimaryIndustry companyEmployeeCount companyEmployeeRange companyRevenueNumeric companyPhone companyCity companyCountry companySocialMediaUrls".split(
      " ",
    ),
  company:
    "id name website primaryIndustry employeeCount employeeRange revenue foundedYear phone city country socialMediaUrls descriptionList".split(
      " ",
    ),
};
const LACKING = ["mobilePhone", "companyRevenueNumeric", "revenue"];
const user = ({ account }: Pick<Call<unknown>, "account">) => account.id.split(":")[1]!;
const grants = (call: Pick<Call<unknown>, "account">, field: string) =>
  !/^(limited|silent)/.test(user(call)) || !LACKING.includes(field);

const outputFields = z.array(z.string()).min(1);
const Contacts = z.strictObject({
  matchPersonInput: z
    .array(
      z
        .strictObject({
          emailAddress: z.email(),
          externalURL: z.url(),
          firstName: z.string(),
          lastName: z.string(),
          companyName: z.string(),
        })
        .partial(),
    )
    .min(1)
    .max(25),
  outputFields,
});
const Companies = z.strictObject({
  matchCompanyInput: z
    .array(z.strictObject({ companyWebsite: z.string().regex(/^https?:\/\//), companyName: z.string() }).partial())
    .min(1)
    .max(25),
  outputFields,
});

const country = (code: string) => new Intl.DisplayNames(["en"], { type: "region" }).of(code);
const range = (n: number) => (n > 500 ? "500 - 1,000" : "100 - 250");
const idOf = (text: string) => createHash("sha256").update(text).digest().readUInt32BE(0);

const companyOf = (c: DirectoryCompany) => ({
  id: idOf(c.domain),
  name: c.name,
  website: `www.${c.domain}`,
  primaryIndustry: [c.industry],
  employeeCount: c.employees,
  employeeRange: range(c.employees),
  revenue: c.revenue / 1000,
  foundedYear: String(c.founded),
  phone: c.phone,
  city: c.city,
  country: country(c.country),
  socialMediaUrls: [
    { type: "TWITTER", url: "http://www.twitter.com/nobody", followerCount: "" },
    { type: "LINKED_IN", url: c.linkedin_url.replace("https", "http"), followerCount: "" },
  ],
  descriptionList: [{ description: c.description }],
});
const MANAGEMENT: Record<string, string> = {
  c_level: "C-Level",
  vp: "VP-Level",
  head: "Director",
  director: "Director",
};
const contactOf = (p: DirectoryPerson, local: string) => ({
  id: idOf(p.email),
  firstName: p.first_name,
  lastName: p.last_name,
  email: p.email,
  phone: p.phone,
  directPhoneDoNotCall: local === "donotcall",
  mobilePhone: "",
  mobilePhoneDoNotCall: "true",
  jobTitle: p.title,
  jobFunction: [{ name: p.department, department: p.department }],
  managementLevel: [MANAGEMENT[p.seniority] ?? "Non-Manager"],
  externalUrls: [{ type: "linkedin.com", url: p.linkedin_url }],
  city: p.city,
  country: country(p.country),
  personHasMoved: local === "moved" ? "Yes" : "No",
  contactAccuracyScore: 95,
  company: {
    id: idOf(p.company.domain),
    name: p.company.name,
    website: `www.${p.company.domain}`,
    primaryIndustry: [p.company.industry],
    employeeCount: p.company.employees,
    employeeRange: range(p.company.employees),
    revenueNumeric: p.company.revenue,
    phone: p.company.phone,
    city: p.company.city,
    country: country(p.company.country),
    socialMediaUrls: [{ type: "LINKED_IN", url: p.company.linkedin_url.replace("https", "http") }],
  },
});

/** Only what was asked for: fields of the contact's company are named `company…` in the request and nested in the answer. */
const only = (record: Record<string, unknown>, fields: readonly string[]): Record<string, unknown> => {
  const nested = fields.flatMap((f) => (f.startsWith("company") ? [f.charAt(7).toLowerCase() + f.slice(8)] : []));
  return Object.fromEntries(
    Object.entries(record).flatMap(([name, value]) => {
      if (name === "company") return [[name, only(value as Record<string, unknown>, ["id", ...nested])]];
      return name === "id" || fields.includes(name) ? [[name, value]] : [];
    }),
  );
};

const PLAYED: Record<string, string> = {
  optout: "OPT_OUT",
  invalid: "INVALID_INPUT",
  limit: "LIMIT_EXCEEDED",
  flaky: "SERVICE_ERROR",
};
const none = (input: unknown, matchStatus: string) => ({ input, data: [], matchStatus });

/** Refusals of the whole call, in the order of ZoomInfo. */
function refused(call: Call<{ outputFields: string[] }>, entity: "contact" | "company"): Response | null {
  if (call.body.outputFields.some((f) => !FIELDS[entity].includes(f)))
    return fail(400, "There are invalid fields in your request");
  if (!call.body.outputFields.every((f) => grants(call, f)))
    return fail(403, "There are fields that are not allowed under your subscription");
  return user(call).startsWith("spent")
    ? fail(400, "Exceeded the max limit to enrich new Contacts or Companies")
    : null;
}

/** A record is paid once in twelve months. */
function pay(call: Call<unknown>, subject: string): void {
  const managed = (call.account.state.managed ??= {}) as Record<string, boolean>;
  call.charge(managed[subject] ? 0 : 1, subject);
  managed[subject] = true;
}

export const emulation = defineEmulation({
  id: "zoominfo",
  example() {
    const username = `u${crypto.randomUUID().replaceAll("-", "")}`;
    return { credentials: { username, password: `pw-${username}` }, key: username };
  },
  http: {
    content: "json",
    auth(request, path) {
      if (path === "/authenticate") return { key: "authenticate" };
      const key = userOf(/^Bearer (.+)$/.exec(request.headers.get("authorization") ?? "")?.[1] ?? "");
      return key ? { key } : fail(401, "Authentication failed");
    },
    refuse: {
      body: ({ issues }: BodyFault) =>
        fail(400, issues.length > 0 ? "There are invalid fields in your request" : "Request body has malformed JSON"),
      unknownPath: () => fail(404, "Not found"),
      rateLimit: () =>
        fail(429, "You have exceeded your API query rate limit. Please decrease the frequency of your API requests"),
      serverError: () =>
        fail(500, "An unexpected error has occurred. Please try again and reference the error id provided"),
    },
    routes: [
      route(
        "POST /authenticate",
        z.strictObject({ username: z.string().min(1), password: z.string().min(1) }),
        ({ body: { username, password } }) =>
          password === `pw-${username}` ? { jwt: tokenOf(username) } : fail(401, "Authentication failed"),
      ),
      route("GET /lookup/usage", () => ({
        usage: [{ limitType: "uniqueIdLimit", limit: 1000, currentUsage: 10, usageRemaining: 990 }],
      })),
      ...(["contact", "company"] as const).map((entity) =>
        route(`GET /lookup/outputfields/${entity}/enrich`, (call) => {
          if (user(call).startsWith("silent")) return fail(403, "You do not have access to this endpoint");
          const first = !call.account.state.listed;
          call.account.state.listed = true;
          if (user(call).startsWith("busy") && first) return fail(429, "You have exceeded your API query rate limit.");
          return FIELDS[entity].map((fieldName) => ({ fieldName, accessGranted: String(grants(call, fieldName)) }));
        }),
      ),
      looksUp(
        route("POST /enrich/contact", Contacts, (call) => {
          const no = refused(call, "contact");
          if (no) return no;
          const result = call.body.matchPersonInput.map((input) => {
            const local = input.emailAddress?.split("@")[0] ?? "";
            if (PLAYED[local]) return none(input, PLAYED[local]);
            const p = personOf({
              email: input.emailAddress,
              linkedin_url: input.externalURL,
              first_name: input.firstName,
              last_name: input.lastName,
              company_name: input.companyName,
            });
            if (!p || !knows("zoominfo", p.email, 0.65)) {
              call.charge(0, `contact:${JSON.stringify(input)}`);
              return none(input, "NO_MATCH");
            }
            pay(call, `contact:${p.email}`);
            const matchStatus = local === "elsewhere" ? "CONTACT_ONLY_MATCH" : "FULL_MATCH";
            return { input, data: [only(contactOf(p, local), call.body.outputFields)], matchStatus };
          });
          const outage = call.body.matchPersonInput.some((i) => i.emailAddress?.startsWith("outage@"));
          return outage ? { success: false, error: "Search failed" } : { success: true, data: { result } };
        }),
      ),
      looksUp(
        route("POST /enrich/company", Companies, (call) => {
          const no = refused(call, "company");
          if (no) return no;
          const result = call.body.matchCompanyInput.map((input) => {
            const host = input.companyWebsite ? new URL(input.companyWebsite).hostname.replace(/^www\./, "") : null;
            const c = companyAt(host ?? `${input.companyName!.toLowerCase()}.com`);
            if (!c || !knows("zoominfo", c.domain, 0.75)) {
              call.charge(0, `company:${JSON.stringify(input)}`);
              return none(input, "NO_MATCH");
            }
            pay(call, `company:${c.domain}`);
            return { input, data: [only(companyOf(c), call.body.outputFields)], matchStatus: "FULL_MATCH" };
          });
          return { success: true, data: { result } };
        }),
      ),
    ],
  },
});
