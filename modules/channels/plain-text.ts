import { z } from "zod";
import type {
  CompiledTemplate,
  CompileInput,
  Fault,
  InboundKind,
  PreparedMessage,
  ReadMessage,
  RenderedTemplate,
  RenderInput,
  StoredMessage,
  VariableUse,
} from "../kernel/channel.ts";
import type { InboundMessage } from "../kernel/provider.ts";
import { oneLine, plain } from "../kernel/text.ts";
import { fillPieces, fixedText, markVariables, type Piece, toPieces } from "./placeholders.ts";
import { keyword } from "./sms/opt-out.ts";
import { wishOf } from "./wish.ts";

/** What channels of plain text share: a template of one text with variables, and received texts. Links stay as written. */

const form = z.object({
  body: z.string().min(1, "must not be empty").max(4000).meta({
    title: "Message",
    description:
      "Plain text with variables such as {{firstName|there}}. Name the sender in the text and explain how to opt out.",
    widget: "text",
  }),
});
type Form = z.output<typeof form>;
type Parts = { text: Piece[] };

export type TextRules = {
  /** What is wrong with the length of a text, in the channel's own units; `what` begins the sentence. */
  length(text: string, what: string): Fault[];
  /** What the author should know besides, of the text without values. */
  author?(fixed: string, uses: readonly VariableUse[]): Fault[];
};

/** The parts of a channel that are the same for every plain text: spread them into `defineChannel`. */
export const plainText = ({ length, author = () => [] }: TextRules) => ({
  template: form,
  compile(template: Form, input: CompileInput): CompiledTemplate<Parts> {
    const uses: VariableUse[] = [];
    const faults: Fault[] = [];
    const text = toPieces(markVariables("body", tidy(template.body), input.customKeys, uses, faults), uses);
    const fixed = fixedText(text);
    if (template.body.trim() === "") faults.push(EMPTY);
    faults.push(...author(fixed, uses), ...length(fixed, "Without the values of its variables the message"));
    return { uses, faults, parts: { text } };
  },
  /** Of one person's message only errors are said: the author has read the warnings. */
  render({ parts }: CompiledTemplate<Parts>, { valueOf, showMissing = false }: RenderInput): RenderedTemplate<null> {
    const missing = new Set<string>();
    const text = tidy(fillPieces(parts.text, { valueOf, showMissing, missing })).trim();
    const faults = length(text, "With this contact's values the message").filter((f) => f.level === "error");
    if (text === "" && missing.size === 0) faults.push(EMPTY);
    return { missing: [...missing], faults, subject: "", text, draft: null };
  },
  prepare: ({ rendered }: { rendered: RenderedTemplate<null> }): Promise<PreparedMessage> =>
    Promise.resolve({ subject: "", text: rendered.text, content: {}, email: null, links: [] }),
  content: ({ text }: StoredMessage): { text: string } => ({ text }),
});

const EMPTY: Fault = { field: "body", level: "error", id: "body_empty", detail: "The message is empty." };

/** One kind of line break, no other control characters, and letters in one piece: an accent apart is a second character. */
const tidy = (text: string): string =>
  text
    .replace(/\r\n?|[\u2028\u2029\u0085]/g, "\n")
    // oxlint-disable-next-line no-control-regex
    .replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]+/g, " ")
    .toWellFormed()
    .normalize("NFC");

/** UTF-16 units kept of a received text; nobody writes more. */
const MAX_TEXT = 10_000;

export type TextReading = {
  /** Normal forms of who writes and of what was written to. */
  person(address: string): string | null;
  sender(address: string): string | null;
  /** What the provider says the message is; absent: what its text says. */
  kind?: InboundKind | null;
  content?: Record<string, unknown>;
};

/** Reads a received text: who wrote it, and whether it is an answer or, as a whole, an opt-out word. Pure. */
export function readText(message: InboundMessage, { person, sender, kind, content = {} }: TextReading): ReadMessage {
  const text = plain(message.text.slice(0, MAX_TEXT + 1).replace(/\r\n?/g, "\n"), MAX_TEXT).trim();
  const stated = kind ?? keyword(text);
  const wish = stated ? null : wishOf(text);
  return {
    kind: stated ?? (wish?.sure ? "opt_out" : "reply"),
    wish,
    reports: [],
    provider_inbound_id: plain(message.provider_inbound_id, 300),
    from_address: addressOf(message.from.address, person),
    from_name: oneLine(message.from.name ?? "", 120),
    to_address: addressOf(message.to[0] ?? "", sender),
    subject: "",
    text,
    full_text: null,
    references: [],
    content,
    email: null,
  };
}

/** The normal form, or what came, on one line: addresses that no contact can have write too. */
const addressOf = (given: string, normalise: (text: string) => string | null): string => {
  const bare = oneLine(given, 320);
  return normalise(bare) ?? bare;
};
