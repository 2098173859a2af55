import { z } from "zod";
import type { Cast } from "./cast.ts";
import { hash, type Step, type Tone } from "./personas.ts";

/**
 * Who has the phones. A number always behaves the same way: on ranges that are reserved for fiction (+44 7700 900xxx, and +1 with
 * 555 01xx in any area) by its last but one digit, else by a hash. Of 100 hashed numbers about 60 stay silent, 24 answer (10 gladly,
 * 7 not, 7 ask), 6 write STOP, 2 HELP, 5 are no numbers, and 3 are switched off.
 */

type PhonePersona = "silent" | "reply" | "stop" | "help" | "bounce" | "softbounce";

const BY_DIGIT: readonly (readonly [PhonePersona, Tone])[] = [
  ["silent", "positive"],
  ["reply", "positive"],
  ["reply", "negative"],
  ["reply", "question"],
  ["stop", "negative"],
  ["help", "question"],
  ["bounce", "positive"],
  ["softbounce", "positive"],
  ["silent", "positive"],
  ["silent", "positive"],
];

const TABLE: readonly (readonly [upTo: number, persona: PhonePersona, tone: Tone])[] = [
  [60, "silent", "positive"],
  [70, "reply", "positive"],
  [77, "reply", "negative"],
  [84, "reply", "question"],
  [90, "stop", "negative"],
  [92, "help", "question"],
  [97, "bounce", "positive"],
  [100, "softbounce", "positive"],
];

const FICTION = /^\+(447700900\d|1\d{3}55501)(\d)\d$/;

function characterOf(number: string): { persona: PhonePersona; tone: Tone } {
  const digit = FICTION.exec(number)?.[2];
  if (digit !== undefined) {
    const [persona, tone] = BY_DIGIT[Number(digit)]!;
    return { persona, tone };
  }
  const roll = hash(number) % 100;
  const [, persona, tone] = TABLE.find(([upTo]) => roll < upTo)!;
  return { persona, tone };
}

/** What this phone's owner does with a message; they answer, leave or ask once. Seconds at speed 1. */
function planOf(number: string, first: boolean): Step[] {
  const { persona } = characterOf(number);
  const spread = (hash(`spread|${number}`) % 1000) / 1000;
  if (persona === "bounce" || persona === "softbounce") return [{ act: persona, after: 1 + 3 * spread }];
  const delivered = 0.5 + 2 * spread;
  const steps: Step[] = [{ act: "deliver", after: delivered }];
  if (persona === "silent" || !first) return steps;
  return [...steps, { act: "reply", after: delivered + 3 + 10 * spread }];
}

const TEXTS: Record<Tone, readonly string[]> = {
  positive: ["Sounds good, call me on Thursday?", "Yes please, send me the details.", "Sure, tomorrow after 3 works."],
  negative: ["No thanks.", "Not interested, sorry.", "We have somebody for that already."],
  question: ["Who is this?", "How much is it?", "Does it work with our CRM?"],
};

function textOf(number: string): string {
  const { persona, tone } = characterOf(number);
  if (persona === "stop") return "Stop";
  if (persona === "help") return "HELP";
  const options = TEXTS[tone];
  return options[hash(`reply|${number}`) % options.length]!;
}

/** Short codes write too. */
export const phones: Cast = {
  address: z.string().regex(/^(\+\d{7,15}|\d{3,8})$/, "Write the number like +447700900010."),
  characterOf,
  planOf,
  answer: (message, to) => ({
    id: crypto.randomUUID(),
    from: { address: to, name: "" },
    to: [message.from.address],
    text: textOf(to),
    subject: "",
    html: null,
    headers: [],
    rfc_message_id: "",
  }),
};
