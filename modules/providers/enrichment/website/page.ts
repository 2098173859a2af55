import { Parser } from "htmlparser2";
import type { HttpResponse } from "../../../kernel/http/client.ts";

/**
 * What a company's page says of the company where machines are meant to read it: JSON-LD, meta tags, links. All of it is a stranger's
 * text: it is cut, cleaned and handed on as values, and nothing in it is followed or run.
 */

export type Page = {
  /** By the name or property, in lower case; the first of each. */
  metas: ReadonlyMap<string, string>;
  generators: readonly string[];
  /** Addresses of scripts. */
  scripts: readonly string[];
  /** Addresses of links. */
  links: readonly string[];
  /** The texts of the JSON-LD scripts. */
  data: readonly string[];
};

/** An ordinary page has some thousand tags, fifty levels deep. Beyond these the rest of a page is not read. */
const MAX_TAGS = 50_000;
const MAX_DEPTH = 250;
const MAX_ITEMS = 2_000;
const MAX_DATA = 200_000;
const MAX_URL = 2_000;

/** The text of an answer in the charset that it names: in its header, else in a meta tag at its beginning, else UTF-8. */
export function textOf({ headers, body }: Pick<HttpResponse, "headers" | "body">): string {
  const named = /charset=["']?([\w-]{1,40})/i;
  const head = new TextDecoder("latin1").decode(body.subarray(0, 2048));
  const label = named.exec(headers.get("content-type") ?? "")?.[1] ?? named.exec(head)?.[1] ?? "utf-8";
  try {
    return new TextDecoder(label).decode(body);
  } catch {
    return new TextDecoder().decode(body);
  }
}

export function readPage(html: string): Page {
  const metas = new Map<string, string>();
  const page = {
    metas,
    generators: [] as string[],
    scripts: [] as string[],
    links: [] as string[],
    data: [] as string[],
  };
  const keep = (list: string[], text: string | undefined) => {
    if (text && text.length <= MAX_URL && list.length < MAX_ITEMS) list.push(text.trim());
  };
  const seen = { tags: 0, depth: 0, deepest: 0 };
  let json: string | null = null;
  const parser = new Parser({
    onopentag(name, attributes) {
      seen.tags++;
      seen.deepest = Math.max(seen.deepest, ++seen.depth);
      if (name === "meta") {
        const key = (attributes.property ?? attributes.name ?? "").toLowerCase();
        if (key === "generator") keep(page.generators, attributes.content);
        else if (key && attributes.content && !metas.has(key) && metas.size < MAX_ITEMS)
          metas.set(key, attributes.content);
      } else if (name === "a") keep(page.links, attributes.href);
      else if (name === "script") {
        keep(page.scripts, attributes.src);
        if (/^\s*application\/ld\+json/i.test(attributes.type ?? "")) json = "";
      }
    },
    ontext(text) {
      if (json !== null && json.length <= MAX_DATA) json += text;
    },
    onclosetag() {
      seen.depth--;
      if (json === null) return;
      if (json.length <= MAX_DATA && page.data.length < 50) page.data.push(json);
      json = null;
    },
  });
  // In pieces, so that no more is read once it is too much: the parser's work grows with the square of the depth.
  for (let at = 0; at < html.length && seen.tags <= MAX_TAGS && seen.deepest <= MAX_DEPTH; at += 4096)
    parser.write(html.slice(at, at + 4096));
  return page;
}

/** One line without control characters and markup, at most so long; undefined when nothing is left. */
export function plain(text: unknown, longest: number): string | undefined {
  if (typeof text !== "string") return undefined;
  const line = text
    .slice(0, longest * 4)
    .replace(/<[^<>]{0,200}>/g, " ")
    .replace(/[\p{Cc}\p{Cf}\p{Cs}\s]+/gu, " ")
    .trim();
  return [...line].slice(0, longest).join("").trim() || undefined;
}

type Node = Record<string, unknown>;
const isNode = (value: unknown): value is Node => typeof value === "object" && value !== null && !Array.isArray(value);
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : value === undefined ? [] : [value]);

/** schema.org's types of companies end so, but for these. */
const COMPANY = /(Organization|Business|Corporation|Company|Store|Agency|Airline|NGO)$/;

/** The first company of the JSON-LD: at the top, in a graph, or as what publishes the site. */
export function organizationOf(data: readonly string[]): Node | null {
  const waiting: unknown[] = [];
  for (const text of data) {
    try {
      waiting.push(JSON.parse(text));
    } catch {
      // Many pages have JSON-LD that is none; what else they say still counts.
    }
  }
  for (let read = 0; waiting.length > 0 && read < MAX_ITEMS; read++) {
    const node = waiting.shift();
    if (Array.isArray(node)) waiting.push(...node.slice(0, MAX_ITEMS));
    if (!isNode(node)) continue;
    if (list(node["@type"]).some((type) => typeof type === "string" && COMPANY.test(type))) return node;
    for (const key of ["@graph", "publisher", "mainEntity"]) waiting.push(...list(node[key]).slice(0, MAX_ITEMS));
  }
  return null;
}

/** The postal address in words; the country as a code or a name, as it stands there. */
export function addressOf(organization: Node | null): { country: string | undefined; city: string | undefined } {
  const address = list(organization?.address).find(isNode);
  const country = address?.addressCountry;
  return {
    country: plain(isNode(country) ? country.name : country, 60),
    city: plain(address?.addressLocality, 100),
  };
}

/** The page on LinkedIn: the one that the company's own data name, else the only one that the page links to. */
export function linkedInOf(organization: Node | null, links: readonly string[]): string | undefined {
  const pages = (urls: readonly unknown[]) => [
    ...new Set(
      urls.flatMap((url) => {
        const slug =
          typeof url === "string"
            ? /^(?:https?:)?\/\/(?:[a-z]{2,3}\.)?linkedin\.com\/company\/([^/?#]+)/i.exec(url)?.[1]
            : null;
        return slug ? [`https://www.linkedin.com/company/${slug.toLowerCase()}`] : [];
      }),
    ),
  ];
  const [own] = pages(list(organization?.sameAs).slice(0, 100));
  const linked = pages(links);
  return own ?? (linked.length === 1 ? linked[0] : undefined);
}

/** The first number to call that the page links to, else the one in the company's data. */
export function phoneOf(organization: Node | null, links: readonly string[]): string | undefined {
  for (const link of links) {
    if (!/^tel:/i.test(link)) continue;
    let number = link.slice(4).split(/[;?]/)[0]!;
    try {
      number = decodeURIComponent(number);
    } catch {
      // A stray percent sign: the number as it stands.
    }
    if (/^[+\d][\d\s().\-/]{4,30}$/.test(number.trim())) return number.trim();
  }
  return plain(organization?.telephone, 40);
}
