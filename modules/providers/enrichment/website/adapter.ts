import robotsParser from "robots-parser";
import { z } from "zod";
import { type HttpClient, HttpError, type HttpResponse } from "../../../kernel/http/client.ts";
import type { Connection } from "../../../kernel/provider.ts";
import { retryAfterSeconds } from "../../answers.ts";
import { lookupCall, pickFirst } from "../answer.ts";
import { type Answer, defineLookupProvider, type Field } from "../vocabulary.ts";
import { addressOf, linkedInOf, organizationOf, phoneOf, plain, readPage, textOf } from "./page.ts";
import { technologiesOf } from "./technologies.ts";

// A CommonJS module: Node gives its function as the default, the types say that it is a property of it.
const parseRobots = robotsParser as unknown as typeof robotsParser.default;

/** How it names itself, and the name that robots.txt can speak to. */
const AGENT = "Overture";
const USER_AGENT = `${AGENT}/1.0 (reads a company's own home page)`;

const MAX_REDIRECTS = 3;
const MAX_PAGE = 2 * 1024 * 1024;
/** As much of a robots.txt as the standard wants to be read (RFC 9309, 2.5). */
const MAX_ROBOTS = 512 * 1024;
const CALL_MS = 5_000;
const TOTAL_MS = 12_000;

const refused = (code: string, detail: string): Answer => ({ outcome: "refused", code, detail });

/** Ends the visit with an outcome. */
class Ended extends Error {
  readonly answer: Answer;
  constructor(answer: Answer) {
    super("ended");
    this.answer = answer;
  }
}
const end = (answer: Answer): never => {
  throw new Ended(answer);
};

/** One visit of one website: one robots.txt for each host, one page, within one deadline. */
type Visit = { http: HttpClient; base: string | null; until: number; allowed: Map<string, (url: URL) => boolean> };

async function get(visit: Visit, url: URL, maxBytes: number, redirects = 0): Promise<HttpResponse> {
  const address = visit.base === null ? url.href : `${visit.base}/${url.host}${url.pathname}${url.search}`;
  try {
    return await visit.http.request({
      method: "GET",
      url: address,
      headers: { "user-agent": USER_AGENT, accept: "text/html,application/xhtml+xml;q=0.9,*/*;q=0.1" },
      timeoutMs: Math.max(1, Math.min(CALL_MS, visit.until - Date.now())),
      maxBytes,
      redirects,
    });
  } catch (error) {
    const failed = error instanceof HttpError && visit.base === null ? websiteFault(error) : null;
    if (failed) return end(failed);
    if (error instanceof HttpError && error.kind === "too_large")
      return end(refused("too_large", `${url.host} answers with more than ${maxBytes / 1024} KiB.`));
    throw error;
  }
}

/** What is wrong with this website, and not with the connection to all of them. */
function websiteFault({ kind, message, cause }: HttpError): Answer | null {
  if (kind === "dns" && (cause as NodeJS.ErrnoException | undefined)?.code === "ENOTFOUND")
    return { outcome: "miss", units: 0 };
  return kind === "blocked" || kind === "tls" || kind === "redirect" ? refused(kind, message) : null;
}

/** Challenges of bot walls: they say so in a header, or in the page that stands in for the real one. */
const WALL_HEADERS = [
  ["cf-mitigated", /challenge/i],
  ["x-amzn-waf-action", /challenge|captcha/i],
] as const;
const WALL_STATUSES = [202, 401, 403, 405, 429, 503];
const WALL_WORDS =
  /captcha|challenge-platform|challenges\.cloudflare\.com|cf-chl|_incapsula_|datadome|ddos-guard|just a moment|verify (that )?you are (a )?human/i;
const WALL_PAGE = /<title>\s*(just a moment|attention required|robot check|access denied)|_incapsula_resource/i;

/** A wall that asks for a human is not climbed. */
function stopAtWall(host: string, { status, headers, body }: HttpResponse) {
  const start = new TextDecoder("latin1").decode(body.subarray(0, 100_000));
  const wall =
    WALL_HEADERS.some(([name, value]) => value.test(headers.get(name) ?? "")) ||
    (WALL_STATUSES.includes(status) ? WALL_WORDS.test(start) : start.length < 20_000 && WALL_PAGE.test(start));
  if (wall) end(refused("captcha", `${host} asks its visitors to prove that they are human.`));
}

/** A status that is no page. */
function stopAtStatus(host: string, { status, headers }: HttpResponse) {
  if (status === 200) return;
  const code = `http_${status}`;
  const detail = `${host} answered ${status}.`;
  if (status === 404 || status === 410) end({ outcome: "miss", units: 0 });
  if (status !== 429 && status < 500) end(refused(code, detail));
  const after = retryAfterSeconds(headers);
  end({
    outcome: "retry",
    code: status === 429 ? "rate_limited" : code,
    detail,
    ...(after === undefined ? {} : { after_seconds: after }),
  });
}

/** RFC 9309: no robots.txt allows everything, one that cannot be read forbids everything for now. */
async function stopAtRobots(visit: Visit, url: URL) {
  let allowed = visit.allowed.get(url.host);
  if (!allowed) {
    const address = new URL("/robots.txt", url);
    const response = await get(visit, address, MAX_ROBOTS, 5);
    stopAtWall(url.host, response);
    if (response.status === 429 || response.status >= 500) stopAtStatus(url.host, response);
    const rules = response.status === 200 ? parseRobots(address.href, response.text()) : null;
    allowed = (target) => rules?.isAllowed(target.href, AGENT) ?? true;
    visit.allowed.set(url.host, allowed);
  }
  if (!allowed(url)) end(refused("robots", `${url.host} forbids ${url.pathname} to ${AGENT} in its robots.txt.`));
}

