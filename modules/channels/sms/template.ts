import { z } from "zod";
import type {
  CompiledTemplate,
  CompileInput,
  Fault,
  RenderedTemplate,
  RenderInput,
  VariableUse,
} from "../../kernel/channel.ts";
import { fillPieces, fixedText, markVariables, type Piece, toPieces } from "../placeholders.ts";
import { measureText, ucs2Characters } from "./encoding.ts";

/** Plain text with variables. Links stay as written; nothing is added. */

/** Providers take no longer text (Twilio: 1600 characters), and nobody reads one. */
export const MAX_SEGMENTS = 10;
/** From here on the author is told, since each segment is billed. */
const MANY_SEGMENTS = 3;
/** Characters named in one warning. */
const MAX_NAMED = 5;

export const smsTemplate = z.object({
  body: z.string().min(1, "must not be empty").max(4000).meta({
    title: "Message",
    description: "Plain text with variables such as {{firstName|there}}. Say who writes, and how to opt out.",
    widget: "text",
  }),
});
export type SmsTemplate = z.output<typeof smsTemplate>;
export type SmsParts = { text: Piece[] };

export function compile(template: SmsTemplate, input: CompileInput): CompiledTemplate<SmsParts> {
  const uses: VariableUse[] = [];
  const faults: Fault[] = [];
  const text = toPieces(markVariables("body", tidy(template.body), input.customKeys, uses, faults), uses);
  const fixed = fixedText(text);
  if (template.body.trim() === "")
    faults.push({ field: "body", level: "error", id: "body_empty", detail: "The message is empty." });
  faults.push(...alphabetFaults(fixed, uses), ...lengthFaults(fixed, "error", "Without any value the message"));
  return { uses, faults, parts: { text } };
}

export function render(
  { parts }: CompiledTemplate<SmsParts>,
  { valueOf, showMissing = false }: RenderInput,
): RenderedTemplate<null> {
  const missing = new Set<string>();
  const text = tidy(fillPieces(parts.text, { valueOf, showMissing, missing })).trim();
  const faults: Fault[] = lengthFaults(text, "error", "With this person's values the message").filter(
    (f) => f.level === "error",
  );
  if (text === "" && missing.size === 0)
    faults.push({ field: "body", level: "error", id: "body_empty", detail: "The message is empty." });
  return { missing: [...missing], faults, subject: "", text, draft: null };
}

/** One kind of line break, and letters in one piece: a letter with its accent apart would force the short alphabet. */
const tidy = (text: string): string =>
  text
    .replace(/\r\n?|[\u2028\u2029\u0085]/g, "\n")
    // oxlint-disable-next-line no-control-regex
    .replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]+/g, " ")
    .toWellFormed()
    .normalize("NFC");

function lengthFaults(text: string, level: "error", what: string): Fault[] {
  const { segments, encoding } = measureText(text);
  if (segments > MAX_SEGMENTS)
    return [
      {
        field: "body",
        level,
        id: "segments_limit",
        detail: `${what} has ${segments} segments (${encoding}); at most ${MAX_SEGMENTS} can be sent. Shorten it.`,
      },
    ];
  if (segments > MANY_SEGMENTS)
    return [
      {
        field: "body",
        level: "warning",
        id: "segments_many",
        detail: `${what} has ${segments} segments (${encoding}); each is billed as a message.`,
      },
    ];
  return [];
}

/** Names what makes the message more than twice as long, in the fixed text and in fallbacks. */
function alphabetFaults(fixed: string, uses: readonly VariableUse[]): Fault[] {
  const text = fixed + uses.map((u) => u.fallback ?? "").join("");
  const found = ucs2Characters(text);
  if (found.length === 0) return [];
  const name = ({ character, replacement }: (typeof found)[number]) => {
    const code = character.codePointAt(0)!;
    const shown = /[\p{Z}\p{C}]/u.test(character)
      ? `U+${code.toString(16).toUpperCase().padStart(4, "0")}`
      : `"${character}"`;
    if (replacement === null) return shown;
    return `${shown} (${replacement === "" ? "leave it out" : `write ${replacement === " " ? "a blank" : replacement} instead`})`;
  };
  const more = found.length > MAX_NAMED ? ` and ${found.length - MAX_NAMED} more` : "";
  return [
    {
      field: "body",
      level: "warning",
      id: "ucs2",
      detail: `Not in the SMS alphabet, so that a segment holds 70 characters instead of 160: ${found.slice(0, MAX_NAMED).map(name).join(", ")}${more}.`,
    },
  ];
}
