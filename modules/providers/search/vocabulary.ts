import { defineProvider, type LookupOutcome, type SearchHit } from "../../kernel/provider.ts";
import { oneLine } from "../../kernel/text.ts";
import { isoDate } from "../answers.ts";

/** What providers of category `search` answer, in one form: titles and words without markup, URLs that can be opened. */

export type SearchAnswer = LookupOutcome<readonly SearchHit[]>;

/** `defineSearchProvider({…})`: a provider of category `search`. */
export const defineSearchProvider = defineProvider<never, never, never>();

type Raw = { title?: string | null; url?: string | null; words?: string | null; at?: string | null };

/** Hits with a title and a web address; others are dropped. Marks around the words of the query are taken out. */
export const hitsOf = (rows: readonly Raw[], limit: number): SearchHit[] =>
  rows
    .flatMap(({ title, url, words, at }): SearchHit[] => {
      const named = bare(title ?? "", 300);
      if (!named || !url || url.length > 2000 || !/^https?:\/\//i.test(url) || !URL.canParse(url)) return [];
      return [{ title: named, url, snippet: bare(words ?? "", 1000), published_at: at ? isoDate(at) : null }];
    })
    .slice(0, limit);

const ENTITIES: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'", "#x27": "'", nbsp: " " };

const bare = (text: string, max: number): string =>
  oneLine(
    text
      .slice(0, max * 4)
      .replace(/<\/?(?:strong|b|em|mark)>/gi, "")
      .replace(/&(amp|lt|gt|quot|#39|#x27|nbsp);/g, (_, name: string) => ENTITIES[name]!),
    max,
  );
