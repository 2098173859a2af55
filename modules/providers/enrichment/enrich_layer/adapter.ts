import { z } from "zod";
import type { HttpClient, HttpResponse } from "../../../kernel/http/client.ts";
import type { Connection } from "../../../kernel/provider.ts";
import * as answers from "../../answers.ts";
import { lookupCall, pickFirst, refusal } from "../answer.ts";
import { type Answer, defineLookupProvider, type Found, type Question } from "../vocabulary.ts";

const BASE = "https://enrichlayer.com/api/v2";

const Credentials = z.object({ api_key: z.string().min(1).meta({ title: "API key", secret: true }) });
type Credentials = z.infer<typeof Credentials>;
const Settings = z.object({
  min_similarity: z.number().min(0.5).max(1).default(0.8).meta({
    title: "Least similarity",
    description:
      "0.5 to 1: how alike the name and the company of a profile must be that was found by name; less is taken as not found.",
  }),
});

const text = z.string().nullish();
const score = z.number().nullish();
const Profile = z.object({
  public_identifier: text,
  first_name: text,
  last_name: text,
  country: text,
  country_full_name: text,
  city: text,
  experiences: z
    .array(
      z.object({
        company: text,
        company_linkedin_profile_url: text,
        title: text,
        ends_at: z.object({ year: z.number().nullish() }).nullish(),
      }),
    )
    .nullish(),
});
const Company = z.object({
  name: text,
  description: text,
  website: text,
  industry: text,
  company_size: z.array(z.number().nullable()).nullish(),
  company_size_on_linkedin: z.number().nullish(),
  founded_year: z.number().nullish(),
  hq: z.object({ country: text, city: text }).nullish(),
});
const ResolvedPerson = z.object({
  url: text,
  name_similarity_score: score,
  company_similarity_score: score,
  profile: Profile.nullish(),
});
const ResolvedCompany = z.object({ url: text, profile: Company.nullish() });

const api = (connection: Connection<Credentials>, http: HttpClient) =>
  answers.caller(http, connection.base_url ?? BASE, { authorization: `Bearer ${connection.credentials.api_key}` });

/** 403: no credits are left. */
const failure = (response: HttpResponse): Answer =>
  refusal("Enrich Layer", response, { broken: [401, 403], refused: [400] });

function ofProfile(profile: z.infer<typeof Profile>, url: string | null | undefined): Found["values"] {
  // The present job is the first that has not ended. A headline is an advertisement, not a title.
  const job = profile.experiences?.find((e) => !e.ends_at);
  return {
    first_name: profile.first_name,
    last_name: profile.last_name,
    title: job?.title,
    linkedin_url: profile.public_identifier ? `https://www.linkedin.com/in/${profile.public_identifier}` : url,
    country: pickFirst(profile.country, profile.country_full_name),
    city: profile.city,
    company_name: job?.company,
    company_linkedin_url: job?.company_linkedin_profile_url,
  };
}

const hostOf = (url: string | null | undefined): string | null => {
  if (!url) return null;
  const full = url.includes("://") ? url : `https://${url}`;
  return URL.canParse(full) ? new URL(full).hostname.replace(/^www\./, "").toLowerCase() : null;
};

const MISS: Answer = { outcome: "miss", units: 0 };
/** A search is charged as soon as it answers 200, found or not; the profile is another credit. */
const SEARCH = 2;
const PROFILE = 1;

