import type { Link } from "./page.ts";
import { sameSite } from "./site.ts";

/** Which few pages of a site are worth reading, by the words of their links and paths in several languages. */

export const PAGE_KINDS = ["about", "news", "careers", "products", "team"] as const;
export type PageKind = (typeof PAGE_KINDS)[number];

const WORDS: Record<PageKind, RegExp> = {
  about:
    /(?<![\p{L}\d])(?:about(?:[- ]us)?|company|who we are|our story|über[- ]uns|ueber[- ]uns|unternehmen|à[- ]propos|a propos|qui sommes nous|entreprise|sobre(?:[- ](?:nosotros|nós|nos))?|quienes[- ]somos|quiénes somos|empresa|chi[- ]siamo|azienda|over[- ]ons|bedrijf|o[- ]nas|o firmie|om[- ]oss|om[- ]os)(?![\p{L}\d])/iu,
  news: /(?<![\p{L}\d])(?:news(?:room)?|press(?:e|a)?|media|blog|aktuelles|neuigkeiten|nachrichten|actualit(?:é|e)s|noticias|prensa|notizie|stampa|nieuws|pers|aktualności|aktualnosci|nyheter|nyheder|notícias|imprensa)(?![\p{L}\d])/iu,
  careers:
    /(?<![\p{L}\d])(?:careers?|jobs?|vacanc(?:y|ies)|join us|work with us|hiring|open positions|karriere|stellen(?:angebote)?|offene stellen|carri(?:è|e)res?|emplois?|recrutement|recrute|empleo|trabaja con nosotros|carreras|lavora con noi|carriere|posizioni aperte|werken[- ]bij|vacatures|kariera|praca|jobb|karriär|carreiras|vagas)(?![\p{L}\d])/iu,
  products:
    /(?<![\p{L}\d])(?:products?|solutions?|services|platform|produkte|lösungen|loesungen|leistungen|produits?|productos?|soluciones|servicios|prodotti|soluzioni|servizi|producten|oplossingen|diensten|produkty|usługi|produkter|produtos|soluções)(?![\p{L}\d])/iu,
  team: /(?<![\p{L}\d])(?:team|leadership|management|people|führung|vorstand|geschäftsführung|équipe|equipe|direction|equipo|dirección|squadra|zespół|ledning)(?![\p{L}\d])/iu,
};

/** Endless or useless: calendars, searches, carts, logins, files. */
const USELESS =
  /\/(?:calendar|kalender|calendrier|calendario|events?\/\d|tag|tags|category|login|signin|register|cart|checkout|search|wp-json|wp-admin|feed|cdn-cgi)(?:\/|$)|\.(?:pdf|zip|jpe?g|png|gif|svg|webp|mp4|docx?|xlsx?|pptx?|ics|exe|dmg|css|js|json|xml)$/i;

export type Target = { url: string; kind: PageKind };

/** The kind of page behind an address and its link's words; null: none of ours. */
export function kindOf(url: string, text = ""): PageKind | null {
  const { pathname, search } = new URL(url);
  if (search.length > 40 || pathname.split("/").length > 6 || USELESS.test(pathname)) return null;
  let path: string;
  try {
    path = decodeURIComponent(pathname);
  } catch {
    path = pathname;
  }
  const words = path.slice(0, 200).replaceAll("/", " / ").replace(/[_.-]/g, " ");
  const short = text.length <= 40 ? text.replaceAll("-", " ") : "";
  return (
    PAGE_KINDS.find((k) => WORDS[k].test(words)) ?? PAGE_KINDS.find((k) => short !== "" && WORDS[k].test(short)) ?? null
  );
}

/** The next pages to read: of every kind the one with the shortest path, kinds in order. `known` addresses are left out. */
export function choose(links: readonly Link[], base: string, host: string, known: ReadonlySet<string>): Target[] {
  const best = new Map<PageKind, string>();
  for (const { url: raw, text } of links) {
    const url = sameSite(raw, base, host);
    if (url === null || known.has(url)) continue;
    const kind = kindOf(url, text);
    if (kind === null) continue;
    const so = best.get(kind);
    if (so === undefined || new URL(url).pathname.length < new URL(so).pathname.length) best.set(kind, url);
  }
  return PAGE_KINDS.flatMap((kind) => (best.has(kind) ? [{ kind, url: best.get(kind)! }] : []));
}

/** Addresses of a sitemap, of which the first thousand count. A sitemap of sitemaps has none of its own. */
export const sitemapLinks = (xml: string): Link[] =>
  [...xml.slice(0, 1_000_000).matchAll(/<loc>\s*([^<\s]{8,1000})\s*<\/loc>/gi)]
    .slice(0, 1000)
    .map((m) => ({ url: m[1]!.replaceAll("&amp;", "&"), text: "" }));
