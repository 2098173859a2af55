import { DomHandler, DomUtils, Parser } from "htmlparser2";
import { clean } from "../kernel/text.ts";

/**
 * What a person would read of a page, and its links, from its HTML alone: nothing is run, nothing more is loaded. Readability is made for
 * articles and drops lists of jobs and cards of products, so the blocks are taken as they stand, without what is hidden or navigation.
 */

export type Block = { text: string; heading: boolean };
export type Link = { url: string; text: string };
export type Page = {
  url: string;
  title: string;
  /** ISO 639-1, by the page's own word. */
  lang: string | null;
  description: string;
  generator: string;
  blocks: Block[];
  links: Link[];
  feeds: string[];
  scripts: string[];
  /** Texts of application/ld+json. */
  structured: string[];
  /** When the page says that it was published. */
  published: string | null;
};

export type Node = DomHandler["root"]["children"][number];
type Element = Extract<Node, { attribs: Record<string, string> }>;

const isElement = (node: Node): node is Element => "attribs" in node;

/** Bounds on what a hostile page can cost. */
const MAX_DEPTH = 200;
const MAX_TAGS = 50_000;
/** Characters between two looks at the bounds. */
const PIECE = 1000;
const MAX_BLOCKS = 3000;
const MAX_BLOCK = 4000;
const MAX_TEXT = 300_000;
const MAX_LINKS = 2000;
const MAX_STRUCTURED = 200_000;

/** Not text of the page, though some hold text. */
const DROPPED = new Set(
  "script style noscript template svg math iframe object embed canvas audio video form select textarea button head nav footer dialog".split(
    " ",
  ),
);
const INLINE = new Set(
  "a abbr b bdi bdo cite code data dfn em font i kbd mark q s samp small span strong sub sup time u var wbr".split(" "),
);
const HEADINGS = new Set(["h1", "h2", "h3", "h4"]);

