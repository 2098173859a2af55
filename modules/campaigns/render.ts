import { convert } from "html-to-text";
import { Marked } from "marked";
import { type MergeRow, nearVariables, resolveVariable, type VariableRef, variableValue } from "./variables.ts";

/**
 * From what the author writes to what is sent. The body is Markdown without HTML. A step is compiled once; a person's values
 * go in after Markdown has become HTML, escaped for the place they stand in, so that no value can make markup or a header.
 */

export type Fault = { field: "subject" | "body"; level: "error" | "warning"; id: string; detail: string };
export type VariableUse = { ref: VariableRef; fallback: string | null };

/** `plain` stands in text, `component` inside a link, `url` at a link's beginning, where it must be a web address. */
type Place = "plain" | "component" | "url";
type Piece = string | { use: VariableUse; place: Place };

export type Template = { subject: Piece[]; html: Piece[]; text: Piece[]; uses: VariableUse[]; faults: Fault[] };
export type Rendered = {
  subject: string;
  html: string;
  text: string;
  /** Names of variables without value and fallback. */ missing: string[];
};

/** Mail clients cut subjects about here. */
const SUBJECT_SHOWN = 78;
const SUBJECT_MAX = 500;
const LINK_MAX = 2000;

// Private-use characters mark where a value goes, from Markdown to the end: no author and no value may contain them.
const OPEN: Record<Place, string> = { plain: "\ue000", component: "\ue002", url: "\ue003" };
const CLOSE = "\ue001";
const MARKS = /[\ue000-\ue004]/g;
const MARK = /([\ue000\ue002\ue003])(\d+)\ue001/;
const PLACE: Record<string, Place> = { "\ue000": "plain", "\ue002": "component", "\ue003": "url" };

const escapeHtml = (text: string) =>
  text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");

/** Reads a step once. Faults say what is wrong with the text itself; `error` ones must not be saved. */
export function compileStep(step: { subject: string; body: string }, customKeys: ReadonlySet<string>): Template {
  const uses: VariableUse[] = [];
  const faults: Fault[] = [];
  const subject = markVariables("subject", step.subject.replace(MARKS, ""), customKeys, uses, faults);
  const body = markVariables("body", step.body.replace(MARKS, ""), customKeys, uses, faults);
  const html = toHtml(body, faults);
  const text = toText(html);
  if (step.body.trim() === "")
    faults.push({ field: "body", level: "error", id: "body_empty", detail: "The body is empty." });
  if (step.subject.replace(/\{\{.*?\}\}/g, "").length > SUBJECT_SHOWN) {
    faults.push({
      field: "subject",
      level: "warning",
      id: "subject_long",
      detail: `The subject is longer than ${SUBJECT_SHOWN} characters; mail clients cut it off.`,
    });
  }
  return { subject: toPieces(subject, uses), html: toPieces(html, uses), text: toPieces(text, uses), uses, faults };
}

function markVariables(
  field: Fault["field"],
  source: string,
  customKeys: ReadonlySet<string>,
  uses: VariableUse[],
  faults: Fault[],
): string {
  const error = (id: string, detail: string) => void faults.push({ field, level: "error", id, detail });
  const marked = source.replace(/\{\{([^{}]*)\}\}/g, (whole, inner: string) => {
    const bar = inner.indexOf("|");
    const name = (bar < 0 ? inner : inner.slice(0, bar)).trim();
    if (name === "") {
      error("variable_empty", `${whole} names no variable; write for example {{firstName|there}}.`);
      return "";
    }
    const ref = resolveVariable(name, customKeys);
    if (!ref) {
      const near = nearVariables(name, customKeys);
      error(
        "variable_unknown",
        `{{${name}}} is no variable${near.length > 0 ? `; did you mean ${near.map((n) => `{{${n}}}`).join(" or ")}?` : "; use for example {{firstName}}, {{companyName}} or {{custom.key}}."}`,
      );
      return "";
    }
    uses.push({
      ref,
      fallback:
        bar < 0
          ? null
          : inner
              .slice(bar + 1)
              .replace(/\s+/g, " ")
              .trim(),
    });
    return `${OPEN.plain}${uses.length - 1}${CLOSE}`;
  });
  if (marked.includes("{{") || marked.includes("}}")) {
    error(
      "braces",
      `The ${field} has {{ or }} without its partner; a variable looks like {{firstName}} or {{firstName|there}}.`,
    );
  }
  return marked;
}

