import * as answers from "../../answers.ts";
import { lookupCall } from "../answer.ts";
import { type Answer, defineLookupProvider, type Found, type Question } from "../vocabulary.ts";
import { body, Company, COMPANY_FIELDS, companyValues, Contact, CONTACT_FIELDS, contactFound } from "./records.ts";
import { authorized, BASE, Credentials, failure, forgetSessions, grantedFields, NotAsked } from "./session.ts";

/** One of the batch by its own status, as public clients of the API list them (UNVERIFIED); another one than these is a kind of no match. */
function itemAnswer(status: string | null | undefined, found: Found | null): Answer {
  const code = status?.toLowerCase() ?? "";
  switch (status) {
    case "OPT_OUT":
      return { outcome: "refused", code, detail: "The person asked ZoomInfo not to be looked up.", forget: true };
    case "INVALID_INPUT":
      return { outcome: "refused", code, detail: "ZoomInfo cannot use what is known of the subject." };
    case "LIMIT_EXCEEDED":
      return { outcome: "broken", code, detail: "The account's credits at ZoomInfo are used up." };
    case "SERVICE_ERROR":
      return { outcome: "retry", code, detail: "ZoomInfo failed for this one." };
    case "COMPANY_ONLY_MATCH":
      return { outcome: "miss", units: 0 };
    default:
      // A record under management is free for 12 months, which the answer does not tell: a credit is the most it costs.
      return found ? { outcome: "found", units: 1, found } : { outcome: "miss", units: 0 };
  }
}

const contactInput = (q: Question) => ({
  ...(q.email ? { emailAddress: q.email } : {}),
  ...(q.linkedin_url ? { externalURL: q.linkedin_url } : {}),
  ...(q.first_name ? { firstName: q.first_name } : {}),
  ...(q.last_name ? { lastName: q.last_name } : {}),
  ...(q.company_name ? { companyName: q.company_name } : {}),
});
/** The website in the form that its documentation asks for. */
const companyInput = (q: Question) =>
  q.domain ? { companyWebsite: `http://www.${q.domain}` } : { companyName: q.company_name };

/**
 * ZoomInfo's legacy Enterprise API, https://api-docs.zoominfo.com: contacts and companies, 25 a call. ZoomInfo is retiring it in favour of
 * one with OAuth; accounts that have it keep it for now.
 */
export const zoominfo = defineLookupProvider({
  id: "zoominfo",
  label: "ZoomInfo (Enterprise API)",
  category: "enrichment",
  docs_url: "https://api-docs.zoominfo.com",
  setup:
    "The user name and password of a ZoomInfo user with access to the Enterprise API; your account manager gives it.",
  credentials: Credentials,
  default_base_url: BASE,
  runs_in: "anywhere",

  /** What is used and left is free to read. */
  async check(connection, http) {
    const suggestion = "Check the user name and password, and that the user may use the Enterprise API.";
    try {
      const response = await authorized(connection, http, (call) => call("GET", "/lookup/usage"));
      if (response.status === 200) return { ok: true, detail: "Connected." };
      const { code, detail } = failure(response) as { code: string; detail: string };
      return { ok: false, code, detail, suggestion };
    } catch (error) {
      if (!(error instanceof NotAsked)) throw error;
      const { code, detail } = error.answer as { code: string; detail: string };
      return { ok: false, code, detail, suggestion };
    }
  },
  /** Tokens live in the process. */
  close: () => Promise.resolve(forgetSessions()),

  lookup: {
    per_second: 25,
    // Token, fields, question; and once more token and question where the token is refused.
    call_seconds: 75,
    // UNVERIFIED: ZoomInfo publishes no price; $0.30 a credit is assumed.
    unit_micros: 300_000,
    kinds: {
      person: {
        // Whether a domain may stand for the company's name is not documented.
        needs: [["email"], ["linkedin_url"], ["first_name", "last_name", "company_name"]],
        gives: [
          "email",
          "first_name",
          "last_name",
          "title",
          "seniority",
          "department",
          "phone",
          "linkedin_url",
          "city",
          "country",
          "company_name",
          "company_domain",
          "company_industry",
          "company_employees",
          "company_size",
          "company_revenue",
          "company_phone",
          "company_city",
          "company_country",
          "company_linkedin_url",
        ],
        batch: 25,
        units: 1,
      },
      company: {
        needs: [["domain"], ["company_name"]],
        gives: [
          "company_name",
          "company_domain",
          "company_industry",
          "company_employees",
          "company_size",
          "company_revenue",
          "company_founded",
          "company_phone",
          "company_city",
          "company_country",
          "company_linkedin_url",
          "company_description",
        ],
        batch: 25,
        units: 1,
      },
    },
    lookup: (kind, questions, connection, http) =>
      lookupCall(questions, async () => {
        const company = kind === "company";
        try {
          const outputFields = company
            ? await grantedFields("company", COMPANY_FIELDS, connection, http)
            : await grantedFields("contact", CONTACT_FIELDS, connection, http);
          const response = await authorized(connection, http, (call) =>
            company
              ? call("POST", "/enrich/company", { matchCompanyInput: questions.map(companyInput), outputFields })
              : call("POST", "/enrich/contact", { matchPersonInput: questions.map(contactInput), outputFields }),
          );
          if (response.status !== 200) return questions.map(() => failure(response));
          if (company)
            return answers
              .shaped(body(Company), response.json(), "ZoomInfo answer")
              .data.result.map(({ data, matchStatus }) => {
                const c = data?.find(({ id, name }) => id || name);
                // ZoomInfo gives companies no measure: 0.85 is assumed.
                return itemAnswer(matchStatus, c ? { confidence: 0.85, values: companyValues(c) } : null);
              });
          return answers
            .shaped(body(Contact), response.json(), "ZoomInfo answer")
            .data.result.map(({ data, matchStatus }) => {
              const c = data?.find(({ id, email, lastName }) => id || email || lastName);
              return itemAnswer(matchStatus, c ? contactFound(c, matchStatus) : null);
            });
        } catch (error) {
          if (error instanceof NotAsked) return questions.map(() => error.answer);
          throw error;
        }
      }),
  },
});
