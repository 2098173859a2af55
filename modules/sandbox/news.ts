import { companyAt } from "./directory.ts";

/** What the emulated search engines know: articles about invented companies, by the name in the query. Names nobody knows have none. */

export type Article = { title: string; url: string; words: string; at: string };

/** `at` is told as days before `now`, so that answers stay young. */
export function articlesAbout(query: string, now = Date.now()): Article[] {
  const name = /"([^"]+)"/.exec(query)?.[1] ?? query.split(/\s+/)[0] ?? "";
  const slug = name.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  if (!slug || !companyAt(`${slug}.com`)) return [];
  const day = (before: number) => new Date(now - before * 86_400_000).toISOString();
  return [
    {
      title: `${name} raises €12 million to expand in Europe`,
      url: `https://news.example/${slug}/funding`,
      words: `${name} has raised €12 million in a Series A round led by Northern Ventures.`,
      at: day(10),
    },
    {
      title: `${name} opens a second warehouse`,
      url: `https://news.example/${slug}/warehouse`,
      words: `The company ${name} opened its second warehouse on Monday.`,
      at: day(40),
    },
    {
      title: `${name} | LinkedIn`,
      url: `https://www.linkedin.com/company/${slug}`,
      words: `${name} has 10,000 followers.`,
      at: day(1),
    },
  ];
}