function toHtml(source: string, faults: Fault[]): string {
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
function toText(html: string): string {
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

const toPieces = (text: string, uses: VariableUse[]): Piece[] => {
  const parts = text.split(new RegExp(MARK, "g"));
  const pieces: Piece[] = [];
  for (let i = 0; i < parts.length; i += 3) {
    if (parts[i] !== "") pieces.push(parts[i]!);
    if (i + 2 < parts.length) pieces.push({ use: uses[Number(parts[i + 2])]!, place: PLACE[parts[i + 1]!]! });
  }
  return pieces;
};

/**
 * Fills a compiled step for one person. With `missing` not empty the result must not be sent; with `showMissing` the gaps
 * are shown as they were written, for a preview.
 */
export function renderStep(template: Template, row: MergeRow, options: { showMissing?: boolean } = {}): Rendered {
  const missing = new Set<string>();
  const fill = (pieces: Piece[], finish: (text: string) => string) =>
    pieces
      .map((p) =>
        typeof p === "string" ? p : finish(valueAt(p.use, p.place, row, missing, options.showMissing ?? false)),
      )
      .join("");
  const asIs = (text: string) => text;
  const subject = fill(template.subject, asIs)
    // A header is one line, whoever wrote it.
    // oxlint-disable-next-line no-control-regex
    .replace(/[\s\u0000-\u001f\u007f-\u009f]+/g, " ")
    .trim();
  return {
    subject: [...subject].slice(0, SUBJECT_MAX).join(""),
    html: fill(template.html, escapeHtml),
    text: fill(template.text, asIs),
    missing: [...missing],
  };
}

function valueAt(use: VariableUse, place: Place, row: MergeRow, missing: Set<string>, show: boolean): string {
  const value = variableValue(use.ref, row) ?? use.fallback;
  if (value === null) {
    missing.add(use.ref.name);
    return show ? `{{${use.ref.name}}}` : "";
  }
  if (place === "plain") return value;
  if (place === "component") return encodeURIComponent(value.slice(0, LINK_MAX));
  const address = webAddress(value);
  if (address !== null) return address;
  missing.add(`${use.ref.name} (not a web address)`);
  return "";
}

/** A person's own value as a link: only http and https, as the URL parser writes it. */
function webAddress(value: string): string | null {
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:/i.test(value) ? value : `https://${value}`);
  if (!url || !/^https?:$/.test(url.protocol) || url.username !== "" || url.href.length > LINK_MAX) return null;
  return url.pathname === "/" && url.search === "" && url.hash === "" ? url.origin : url.href;
}

export type Thread = { message_ids: readonly string[]; subject: string | null };

/**
 * Subject and headers of a message within its thread. An empty subject answers the first message; one of its own starts with
 * a clean header, because clients thread by both.
 */
export function threading(
  subject: string,
  thread: Thread,
): { subject: string; in_reply_to: string | null; headers: Record<string, string> } {
  const last = thread.message_ids.at(-1);
  if (subject !== "" || last === undefined) return { subject, in_reply_to: null, headers: {} };
  const first = thread.subject ?? "";
  return {
    subject: /^re:/i.test(first) ? first : `Re: ${first}`.trimEnd(),
    in_reply_to: last,
    headers: { "In-Reply-To": last, References: thread.message_ids.join(" ") },
  };
}