/** https://enrichlayer.com/docs. A person by the URL of the profile, else by name and company; a company by domain or name. */
export const enrichLayer = defineLookupProvider({
  id: "enrich_layer",
  label: "Enrich Layer (LinkedIn data)",
  category: "enrichment",
  docs_url: "https://enrichlayer.com/docs",
  setup: [
    "Legal risk: Enrich Layer sells personal data collected from LinkedIn, which LinkedIn's terms forbid.",
    "LinkedIn sues such services: Proxycurl, from which Enrich Layer comes, was retired in July 2025 in the course of LinkedIn's case against it,",
    "and the court ordered the data to be deleted. Under the GDPR you need a legal basis of your own for this data and must tell people its source.",
    "Ask your lawyer first. The provider is off until your team connects it here; nothing is looked up before.",
    "The API key is on the dashboard at enrichlayer.com/dashboard; a key of Proxycurl works too.",
  ].join(" "),
  credentials: Credentials,
  settings: Settings,
  default_base_url: BASE,
  runs_in: "anywhere",

  /** The balance is free. */
  async check(connection, http) {
    const response = await api(connection, http)("GET", "/credit-balance");
    if (response.status === 200) {
      const { credit_balance } = answers.shaped(
        z.object({ credit_balance: z.number() }),
        response.json(),
        "Enrich Layer balance",
      );
      return { ok: true, detail: `Connected; ${credit_balance} credits are left.` };
    }
    const { code, detail } = failure(response) as { code: string; detail: string };
    return { ok: false, code, detail, suggestion: "Copy the key again from enrichlayer.com/dashboard." };
  },

  lookup: {
    // 300 calls a minute (enrichlayer.com/blog, on throughput); small plans may have 20: UNVERIFIED, answers with 429 slow it down.
    per_second: 5,
    call_seconds: 15,
    // "432,000 requests a day, which is $4,320 at a minimum" (enrichlayer.com/blog, on throughput): $0.01 for a credit.
    unit_micros: 10_000,
    kinds: {
      person: {
        needs: [["linkedin_url"], ["first_name", "last_name", "domain"], ["first_name", "last_name", "company_name"]],
        gives: [
          "first_name",
          "last_name",
          "title",
          "linkedin_url",
          "country",
          "city",
          "company_name",
          "company_linkedin_url",
        ],
        batch: 1,
        units: SEARCH + PROFILE,
      },
      company: {
        needs: [["domain"], ["company_name"]],
        gives: [
          "company_name",
          "company_domain",
          "company_industry",
          "company_employees",
          "company_size",
          "company_country",
          "company_city",
          "company_founded",
          "company_linkedin_url",
          "company_description",
        ],
        batch: 1,
        units: SEARCH + PROFILE,
      },
    },
    lookup(kind, questions, connection, http) {
      const call = api(connection, http);
      const [q] = questions as [Question];
      return lookupCall(questions, async () => {
        if (kind === "company") return [await company(q, call)];
        if (q.linkedin_url) return [await personAt(q.linkedin_url, call)];
        return [await personNamed(q, Number(connection.settings.min_similarity ?? 0.8), call)];
      });
    },
  },
});

async function personAt(url: string, call: answers.Caller): Promise<Answer> {
  const response = await call("GET", `/profile?${new URLSearchParams({ profile_url: url })}`);
  if (response.status === 404) return MISS;
  if (response.status !== 200) return failure(response);
  const profile = answers.shaped(Profile, response.json(), "Enrich Layer profile");
  // The URL names the person; what may be wrong is the age of the data.
  return { outcome: "found", units: PROFILE, found: { confidence: 0.95, values: ofProfile(profile, url) } };
}

async function personNamed(q: Question, least: number, call: answers.Caller): Promise<Answer> {
  const query = new URLSearchParams({
    first_name: q.first_name!,
    last_name: q.last_name!,
    company_domain: (q.domain ?? q.company_name)!,
    similarity_checks: "include",
    enrich_profile: "enrich",
  });
  const response = await call("GET", `/profile/resolve?${query}`);
  if (response.status === 404) return MISS;
  if (response.status !== 200) return failure(response);
  const { url, profile, ...scores } = answers.shaped(ResolvedPerson, response.json(), "Enrich Layer search");
  if (!url || !profile) return { outcome: "miss", units: SEARCH };
  // Its own scores, 0 to 1, of how alike name and company are; the weaker one counts. A missing score is no certainty.
  const confidence = Math.min(scores.name_similarity_score ?? 0, scores.company_similarity_score ?? 0, 1);
  if (confidence < least) return { outcome: "miss", units: SEARCH + PROFILE };
  return { outcome: "found", units: SEARCH + PROFILE, found: { confidence, values: ofProfile(profile, url) } };
}

async function company(q: Question, call: answers.Caller): Promise<Answer> {
  const query = new URLSearchParams(q.domain ? { company_domain: q.domain } : { company_name: q.company_name! });
  query.set("enrich_profile", "enrich");
  const response = await call("GET", `/company/resolve?${query}`);
  if (response.status === 404) return MISS;
  if (response.status !== 200) return failure(response);
  const { url, profile } = answers.shaped(ResolvedCompany, response.json(), "Enrich Layer company search");
  if (!url || !profile) return { outcome: "miss", units: SEARCH };
  const [from, to] = profile.company_size ?? [];
  return {
    outcome: "found",
    units: SEARCH + PROFILE,
    found: {
      // It has no score of its own: the website on the page proves a domain; another website or a bare name does not.
      confidence: q.domain && hostOf(profile.website) === q.domain ? 0.95 : 0.6,
      values: {
        company_name: profile.name,
        company_domain: hostOf(profile.website),
        company_industry: profile.industry,
        company_employees: profile.company_size_on_linkedin,
        company_size: from ? (to ? `${from}-${to}` : `${from}+`) : undefined,
        company_country: profile.hq?.country,
        company_city: profile.hq?.city,
        company_founded: profile.founded_year,
        company_linkedin_url: url,
        company_description: profile.description,
      },
    },
  };
}