/** The home page and where it was found in the end. Every host on the way is asked by its robots.txt. */
async function homePage(visit: Visit, domain: string): Promise<{ url: URL; response: HttpResponse }> {
  let url = new URL(`https://${domain}/`);
  for (let hop = 0; ; hop++) {
    await stopAtRobots(visit, url);
    const response = await get(visit, url, MAX_PAGE);
    const location = [301, 302, 303, 307, 308].includes(response.status) ? response.headers.get("location") : null;
    if (location === null) {
      stopAtWall(url.host, response);
      stopAtStatus(url.host, response);
      return { url, response };
    }
    if (hop === MAX_REDIRECTS) end(refused("redirect", `${domain} redirects more than ${MAX_REDIRECTS} times.`));
    if (!URL.canParse(location, url.href)) end(refused("redirect", `${url.host} redirects to what is no address.`));
    url = new URL(location, url);
    if (url.protocol !== "https:") end(refused("redirect", `${domain} redirects to an address without encryption.`));
  }
}

/** A plain host name: it becomes part of an address. */
function isDomain(domain: string): boolean {
  if (!URL.canParse(`https://${domain}/`)) return false;
  const { hostname, pathname, port, username, search, hash } = new URL(`https://${domain}/`);
  return /\.[^.\d][^.]*$/.test(hostname) && pathname === "/" && port + username + search + hash === "";
}

const within = (host: string, domain: string) =>
  host === domain || host.endsWith(`.${domain}`) || domain.endsWith(`.${host}`);

async function visitWebsite(domain: string, visit: Visit): Promise<Answer> {
  if (!isDomain(domain))
    return refused("domain", `${JSON.stringify(domain.slice(0, 100))} is not the name of a website.`);
  const { url, response } = await homePage(visit, domain);
  if (!/html/i.test(response.headers.get("content-type") ?? "html")) return { outcome: "miss", units: 0 };
  const page = readPage(textOf(response));
  const organization = organizationOf(page.data);
  const address = addressOf(organization);
  const technologies = technologiesOf(page, response.headers);
  const values: Partial<Record<Field, string | readonly string[] | undefined>> = {
    company_name: pickFirst(plain(organization?.name, 200), plain(page.metas.get("og:site_name"), 200)),
    company_description: pickFirst(
      plain(page.metas.get("description"), 1000),
      plain(page.metas.get("og:description"), 1000),
    ),
    company_linkedin_url: linkedInOf(organization, page.links),
    company_phone: phoneOf(organization, page.links),
    company_country: address.country,
    company_city: address.city,
    company_technologies: technologies.length > 0 ? technologies : undefined,
  };
  if (Object.values(values).every((value) => value === undefined)) return { outcome: "miss", units: 0 };
  // The company says it of itself on its own domain; another domain that it redirects to may be another company's.
  const confidence = within(url.hostname, domain) ? 0.9 : 0.5;
  return {
    outcome: "found",
    units: 0,
    found: {
      confidence,
      values,
      // Any number on a page, and traces that a page may have kept of what it no longer uses.
      confidences: { company_phone: confidence - 0.2, company_technologies: confidence - 0.1 },
      seen_at: new Date().toISOString(),
    },
  };
}

const visitOf = (connection: Connection<object>, http: HttpClient): Visit => ({
  http,
  base: connection.base_url?.replace(/\/+$/, "") ?? null,
  until: Date.now() + TOTAL_MS,
  allowed: new Map(),
});

/** The company's own website: free, without an account, one page. `<base_url>/<domain>` stands for `https://<domain>` where there is a base URL. */
export const website = defineLookupProvider({
  id: "website",
  label: "Company website",
  category: "enrichment",
  docs_url: "https://www.rfc-editor.org/rfc/rfc9309",
  setup: [
    "Reads the home page of the company's own domain; it costs nothing and needs no account.",
    `robots.txt is obeyed under the name ${AGENT}, and a page that asks its visitors to prove that they are human is left alone.`,
    "Leave the base URL empty: with one, <base URL>/<domain> is read in place of https://<domain>, which is for tests.",
  ].join(" "),
  credentials: z.object({}),
  default_base_url: null,
  runs_in: "anywhere",

  /** Whether websites can be reached from here: the one that is kept for examples. */
  async check(connection, http) {
    try {
      const response = await get(visitOf(connection, http), new URL("https://example.com/robots.txt"), MAX_ROBOTS, 5);
      if (response.status < 500) return { ok: true, detail: "Websites can be reached." };
      return { ok: false, code: `http_${response.status}`, detail: `example.com answered ${response.status}.` };
    } catch (error) {
      if (!(error instanceof Ended)) throw error;
      return { ok: false, code: "unreachable", detail: "example.com cannot be reached from here." };
    }
  },

  lookup: {
    // Its own measure: each website gets two calls, so this is a matter of our own network.
    per_second: 5,
    call_seconds: 15,
    unit_micros: 0,
    kinds: {
      company: {
        needs: [["domain"]],
        gives: [
          "company_name",
          "company_description",
          "company_linkedin_url",
          "company_phone",
          "company_country",
          "company_city",
          "company_technologies",
        ],
        batch: 1,
        units: 0,
      },
    },
    lookup(_kind, questions, connection, http) {
      return lookupCall(questions, async () => {
        try {
          return [await visitWebsite(questions[0]!.domain!, visitOf(connection, http))];
        } catch (error) {
          if (error instanceof Ended) return [error.answer];
          throw error;
        }
      });
    },
  },
});
