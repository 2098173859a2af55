import { z } from "zod";
import { companyAt, type DirectoryCompany, knows, personOf } from "../../../sandbox/directory.ts";
import { type BodyFault, defineEmulation, looksUp, route } from "../../../sandbox/emulation.ts";

/** A team's own endpoint that keeps the contract: the key in x-team-key, an answer for every question. */

const refuse = (status: number, message: string) => Response.json({ message }, { status });

const Asked = z.strictObject({
  kind: z.enum(["person", "company", "email"]),
  questions: z
    .array(
      z
        .strictObject({
          email: z.string(),
          first_name: z.string(),
          last_name: z.string(),
          domain: z.string(),
          company_name: z.string(),
          linkedin_url: z.string(),
          country: z.string(),
        })
        .partial(),
    )
    .max(50),
});
type Asked = z.infer<typeof Asked>;

const ofCompany = (c: DirectoryCompany) => ({
  company_name: c.name,
  company_domain: c.domain,
  company_industry: c.industry,
  company_employees: c.employees,
  company_technologies: c.technologies,
});

function answer(kind: Asked["kind"], q: Asked["questions"][number]): [subject: string, values: object | null] {
  if (kind === "company") {
    const domain = q.domain ?? `${q.company_name?.toLowerCase()}.com`;
    const company = companyAt(domain);
    return [domain, company && knows("custom_api", domain, 0.5) ? ofCompany(company) : null];
  }
  const person = personOf(q);
  const known = person && knows("custom_api", person.email, 0.5) ? person : null;
  const subject = person?.email ?? JSON.stringify(q);
  if (kind === "email") return [subject, known && { email_status: known.email_status }];
  const values = known && {
    email: known.email,
    first_name: known.first_name,
    last_name: known.last_name,
    title: known.title,
    phone: known.phone,
    ...ofCompany(known.company),
  };
  // A mistake of the team's: a field that nobody knows.
  return [subject, values && /^typo@/.test(subject) ? { ...values, shoe_size: 43 } : values];
}

export const emulation = defineEmulation({
  id: "custom_api",
  example() {
    const api_key = `team_${crypto.randomUUID()}`;
    return { credentials: { api_key }, settings: { header_name: "x-team-key" }, key: api_key };
  },
  http: {
    content: "json",
    auth(request) {
      const key = request.headers.get("x-team-key") ?? "";
      return /^team_[0-9a-f-]{36}$/.test(key) ? { key } : refuse(401, "The key in x-team-key is missing or wrong.");
    },
    refuse: {
      body: ({ detail }: BodyFault) => refuse(400, detail),
      unknownPath: () => refuse(404, "Not found"),
      rateLimit: (after) => {
        const response = refuse(429, "Slower, please.");
        response.headers.set("retry-after", String(after));
        return response;
      },
      serverError: () => refuse(500, "Out of order"),
    },
    routes: [
      looksUp(
        route("POST /", Asked, ({ body: { kind, questions }, charge }) => ({
          answers: questions.map((q) => {
            const [subject, values] = answer(kind, q);
            charge(values ? 1 : 0, `${kind}:${subject}`);
            return values ? { outcome: "found", values, confidence: 0.8 } : { outcome: "miss" };
          }),
        })),
      ),
    ],
  },
});
