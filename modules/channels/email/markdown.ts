import { convert } from "html-to-text";
import { Lexer, Marked, Parser } from "marked";
import type { Fault } from "../../kernel/channel.ts";
import { MARKS, OPEN } from "../placeholders.ts";

/** The author's Markdown as HTML and as plain text. HTML within it is text. Variables are marks until the end (placeholders.ts). */

export const LINK_MAX = 2000;

export const escapeHtml = (text: string) =>
  text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");

/** What may be parsed: see blocksOf and parse. Work is counted in characters that the parser looks at. */
const MAX_EMPHASIS_WORK = 2_000_000;
const MAX_OTHER_WORK = 8_000_000;
const MAX_DEPTH = 8;
const MAX_LINES = 2000;
const MAX_CELLS = 10_000;

/**
 * The parser calls itself for each level of quotes and lists, some of them twice, and fills each row of a table up to the width of its
 * head. What no letter has is refused before it is parsed, in time linear in its length.
 */
function blockFault(lines: readonly string[]): [id: string, detail: string] | null {
  if (lines.length > MAX_LINES)
    return ["lines_many", `The body has ${lines.length} lines; at most ${MAX_LINES} can be sent.`];
  if (lines.some((line) => depthOf(line) > MAX_DEPTH))
    return ["markup_deep", `Quotes or lists are nested more than ${MAX_DEPTH} levels deep; use fewer levels.`];
  let cells = 0;
  let rows = 0;
  let width = 0;
  for (const line of [...lines, ""]) {
    if (line.trim() !== "") {
      rows++;
      width = Math.max(width, count(line, /\|/g));
      continue;
    }
    cells += rows * width;
    rows = width = 0;
  }
  if (cells > MAX_CELLS)
    return ["table_large", `The tables have more than ${MAX_CELLS} cells; use fewer rows or columns.`];
  return null;
}

/**
 * The parser looks from each `*` and `_` through the rest of its paragraph, copies the rest at each other sign, shortens a link that
 * ends in punctuation character by character, and looks from each of several blanks for the line end behind them. Counted over the paragraphs as the parser itself has cut them.
 */
function inlineFault(paragraphs: readonly string[]): [id: string, detail: string] | null {
  let emphasis = 0;
  let others = 0;
  for (const text of paragraphs) {
    emphasis += text.length * count(text, /[*_~]/g);
    others += text.length * count(text, /[[\]<|`!\\]|:\/\/|www\.|@/g);
    for (const word of text.split(/\s/)) if (/:\/\/|www\.|@/.test(word)) others += word.length ** 2 / 4;
    for (const run of text.match(/ {2,}/g) ?? []) others += run.length ** 2;
  }
  if (emphasis <= MAX_EMPHASIS_WORK && others <= MAX_OTHER_WORK) return null;
  return [
    "markup_dense",
    "A paragraph has too many links, blanks in a row or formatting characters (* _ ~ [ ] < | ` ! \\) for its length; split it with empty lines, or remove some of them.",
  ];
}

const count = (text: string, pattern: RegExp): number => text.match(pattern)?.length ?? 0;

/** How many quote and list markers a line begins with, and how far it is indented (two columns a level). */
function depthOf(line: string): number {
  const markers = /^(?:[ \t]*(?:>|[-*+](?=[ \t]|$)|\d{1,9}[.)](?=[ \t]|$)))*/.exec(line)![0];
  const levels = count(markers, />|[-*+]|\d+[.)]/g);
  if (levels === 0) return 0;
  const indent = /^[ \t]*/.exec(line)![0];
  return levels + Math.floor(indent.replaceAll("\t", "    ").length / 2);
}

/** The beginning of what was not parsed, for a preview: it is never sent. */
const refused = (source: string): string =>
  `<p>${escapeHtml(source.slice(0, 2000).replace(/[\ue000-\ue004]\d*$/, ""))}</p>`;

/** HTML of a marked text. What it cannot mean is a fault and stands as plain text. */
export function toHtml(source: string, faults: Fault[]): string {
  const text = source.replace(/\r\n?/g, "\n");
  const refuse = ([id, detail]: [string, string]) => {
    faults.push({ field: "body", level: "error", id, detail });
    return refused(text);
  };
  const blocks = blockFault(text.split("\n"));
  if (blocks) return refuse(blocks);
  const { defaults } = parserFor(faults);
  const lexer = new Lexer(defaults);
  lexer.blockTokens(text, lexer.tokens);
  const inline = inlineFault(lexer.inlineQueue.map((paragraph) => paragraph.src));
  if (inline) return refuse(inline);
  for (const paragraph of lexer.inlineQueue) lexer.inlineTokens(paragraph.src, paragraph.tokens);
  return Parser.parse(lexer.tokens, defaults).trim();
}

