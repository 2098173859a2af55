import { convert } from "html-to-text";
import { Marked } from "marked";
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

/** What may be parsed: see withinBounds. */
const MAX_EMPHASIS_WORK = 4_000_000;
const MAX_OTHER_WORK = 20_000_000;
const MAX_DEPTH = 12;
const MAX_LINES = 2000;

/**
 * The parser looks from each `*` and `_` through the rest of its paragraph, copies the rest at each other sign, and calls itself
 * for each level of quotes and lists. What no letter has is refused before it is parsed, in time linear in its length.
 */
function withinBounds(source: string, faults: Fault[]): boolean {
  let emphasis = 0;
  let others = 0;
  // An empty line ends a paragraph, and so does the next item of a list.
  for (const paragraph of source.split(/\n[ \t]*\n|\n(?= {0,3}[-*+] +\S)/)) {
    emphasis += paragraph.length * count(paragraph, /[*_~]+/g);
    others += paragraph.length * count(paragraph, /[[\]<|`!\\]|:\/\/|www\.|@/g);
  }
  const error = (id: string, detail: string) => {
    faults.push({ field: "body", level: "error", id, detail });
    return false;
  };
  if (emphasis > MAX_EMPHASIS_WORK || others > MAX_OTHER_WORK)
    return error(
      "markup_dense",
      "A paragraph has too many links or formatting characters (* _ ~ [ ] < | ` ! \\) for its length; split it with empty lines, or remove some of them.",
    );
  const lines = source.split("\n");
  if (lines.length > MAX_LINES)
    return error("lines_many", `The body has ${lines.length} lines; at most ${MAX_LINES} can be sent.`);
  if (lines.some((line) => depthOf(line) > MAX_DEPTH))
    return error("markup_deep", `Quotes or lists are nested more than ${MAX_DEPTH} levels deep; use fewer levels.`);
  return true;
}

const count = (text: string, pattern: RegExp): number => text.match(pattern)?.length ?? 0;

/** How many quote and list markers a line begins with, and how far it is indented (two columns a level). */
function depthOf(line: string): number {
  const markers = /^(?:[ \t]*(?:>|[-*+](?=[ \t])|\d{1,9}[.)](?=[ \t])))*/.exec(line)![0];
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
  if (!withinBounds(source, faults)) return refused(source);
  const marked = new Marked({
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
  return (marked.parse(source) as string).trim();
}

/** An escaped href, or null for one that must not be a link. Values inside become URL components; one at the start is the address. */
function linkTarget(href: string, what: "link" | "image", faults: Fault[]): string | null {
  const decoded = href.replace(/%EE%80%8([0-4])/gi, (_, n: string) => String.fromCharCode(0xe000 + Number(n)));
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
