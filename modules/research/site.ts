import robotsParser from "robots-parser";
import type { ManualCtx } from "../kernel/context.ts";
import { HttpError, type HttpResponse } from "../kernel/http/client.ts";
import { pause } from "../kernel/pause.ts";
import { retryAfterSeconds } from "../providers/answers.ts";
import { researchConfig } from "./config.ts";
import { readPage } from "./page.ts";
import { wallIn } from "./wall.ts";

/**
 * One company's website, read politely: robots.txt first, one host, a pace per host, a few pages, bounded bytes and time. Whatever a page
 * says, nothing but pages of the same host is fetched.
 */

/** Its declarations describe a module with a default export, which the package is not. */
type Rules = {
  isAllowed(url: string, agent: string): boolean | undefined;
  getCrawlDelay(agent: string): number | undefined;
  getSitemaps(): string[];
};
const parseRobots = robotsParser as unknown as (url: string, text: string) => Rules;

/** Bytes of a page, as sent and as decompressed. */
const PAGE_BYTES = 2 * 1024 * 1024;
const ROBOTS_BYTES = 512 * 1024;
const PAGE_MS = 8_000;
/** Redirects of one page, all on the same host. */
const REDIRECTS = 3;
/** A site that wants longer pauses is not read. */
const LONGEST_DELAY = 30;
const LONGEST_URL = 1000;

/** Why reading ended, as research_items.reason has it. */
export type Stop = "robots" | "no_page" | "captcha" | "busy" | "unreachable" | "time" | "pages" | "delay" | "stopped";

export type Fetched = { url: string; status: number; headers: Headers; text: string };

/** Ends the reading of a site, with the address where it ended. */
export class SiteStopped extends Error {
  readonly why: Stop;
  readonly url: string;
  constructor(why: Stop, url: string) {
    super(`reading the site ended: ${why}`);
    this.why = why;
    this.url = url;
  }
}

export type SiteLimits = {
  /** Pages, robots.txt not counted. */
  pages: number;
  /** By performance.now(): nothing is fetched after it. */
  deadline: number;
  /** Whether the run still goes on; asked before each page. */
  goesOn?: () => Promise<boolean>;
};

export type Site = {
  host: string;
  /** Pages fetched so far. */
  pages(): number;
  /** A page of the site; null: there is none that can be read (404, another host, robots.txt forbids it, not text, too large). Throws SiteStopped. */
  get(url: string, accept?: "page" | "feed"): Promise<Fetched | null>;
  /** Whether robots.txt lets the address be read. */
  may(url: string): boolean;
  /** Addresses of sitemaps that robots.txt names, on this host. */
  sitemaps(): string[];
};

const LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";
const HOST = new RegExp(`^(?:${LABEL}\\.)+${LABEL}$`);
/** Sites whose terms forbid automated reading; people of a network are not researched there. */
const REFUSED = ["linkedin.com", "lnkd.in", "licdn.com"];

const bare = (host: string): string => host.toLowerCase().replace(/^www\./, "");
export const isRefused = (host: string): boolean => REFUSED.some((r) => bare(host) === r || host.endsWith(`.${r}`));

/** A host name that may be researched; null for addresses, names without a dot and sites that are refused. */
export function hostOf(domain: string): string | null {
  const host = domain.trim().toLowerCase().replace(/\.$/, "");
  return HOST.test(host) && !/^[\d.]+$/.test(host) && !isRefused(host) ? host : null;
}

/** The address in normal form when it is on the same host (with or without www) on a standard port; else null. */
export function sameSite(raw: string, base: string, host: string): string | null {
  let url: URL;
  try {
    url = new URL(raw, base);
  } catch {
    return null;
  }
  if (!["http:", "https:"].includes(url.protocol) || url.port !== "" || url.username || url.password) return null;
  if (bare(url.hostname) !== bare(host) || url.href.length > LONGEST_URL) return null;
  url.hash = "";
  return url.href;
}

