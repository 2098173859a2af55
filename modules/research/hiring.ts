import { type Draft, normal } from "./finding.ts";
import { type Page, speaksToMachines } from "./page.ts";

/** Open positions of a careers page: links to one position each. They are counted and named; none is opened. */

/** Where companies keep their positions when not on their own site. */
const BOARDS =
  /(?:^|\.)(?:greenhouse\.io|lever\.co|personio\.(?:de|com)|workable\.com|ashbyhq\.com|smartrecruiters\.com|recruitee\.com|teamtailor\.com|bamboohr\.com|join\.com|softgarden\.io|myworkdayjobs\.com)$/i;
const POSITION =
  /\/(?:jobs?|careers?|karriere|stellen\w*|positions?|vacanc\w+|vacatures?|emplois?|carrieres?|offres?|empleos?|lavora\w*|praca)\/[^/]*[\p{L}\d][^/]*(?:\/|$)/iu;
/** A job's title, not a button. */
const NO_TITLE =
  /^(?:apply|apply now|details|more|read more|learn more|all jobs|view all|bewerben|jetzt bewerben|mehr|alle|postuler|voir|en savoir plus|ver más|candidati|scopri di più|solliciteer|lees meer|\d+)$/i;

export function hiringOn(page: Page, name: string): Draft[] {
  const titles = new Map<string, string>();
  for (const { url: raw, text } of page.links) {
    if (text.length < 4 || text.length > 120 || NO_TITLE.test(text) || speaksToMachines(text)) continue;
    let url: URL;
    try {
      url = new URL(raw, page.url);
    } catch {
      continue;
    }
    if (url.href === page.url) continue;
    if (BOARDS.test(url.hostname) ? url.pathname.length > 3 : POSITION.test(url.pathname))
      titles.set(normal(text), text);
    if (titles.size >= 200) break;
  }
  if (titles.size === 0) return [];
  const all = [...titles.values()];
  const base = { kind: "hiring" as const, url: page.url, provider: "website" };
  return [
    {
      ...base,
      statement: `${name} lists ${all.length} open position${all.length === 1 ? "" : "s"}.`,
      quote: all.slice(0, 5).join(" · ").slice(0, 500),
      confidence: 80,
      data: { field: "open_positions", count: all.length },
      same: `open_positions|${all.length}`,
    },
    ...all.slice(0, 10).map((title) => ({
      ...base,
      statement: `${name} is hiring: ${title}`,
      quote: title,
      confidence: 80,
      data: { title },
      same: `job|${normal(title)}`,
    })),
  ];
}