const parserFor = (faults: Fault[]): Marked =>
  new Marked({
    async: false,
    gfm: true,
    // A line break in a letter is a line break.
    breaks: true,
    tokenizer: {
      // Indented lines, a `--` under a name and an angle bracket are letters, not code, headings and HTML.
      code: () => undefined,
      html: () => undefined,
      lheading: () => undefined,
    },
    renderer: {
      html: ({ text }) => escapeHtml(text),
      link({ href, tokens }) {
        const label = this.parser.parseInline(tokens);
        const target = linkTarget(href, "link", faults);
        return target === null ? label : `<a href="${target}">${label}</a>`;
      },
      image({ href, text }) {
        const target = linkTarget(href, "image", faults);
        return target === null
          ? escapeHtml(text)
          : `<img src="${target}" alt="${escapeHtml(text)}" style="max-width:100%">`;
      },
    },
  });

/** An escaped href, or null for one that must not be a link. Values inside become URL components; one at the start is the address. */
function linkTarget(href: string, what: "link" | "image", faults: Fault[]): string | null {
  const marked = href.replace(/%EE%80%8([0-4])/gi, (_, n: string) => String.fromCharCode(0xe000 + Number(n)));
  const decoded = withoutReferences(marked);
  const leading = decoded.startsWith(OPEN.plain);
  const allowed = what === "image" ? /^https:\/\//i : /^(https?:\/\/|mailto:|tel:)/i;
  if (!leading && !allowed.test(decoded)) {
    const shown = decoded.replace(/\ue000\d+\ue001/g, "…").slice(0, 80);
    const should = what === "image" ? "https://" : "https://, http://, mailto: or tel:";
    faults.push({
      field: "body",
      level: "error",
      id: `${what}_target`,
      detail: `The ${what} to "${shown}" must start with ${should}.`,
    });
    return null;
  }
  if (decoded.length > LINK_MAX) {
    faults.push({
      field: "body",
      level: "error",
      id: "link_long",
      detail: `A link is longer than ${LINK_MAX} characters.`,
    });
    return null;
  }
  const placed = decoded.replaceAll(OPEN.plain, OPEN.component);
  return escapeHtml(encodeStatic(leading ? OPEN.url + placed.slice(1) : placed));
}

const NAMED: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

/** Character references of an address that was copied out of HTML, decoded once, as CommonMark has it: `?a&amp;b`, `&#38;`, `&#x26;`. */
const withoutReferences = (href: string): string =>
  href.replace(/&(?:(amp|lt|gt|quot|apos)|#(\d{1,7})|#x([\da-f]{1,6}));/gi, (whole, name, decimal, hex) => {
    if (name) return NAMED[name.toLowerCase()]!;
    const code = decimal ? Number(decimal) : parseInt(hex, 16);
    // Not our marks, and nothing that is no character.
    const isText =
      code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff) && !(code >= 0xe000 && code <= 0xf8ff);
    return isText ? String.fromCodePoint(code) : whole;
  });

/** Percent-encodes what a URL cannot hold, without touching our marks or what is encoded already. */
const encodeStatic = (url: string): string =>
  url
    .split(/([\ue002\ue003]\d+\ue001)/)
    .map((part, i) => (i % 2 === 1 ? part : encodeURI(part.toWellFormed()).replaceAll("%25", "%")))
    .join("");

/** The plain-text part, from the same source. A link shows its address unless that is its text. */
export function toText(html: string): string {
  return convert(html, {
    wordwrap: false,
    formatters: {
      letterLink(elem, walk, builder) {
        let label = "";
        builder.pushWordTransform((word) => ((label += word), word));
        walk(elem.children, builder);
        builder.popWordTransform();
        const href = (elem.attribs as { href: string }).href;
        const same = (a: string) =>
          a
            .replace(/^(mailto:|tel:|https?:\/\/)/, "")
            .replace(/\/$/, "")
            .replace(MARKS, "")
            .replace(/\s/g, "");
        if (same(label) !== same(href)) builder.addInline(` (${href})`, { noWordTransform: true });
      },
    },
    selectors: [
      { selector: "a", format: "letterLink" },
      { selector: "img", format: "skip" },
      ...["h1", "h2", "h3", "h4", "h5", "h6"].map((selector) => ({ selector, options: { uppercase: false } })),
    ],
  }).trim();
}
