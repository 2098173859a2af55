import { z } from "zod";
import type {
  CompiledTemplate,
  CompileInput,
  Fault,
  RenderedTemplate,
  RenderInput,
  ThreadSoFar,
  VariableUse,
} from "../../kernel/channel.ts";
import { plain } from "../../kernel/text.ts";
import { fillPieces, fixedText, markVariables, type Piece, type Place, toPieces } from "../placeholders.ts";
import { lint } from "./lint.ts";
import { escapeHtml, LINK_MAX, toHtml, toText } from "./markdown.ts";

/**
 * From what the author writes to what one person gets. A template is compiled once; a person's values go in after Markdown has
 * become HTML, escaped for the place they stand in.
 */

/** Mail clients cut subjects about here. */
const SUBJECT_SHOWN = 78;
const SUBJECT_MAX = 500;
const BODY_MAX = 50_000;
/** Mail-IDs in References: the first keeps the thread together, the last say where in it this stands. */
const REFERENCES_MAX = 20;

const onOneLine = (text: string) => text.replace(/\s*[\r\n]+\s*/g, " ").trim();

export const emailTemplate = z.object({
  subject: z.string().max(SUBJECT_MAX).transform(onOneLine).default("").meta({
    title: "Subject",
    description: "Leave empty on a follow-up to send it in the thread of the first message.",
    widget: "line",
  }),
  body: z.string().min(1, "must not be empty").max(BODY_MAX).meta({
    title: "Message",
    description: "Markdown without HTML, with variables such as {{firstName|there}}.",
    widget: "markdown",
  }),
});
export type EmailTemplate = z.output<typeof emailTemplate>;

export type EmailParts = { subject: Piece[]; html: Piece[]; text: Piece[] };

/** A message for one person but for what needs its id. `html` is a fragment whose attribute values are quoted with `"`. */
export type EmailDraft = { html: string; in_reply_to: string | null; headers: Record<string, string> };

export function compile(template: EmailTemplate, input: CompileInput): CompiledTemplate<EmailParts> {
  const uses: VariableUse[] = [];
  const faults: Fault[] = [];
  const subject = toPieces(markVariables("subject", template.subject, input.customKeys, uses, faults), uses);
  const html = toHtml(markVariables("body", template.body, input.customKeys, uses, faults), faults);
  const text = toText(html);
  if (template.body.trim() === "")
    faults.push({ field: "body", level: "error", id: "body_empty", detail: "The body is empty." });
  if (input.first && template.subject === "")
    faults.push({ field: "subject", level: "error", id: "subject_empty", detail: NO_SUBJECT });
  if (fixedText(subject).length > SUBJECT_SHOWN) {
    faults.push({
      field: "subject",
      level: "warning",
      id: "subject_long",
      detail: `The subject is longer than ${SUBJECT_SHOWN} characters; mail clients cut it off.`,
    });
  }
  faults.push(...lint(template));
  return { uses, faults, parts: { subject, html: toPieces(html, uses), text: toPieces(text, uses) } };
}

const NO_SUBJECT =
  "The first email to a contact needs a subject; only follow-ups may have none, because they are sent in its thread.";

export function render(
  { parts }: CompiledTemplate<EmailParts>,
  { valueOf, thread, showMissing = false }: RenderInput,
): RenderedTemplate<EmailDraft> {
  const missing = new Set<string>();
  const fill = (pieces: Piece[], finish?: (text: string) => string) =>
    fillPieces(pieces, {
      valueOf,
      showMissing,
      missing,
      fit: fitLink,
      unfit: "is not a web address",
      ...(finish ? { finish } : {}),
    });
  const own = fill(parts.subject)
    // A header is one line, whoever wrote it.
    // oxlint-disable-next-line no-control-regex
    .replace(/[\s\u0000-\u001f\u007f-\u009f]+/g, " ")
    .trim();
  const html = fill(parts.html, escapeHtml);
  const text = fill(parts.text);
  const { subject, ...answers } = threading([...own].slice(0, SUBJECT_MAX).join(""), thread);
  const faults: Fault[] =
    subject === "" && thread.references.length === 0
      ? [{ field: "subject", level: "error", id: "subject_empty", detail: "The subject is empty." }]
      : [];
  return { missing: [...missing], faults, subject, text, draft: { html, ...answers } };
}

/** A value for its place: escaped inside a link, and as a whole link only a web address. */
function fitLink(value: string, place: Place): string | null {
  if (place === "plain") return value;
  return place === "component" ? encodeURIComponent(plain(value, LINK_MAX)) : webAddress(value);
}

/** A person's own value as a link: only http and https, as the URL parser writes it. */
function webAddress(value: string): string | null {
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:/i.test(value) ? value : `https://${value}`);
  if (!url || !/^https?:$/.test(url.protocol) || url.username !== "" || url.href.length > LINK_MAX) return null;
  return url.pathname === "/" && url.search === "" && url.hash === "" ? url.origin : url.href;
}

/**
 * Subject and headers of a message within its thread. An empty subject answers the first message; one of its own starts with
 * a clean header, because clients thread by both.
 */
export function threading(
  subject: string,
  thread: ThreadSoFar,
): { subject: string; in_reply_to: string | null; headers: Record<string, string> } {
  const last = thread.references.at(-1);
  if (subject !== "" || last === undefined) return { subject, in_reply_to: null, headers: {} };
  const first = thread.subject ?? "";
  const [oldest, ...later] = thread.references;
  return {
    subject: /^re:/i.test(first) ? first : `Re: ${first}`.trimEnd(),
    in_reply_to: last,
    headers: { "In-Reply-To": last, References: [oldest, ...later.slice(1 - REFERENCES_MAX)].join(" ") },
  };
}
