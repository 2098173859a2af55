import { companyAt, type DirectoryPerson, knows, personOf } from "../../../sandbox/directory.ts";
import { type BodyFault, type Call, defineEmulation, looksUp, route } from "../../../sandbox/emulation.ts";

/** Enrich Layer v2: profile by URL, search by name, company search, balance. Stricter: a parameter it does not know is refused. */

const fail = (code: number, name: string, description: string) =>
  Response.json({ code, description, name }, { status: code });
const notFound = () => fail(404, "Not Found", "Not found");

/** The parameters, or the refusal of what is unknown or missing. */
function read(query: URLSearchParams, known: string[], needed: string[]): Record<string, string> | Response {
  const odd = [...query.keys()].find((key) => !known.includes(key));
  if (odd) return fail(400, "Bad Request", `Unknown parameter ${odd}`);
  const absent = needed.find((key) => !query.get(key));
  return absent ? fail(400, "Bad Request", `Missing parameter ${absent}`) : Object.fromEntries(query);
}

const show = (p: DirectoryPerson) => ({
  public_identifier: p.linkedin_url.split("/in/")[1],
  first_name: p.first_name,
  last_name: p.last_name,
  full_name: `${p.first_name} ${p.last_name}`,
  headline: `${p.title} who loves challenges`,
  country: p.country,
  country_full_name: new Intl.DisplayNames(["en"], { type: "region" }).of(p.country),
  city: p.city,
  experiences: [
    {
      company: "A former employer",
      title: "Trainee",
      starts_at: { day: 1, month: 1, year: 2010 },
      ends_at: { day: 1, month: 1, year: 2015 },
    },
    {
      company: p.company.name,
      company_linkedin_profile_url: p.company.linkedin_url,
      title: p.title,
      starts_at: { day: 1, month: 2, year: 2015 },
      ends_at: null,
    },
  ],
});

const person = ({ query, charge }: Call<null>) => {
  const asked = read(query, ["profile_url"], ["profile_url"]);
  if (asked instanceof Response) return asked;
  const found = personOf({ linkedin_url: asked.profile_url });
  if (!found || !knows("enrich_layer", found.email, 0.7)) {
    charge(0, `person:${asked.profile_url}`);
    return notFound();
  }
  charge(1, `person:${found.email}`);
  return show(found);
};

const PERSON = [
  "first_name",
  "last_name",
  "company_domain",
  "title",
  "location",
  "similarity_checks",
  "enrich_profile",
];

/** Namesakes: the search always finds somebody for a last name `Smith`, who works elsewhere. */
const search = ({ query, charge }: Call<null>) => {
  const asked = read(query, PERSON, ["first_name", "company_domain"]);
  if (asked instanceof Response) return asked;
  const at = asked.company_domain!;
  const ref = { first_name: asked.first_name, last_name: asked.last_name };
  const found = personOf({ ...ref, ...(at.includes(".") ? { domain: at } : { company_name: at }) });
  const namesake = asked.last_name === "Smith";
  if (!found || !(namesake || knows("enrich_layer", found.email, 0.7))) {
    charge(2, `person:${JSON.stringify(asked)}`);
    return { url: null };
  }
  const enrich = asked.enrich_profile === "enrich";
  charge(enrich ? 3 : 2, `person:${found.email}`);
  return {
    url: found.linkedin_url,
    name_similarity_score: 1,
    company_similarity_score: namesake ? 0.31 : 0.92,
    title_similarity_score: null,
    location_similarity_score: null,
    profile: enrich ? show(found) : null,
    last_updated: "2026-09-01T00:00:00Z",
  };
};

const company = ({ query, charge }: Call<null>) => {
  const asked = read(query, ["company_domain", "company_name", "company_location", "enrich_profile"], []);
  if (asked instanceof Response) return asked;
  const key = asked.company_domain ?? asked.company_name;
  if (!key) return fail(400, "Bad Request", "company_name or company_domain is needed");
  const found = companyAt(asked.company_domain ?? `${key.toLowerCase()}.com`);
  if (!found || !knows("enrich_layer", found.domain, 0.8)) {
    charge(2, `company:${key}`);
    return { url: null };
  }
  charge(3, `company:${found.domain}`);
  return {
    url: found.linkedin_url,
    last_updated: "2026-09-01T00:00:00Z",
    profile: {
      name: found.name,
      description: found.description,
      website: `https://www.${found.domain}/`,
      industry: found.industry,
      company_size: found.employees > 500 ? [501, 1000] : [51, 200],
      company_size_on_linkedin: found.employees,
      founded_year: found.founded,
      hq: { country: found.country, city: found.city, is_hq: true },
    },
  };
};

export const emulation = defineEmulation({
  id: "enrich_layer",
  example() {
    const api_key = `el-${crypto.randomUUID()}`;
    return { credentials: { api_key }, key: api_key };
  },
  http: {
    content: "json",
    auth(request) {
      const key = /^Bearer (el-[0-9a-f-]{36})$/.exec(request.headers.get("authorization") ?? "")?.[1];
      return key ? { key } : fail(401, "Unauthorized", "Invalid API key");
    },
    refuse: {
      body: ({ detail }: BodyFault) => fail(400, "Bad Request", detail),
      unknownPath: notFound,
      rateLimit: (after) => {
        const response = fail(429, "Too Many Requests", "Rate limited. Please retry");
        response.headers.set("retry-after", String(after));
        return response;
      },
      serverError: () => fail(500, "Internal Server Error", "There is an error with our API"),
    },
    routes: [
      route("GET /credit-balance", () => ({ credit_balance: 500 })),
      looksUp(route("GET /profile", person)),
      looksUp(route("GET /profile/resolve", search)),
      looksUp(route("GET /company/resolve", company)),
    ],
  },
});
