import type { ManualCtx } from "../kernel/context.ts";
import { factsInHead, factsInStructured, factsInText } from "./facts.ts";
import { newsIn } from "./feed.ts";
import { type Draft, normal } from "./finding.ts";
import { hiringOn } from "./hiring.ts";
import { choose, sitemapLinks, type Target } from "./links.ts";
import { type Page, readPage, sentencesOf, speaksToMachines } from "./page.ts";
import {
  type Fetched,
  hostOf,
  openSite,
  sameSite,
  type Site,
  type SiteLimits,
  SiteStopped,
  type Stop,
} from "./site.ts";
import { technologiesOf } from "./technology.ts";

/** Reads one company's website: home page, its feed, and one page of each kind that the home page or the sitemap leads to. */

export type Subject = {
  company_id: string;
  name: string;
  domain: string;
  /** Feeds that the team named. */
  feeds: readonly string[];
  /** People of the company who are contacts: named pages are looked through for them. */
  people: readonly { id: string; name: string }[];
};

export type Crawled = {
  drafts: Draft[];
  pages: number;
  /** Why reading ended before the plan was done, and where. */
  stop: Stop | "refused" | null;
  url: string | null;
};

export async function crawl(ctx: ManualCtx, subject: Subject, limits: SiteLimits): Promise<Crawled> {
  const host = hostOf(subject.domain);
  if (host === null) return { drafts: [], pages: 0, stop: "refused", url: null };
  const drafts: Draft[] = [];
  let site: Site | null = null;
  let stop: Stop | null = null;
  let url: string | null = null;
  try {
    site = await openSite(ctx, host, limits);
    await readSite(site, subject, drafts, ctx);
  } catch (error) {
    if (!(error instanceof SiteStopped)) throw error;
    // A page less than there may be is a full answer, too.
    if (error.why !== "pages") {
      stop = error.why;
      url = error.url;
    }
  }
  for (const feed of subject.feeds) drafts.push(...(await readFeed(ctx, feed, subject, limits)));
  return { drafts, pages: site?.pages() ?? 0, stop, url };
}

/** A feed that the team named, of whatever host, under that host's own rules. News that do not name the company are not its news. */
async function readFeed(ctx: ManualCtx, feed: string, subject: Subject, limits: SiteLimits): Promise<Draft[]> {
  const host = hostOf(new URL(feed).hostname);
  if (host === null) return [];
  try {
    const site = await openSite(ctx, host, { ...limits, pages: 1 });
    const fetched = await site.get(feed, "feed");
    if (fetched === null) return [];
    const own = sameSite(feed, feed, subject.domain) !== null;
    const about = ` ${normal(subject.name)} `;
    return newsIn(fetched.text, fetched.url, new Date()).filter(
      (d) => own || ` ${normal(`${d.statement} ${d.quote}`)} `.includes(about),
    );
  } catch (error) {
    if (!(error instanceof SiteStopped)) throw error;
    ctx.log.info("a feed was not read", { host, why: error.why });
    return [];
  }
}

async function readSite(site: Site, subject: Subject, drafts: Draft[], ctx: ManualCtx): Promise<void> {
  const start = `https://${site.host}/`;
  const got = await site.get(start);
  // It is missing, no page of HTML, too large, or leads to another host; or it is not for us.
  if (got === null) throw new SiteStopped(site.may(start) ? "no_page" : "robots", start);
  const home = read(got, "home", subject, drafts);
  drafts.push(...technologiesOf(home, got.headers, subject.name));
  const known = new Set([start, got.url]);

  for (const feed of home.feeds.flatMap((f) => sameSite(f, got.url, site.host) ?? []).slice(0, 1)) {
    const fetched = await site.get(feed, "feed");
    if (fetched) drafts.push(...newsIn(fetched.text, fetched.url, new Date()));
  }

  let targets: Target[] = choose(home.links, got.url, site.host, known);
  if (targets.length < 2)
    for (const map of site.sitemaps().length > 0 ? site.sitemaps() : [new URL("/sitemap.xml", got.url).href]) {
      const fetched = await site.get(map, "feed");
      if (fetched === null) continue;
      targets = choose([...home.links, ...sitemapLinks(fetched.text)], got.url, site.host, known);
      break;
    }
  for (const { url, kind } of targets) {
    if (ctx.signal.aborted) throw new SiteStopped("time", url);
    if (known.has(url)) continue;
    known.add(url);
    const page = await site.get(url);
    // A redirect may lead to what was read.
    if (page === null || (page.url !== url && known.has(page.url))) continue;
    known.add(page.url);
    read(page, kind, subject, drafts);
  }
}

function read(got: Fetched, kind: string, subject: Subject, drafts: Draft[]): Page {
  const page = readPage(got.url, got.text);
  drafts.push(
    ...factsInStructured(page, subject.name),
    ...factsInHead(page, subject.name, kind),
    ...factsInText(page, subject.name, kind),
    ...(kind === "careers" ? hiringOn(page, subject.name) : []),
    ...mentionsOn(page, subject),
  );
  return page;
}

/** Sentences that name a contact of the company with first and last name. */
function mentionsOn(page: Page, subject: Subject): Draft[] {
  const people = subject.people.filter((p) => normal(p.name).includes(" "));
  if (people.length === 0) return [];
  const found: Draft[] = [];
  for (const { text } of page.blocks) {
    const line = ` ${normal(text)} `;
    for (const { id, name } of people) {
      if (found.length >= 50 || !line.includes(` ${normal(name)} `) || speaksToMachines(text)) continue;
      const sentence = sentencesOf(text, page.lang).find((s) => ` ${normal(s)} `.includes(` ${normal(name)} `)) ?? text;
      // The name alone says nothing.
      if (normal(sentence) === normal(name)) continue;
      found.push({
        kind: "mention",
        contact_id: id,
        statement: sentence,
        quote: sentence,
        url: page.url,
        confidence: 70,
        provider: "website",
      });
    }
  }
  return found;
}
