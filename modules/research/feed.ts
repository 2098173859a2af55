import { DomUtils } from "htmlparser2";
import type { Draft } from "./finding.ts";
import { parse, readable, readPage, sentencesOf, speaksToMachines } from "./page.ts";
import { signalIn, signalInTitle } from "./signals.ts";

/** News of an RSS, Atom or RDF feed. */

const MAX_ITEMS = 30;
/** Older news are history. */
const DAYS = 365;

export function newsIn(xml: string, url: string, now: Date): Draft[] {
  const feed = DomUtils.getFeed(parse(xml, true));
  return (feed?.items ?? []).slice(0, MAX_ITEMS).flatMap((item): Draft[] => {
    const title = readable((item.title ?? "").slice(0, 1000)).slice(0, 400);
    if (title.length < 8 || speaksToMachines(title)) return [];
    const at = item.pubDate && !Number.isNaN(item.pubDate.getTime()) ? item.pubDate : null;
    if (at && now.getTime() - at.getTime() > DAYS * 86_400_000) return [];
    const lines = readPage(url, (item.description ?? "").slice(0, 20_000))
      .blocks.map((b) => b.text)
      .filter((text) => !speaksToMachines(text));
    const sentences = lines.flatMap((l) => sentencesOf(l, null));
    const telling = sentences.find((s) => signalIn(s) !== null);
    const signal = signalInTitle(title) ?? (telling ? signalIn(telling) : null);
    return [
      {
        kind: signal?.kind ?? "news",
        statement: title,
        quote: telling ?? sentences[0]?.slice(0, 500) ?? title,
        url: addressOf(item.link, url),
        confidence: 80,
        provider: "feed",
        // No later than now: a date in the future is a mistake, or a trick to stay young.
        published_at: at && at <= now ? at.toISOString() : null,
        ...(signal ? { data: signal.data } : {}),
      },
    ];
  });
}

/** The item's own address, which is written down and never opened; else the feed's. */
function addressOf(link: string | undefined, feed: string): string {
  try {
    const url = new URL(link ?? "", feed);
    return ["http:", "https:"].includes(url.protocol) && url.href.length <= 2000 ? url.href : feed;
  } catch {
    return feed;
  }
}