/** Opens a site: reads its robots.txt. Throws SiteStopped where it may not be read at all. */
export async function openSite(ctx: ManualCtx, host: string, limits: SiteLimits): Promise<Site> {
  const { OVERTURE_RESEARCH_SITES_URL: base, OVERTURE_RESEARCH_PAGES_PER_SECOND: pace } = ctx.configOf(researchConfig);
  const agent = `${ctx.config.productName.replace(/[^\w.-]+/g, "-")}Bot/1.0`;
  const bucket = `host:${bare(host)}`;
  let delay = 1 / pace;
  let pages = 0;

  /** Waits for the host's turn, which all teams share. */
  async function turn(url: string): Promise<void> {
    for (;;) {
      if (ctx.signal.aborted) throw new SiteStopped("time", url);
      const [token] = await ctx.tx(
        (tx) => tx.db<{ taken: boolean; retry_after: number }[]>`
          select taken, retry_after from kernel.take_tokens(${bucket}, 1, ${1 / delay})`,
      );
      if (token!.taken) return;
      const wait = Math.max(0.02, token!.retry_after);
      if (performance.now() + wait * 1000 >= limits.deadline) throw new SiteStopped("time", url);
      await pause(wait * 1000, ctx.signal);
    }
  }

  const ask = (url: string, accept: string, maxBytes: number): Promise<HttpResponse> => {
    const left = limits.deadline - performance.now();
    if (left <= 0) throw new SiteStopped("time", url);
    const { hostname, pathname, search } = new URL(url);
    return ctx.http.request({
      method: "GET",
      url: base ? `${base}/${hostname}${pathname}${search}` : url,
      headers: { "user-agent": agent, accept },
      timeoutMs: Math.max(1, Math.min(PAGE_MS, Math.ceil(left))),
      maxBytes,
      redirects: 0,
      // The address of the sandbox is the installation's own; a company's never is.
      own: base !== undefined,
      signal: ctx.signal,
    });
  };

  /** Follows redirects on the host; null: it leads elsewhere, or round and round. `may` is asked for every address. */
  async function follow(start: string, accept: string, maxBytes: number, may: (url: string) => boolean) {
    let url = start;
    for (let hop = 0; hop <= REDIRECTS; hop++) {
      if (!may(url)) return null;
      await turn(url);
      const response = await ask(url, accept, maxBytes);
      const location = response.status >= 300 && response.status < 400 ? response.headers.get("location") : null;
      if (location === null) return { url, response };
      const next = sameSite(location, url, host);
      if (next === null) return null;
      url = next;
    }
    return null;
  }

  const scheme = await readRobots();
  const { rules } = scheme;
  const asked = rules.getCrawlDelay(agent);
  if (asked !== undefined && asked > LONGEST_DELAY) throw new SiteStopped("delay", `${scheme.origin}/robots.txt`);
  delay = Math.max(delay, asked ?? 0);

  /** RFC 9309: no file allows all, a file that cannot be read forbids all. Also finds out whether the site speaks https. */
  async function readRobots() {
    for (const origin of [`https://${host}`, `http://${host}`]) {
      const at = `${origin}/robots.txt`;
      try {
        const got = await follow(at, "text/plain,*/*;q=0.1", ROBOTS_BYTES, () => true);
        if (got === null || got.response.status >= 500) throw new SiteStopped("robots", at);
        if (got.response.status === 429) throw new SiteStopped("busy", at);
        const text = got.response.status === 200 ? got.response.text() : "";
        // A page in place of the file is no file.
        return { origin, rules: parseRobots(at, /^\s*</.test(text) ? "" : text) };
      } catch (error) {
        if (!(error instanceof HttpError)) throw error;
        if (origin.startsWith("https:") && !error.sent && error.kind !== "blocked" && error.kind !== "dns") continue;
        throw new SiteStopped(["too_large", "bad_answer"].includes(error.kind) ? "robots" : "unreachable", at);
      }
    }
    throw new SiteStopped("unreachable", host);
  }

  /** The rules of robots.txt hold for the host under all its names. */
  const allowed = (url: string): boolean => {
    const { pathname, search } = new URL(url);
    return rules.isAllowed(`${scheme.origin}${pathname}${search}`, agent) !== false;
  };

  return {
    host,
    pages: () => pages,
    may: allowed,
    sitemaps: () =>
      rules
        .getSitemaps()
        .flatMap((s) => sameSite(s, scheme.origin, host) ?? [])
        .slice(0, 2),
    async get(raw, accept = "page") {
      const url = sameSite(raw.replace(/^https:/, scheme.origin.startsWith("http:") ? "http:" : "https:"), raw, host);
      if (url === null) return null;
      if (pages >= limits.pages) throw new SiteStopped("pages", url);
      if (limits.goesOn && !(await limits.goesOn())) throw new SiteStopped("stopped", url);
      const types =
        accept === "page"
          ? "text/html,application/xhtml+xml"
          : "application/rss+xml,application/atom+xml,application/xml,text/xml";
      let got: Awaited<ReturnType<typeof follow>>;
      try {
        got = await follow(url, `${types};q=0.9,*/*;q=0.1`, PAGE_BYTES, allowed);
      } catch (error) {
        if (!(error instanceof HttpError)) throw error;
        pages += 1;
        ctx.log.info("a page of a website was not read", { host, kind: error.kind });
        // One page is too much, or broken; the others may do.
        if (["too_large", "bad_answer", "timeout", "reset"].includes(error.kind)) return null;
        throw new SiteStopped("unreachable", url);
      }
      if (got === null) return null;
      pages += 1;
      const { response } = got;
      const type = response.headers.get("content-type") ?? "";
      const isText = /^(?:text\/|application\/(?:xhtml|xml|rss|atom|rdf))|\+xml|^$/i.test(type);
      const text = isText ? decode(response.body, type) : "";
      const wall = wallIn(response.status, response.headers, text, () =>
        readPage(got.url, text)
          .blocks.map((b) => b.text)
          .join(" "),
      );
      if (wall) throw new SiteStopped("captcha", got.url);
      if (response.status === 429 || response.status === 503) {
        const wait = retryAfterSeconds(response.headers) ?? 60;
        await ctx.tx((tx) => tx.db`select kernel.block_bucket(${bucket}, ${Math.min(wait, 3600)})`);
        throw new SiteStopped("busy", got.url);
      }
      if (response.status !== 200 || text === "") return null;
      return { url: got.url, status: response.status, headers: response.headers, text };
    },
  };
}

/** By the charset of the header, or of the page's first kilobyte; UTF-8 otherwise. */
function decode(body: Uint8Array, type: string): string {
  const said =
    /charset=["']?([\w.:-]+)/i.exec(type)?.[1] ??
    /(?:charset|encoding)=["']?\s*([\w.:-]+)/i.exec(new TextDecoder("latin1").decode(body.subarray(0, 1024)))?.[1];
  try {
    return new TextDecoder(said ?? "utf-8").decode(body);
  } catch {
    return new TextDecoder().decode(body);
  }
}