const HIDDEN_STYLE =
  /(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|opacity\s*:\s*0(?:\.0+)?\s*(?:;|!|$)|font-size\s*:\s*0(?:px|em|rem|pt|%)?\s*(?:;|!|$)|(?:left|top|text-indent)\s*:\s*-\d{3,}|clip\s*:\s*rect\(0|clip-path\s*:\s*inset\((?:50|100)%|(?:max-)?(?:height|width)\s*:\s*0(?:px)?\s*(?:;|!|$))/i;
const HIDDEN_CLASS = /(?:^|\s)(?:sr-only|visually-?hidden|screen-reader(?:-text)?|d-none|is-hidden|hidden)(?:\s|$)/i;

function hides({ attribs }: Element, styled: ReadonlySet<string>): boolean {
  if ("hidden" in attribs || attribs["aria-hidden"] === "true" || attribs.type === "hidden") return true;
  if (HIDDEN_STYLE.test((attribs.style ?? "").slice(0, 2000))) return true;
  const classes = (attribs.class ?? "").slice(0, 2000);
  if (HIDDEN_CLASS.test(classes)) return true;
  if (styled.size === 0) return false;
  return classes.split(/\s+/).some((c) => styled.has(`.${c}`)) || styled.has(`#${attribs.id ?? ""}`);
}

/** Classes and ids that a style element of the page itself hides. Rules of other files are not loaded. */
function hiddenByStyles(styles: readonly string[]): Set<string> {
  const hidden = new Set<string>();
  for (const sheet of styles) {
    for (const rule of sheet.slice(0, 50_000).split("}")) {
      const [selectors, body] = rule.split("{");
      if (!body || selectors!.length > 500 || !HIDDEN_STYLE.test(body.slice(0, 1000))) continue;
      for (const one of selectors!.split(",")) {
        const name = one.trim();
        if (/^[.#][\w-]+$/.test(name)) hidden.add(name);
      }
    }
  }
  return hidden;
}

/** Text as it is read: one line, blanks single, nothing invisible. */
export const readable = (text: string): string => clean(text.replace(/\s+/g, " ")).replace(/ {2,}/g, " ");

class Measured extends DomHandler {
  depth = 0;
  tags = 0;
  override onopentag(name: string, attribs: Record<string, string>): void {
    this.depth++;
    this.tags++;
    super.onopentag(name, attribs);
  }
  override onclosetag(): void {
    this.depth--;
    super.onclosetag();
  }
}

/** The tree, as far as it stays within bounds: the parser searches all open elements for each tag, so deep ones would take minutes. */
export function parse(source: string, xmlMode = false): Node[] {
  const handler = new Measured();
  const parser = new Parser(handler, { xmlMode });
  for (let at = 0; at < source.length; at += PIECE) {
    parser.write(source.slice(at, at + PIECE));
    if (handler.depth > MAX_DEPTH || handler.tags > MAX_TAGS) break;
  }
  parser.end();
  return handler.root.children;
}

/** Never throws: whatever it is, it is a page with little to read. */
export function readPage(url: string, html: string): Page {
  const nodes = parse(html);
  const page: Page = {
    url,
    title: "",
    lang: null,
    description: "",
    generator: "",
    blocks: [],
    links: [],
    feeds: [],
    scripts: [],
    structured: [],
    published: null,
  };
  const styles: string[] = [];
  collect(nodes, page, styles, 0);
  const styled = hiddenByStyles(styles);
  let line = "";
  let size = 0;
  const flush = (heading: boolean) => {
    const text = readable(line.slice(0, MAX_BLOCK * 2)).slice(0, MAX_BLOCK);
    line = "";
    if (text.length < 2 || page.blocks.length >= MAX_BLOCKS || size >= MAX_TEXT) return;
    size += text.length;
    page.blocks.push({ text, heading });
  };
  const walk = (nodes: readonly Node[], depth: number, heading: boolean): void => {
    if (depth > MAX_DEPTH || size >= MAX_TEXT) return;
    for (const node of nodes) {
      if (node.type === "text") {
        if (line.length < MAX_BLOCK * 2) line += (node as unknown as { data: string }).data;
      } else if (isElement(node)) {
        const { name } = node;
        if (DROPPED.has(name) || hides(node, styled)) continue;
        if (name === "br") {
          line += " ";
          continue;
        }
        if (INLINE.has(name)) {
          walk(node.children as Node[], depth + 1, heading);
          continue;
        }
        flush(heading);
        const isHeading = HEADINGS.has(name);
        walk(node.children as Node[], depth + 1, isHeading);
        flush(isHeading);
      }
    }
  };
  walk(nodes, 0, false);
  flush(false);
  return page;
}

/** Everything that is no text: head, links, scripts' addresses. */
function collect(nodes: readonly Node[], page: Page, styles: string[], depth: number): void {
  if (depth > MAX_DEPTH) return;
  for (const node of nodes) {
    if (!isElement(node)) continue;
    const { name, attribs } = node;
    if (name === "html") page.lang ??= /^[a-z]{2}/i.exec(attribs.lang ?? "")?.[0].toLowerCase() ?? null;
    else if (name === "title" && page.title === "") page.title = readable(textIn(node).slice(0, 500));
    else if (name === "style") styles.push(textIn(node));
    else if (name === "meta") readMeta(attribs, page);
    else if (name === "a" && attribs.href && page.links.length < MAX_LINKS) {
      const text = readable(textIn(node).slice(0, 400)).slice(0, 200);
      page.links.push({ url: attribs.href.slice(0, 2000), text });
    } else if (name === "link" && /\balternate\b/i.test(attribs.rel ?? "") && page.feeds.length < 5) {
      if (/(?:rss|atom)\+xml/i.test(attribs.type ?? "") && attribs.href) page.feeds.push(attribs.href.slice(0, 2000));
    } else if (name === "script") {
      const type = (attribs.type ?? "").toLowerCase();
      if (attribs.src && page.scripts.length < 200) page.scripts.push(attribs.src.slice(0, 500));
      if (type.startsWith("application/ld+json") && page.structured.length < 20) {
        const text = textIn(node);
        if (text.length <= MAX_STRUCTURED) page.structured.push(text);
      }
    } else if (name === "time" && attribs.datetime && page.published === null) page.published = attribs.datetime;
    if ("children" in node) collect(node.children as Node[], page, styles, depth + 1);
  }
}

const textIn = (node: Element): string => {
  try {
    return DomUtils.textContent(node);
  } catch {
    // Nested too deep to be read.
    return "";
  }
};

function readMeta(attribs: Record<string, string>, page: Page): void {
  const name = (attribs.name ?? attribs.property ?? "").toLowerCase();
  const content = readable((attribs.content ?? "").slice(0, 2000)).slice(0, 1000);
  if (!content) return;
  if (name === "description" || (name === "og:description" && page.description === "")) page.description = content;
  else if (name === "generator") page.generator = content.slice(0, 100);
  else if (name === "article:published_time") page.published = content;
}

/** Sentences of a text, by the rules of its language. */
export function sentencesOf(text: string, lang: string | null): string[] {
  let segmenter: Intl.Segmenter;
  try {
    segmenter = new Intl.Segmenter(lang ?? "en", { granularity: "sentence" });
  } catch {
    segmenter = new Intl.Segmenter("en", { granularity: "sentence" });
  }
  return [...segmenter.segment(text)].map((s) => s.segment.trim()).filter((s) => s.length > 0);
}

/**
 * Text that speaks to a program instead of a reader. It could not do anything, for pages are only quoted; it is dropped all the same, so
 * that it comes before no writer.
 */
const TO_MACHINES =
  /\b(?:ignore|disregard|forget)\b.{0,40}\b(?:previous|prior|above|earlier|all)\b.{0,40}\b(?:instruction|prompt|rule|message)|\bsystem prompt\b|\byou are (?:now )?(?:an? )?(?:ai|llm|chatgpt|claude|language model|assistant|agent)\b|\bas an ai\b|\b(?:assistant|ai agents?|llms?)\b.{0,20}\b(?:must|should|please)\b|<\|im_start\|>|\[INST\]|ignorier(?:e|en sie)\b.{0,40}\banweisungen|ignore[zr]?\b.{0,40}\binstructions|ignora\b.{0,40}\b(?:instrucciones|istruzioni)|negeer\b.{0,40}\binstructies/i;

export const speaksToMachines = (text: string): boolean => TO_MACHINES.test(text.slice(0, 4000));
