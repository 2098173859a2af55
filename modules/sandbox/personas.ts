/**
 * Who the recipients are. An address always behaves the same way: by the word before `+` on a reserved domain
 * (`reply+anna@example.com`), else by a hash of the address. Of 100 hashed addresses about 30 stay silent, 32 open,
 * 14 click, 9 reply (4 gladly, 2 not, 3 ask), 3 are out of office, 4 bounce, 3 bounce softly, 3 unsubscribe, 2 complain.
 */

export type Persona =
  "silent" | "open" | "click" | "reply" | "ooo" | "bounce" | "softbounce" | "unsubscribe" | "complain";
export type Tone = "positive" | "negative" | "question";

export type Act =
  "deliver" | "scan" | "open" | "click" | "reply" | "autoreply" | "bounce" | "softbounce" | "unsubscribe" | "complain";

/** One thing that happens to a message, `after` so many seconds at speed 1. */
export type Step = { act: Act; after: number };

export type Character = { persona: Persona; tone: Tone; scanner: boolean };

const TABLE: readonly [upTo: number, persona: Persona, tone: Tone][] = [
  [30, "silent", "positive"],
  [62, "open", "positive"],
  [76, "click", "positive"],
  [80, "reply", "positive"],
  [82, "reply", "negative"],
  [85, "reply", "question"],
  [88, "ooo", "positive"],
  [92, "bounce", "positive"],
  [95, "softbounce", "positive"],
  [98, "unsubscribe", "positive"],
  [100, "complain", "positive"],
];

const WORDS: Record<string, [Persona, Tone]> = {
  silent: ["silent", "positive"],
  delivered: ["silent", "positive"],
  open: ["open", "positive"],
  click: ["click", "positive"],
  reply: ["reply", "positive"],
  "reply-positive": ["reply", "positive"],
  "reply-negative": ["reply", "negative"],
  "reply-question": ["reply", "question"],
  ooo: ["ooo", "positive"],
  bounce: ["bounce", "positive"],
  softbounce: ["softbounce", "positive"],
  unsubscribe: ["unsubscribe", "positive"],
  complain: ["complain", "positive"],
};

/** RFC 2606 and RFC 6761: names nobody can own. */
const RESERVED = /(^|\.)(example\.(com|net|org)|example|test|invalid|localhost)$/;

/** FNV-1a with a final mix (murmur3's), because close addresses must not behave alike. */
export function hash(text: string): number {
  let h = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) h = Math.imul(h ^ byte, 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

export function characterOf(address: string): Character {
  const email = address.trim().toLowerCase();
  const at = email.lastIndexOf("@");
  const word = email.slice(0, at).split("+")[0]!;
  const scanner = hash(`scanner|${email}`) % 6 === 0;
  const named = RESERVED.test(email.slice(at + 1)) ? WORDS[word] : undefined;
  // Named characters do only what their name says.
  if (named) return { persona: named[0], tone: named[1], scanner: false };
  const roll = hash(email) % 100;
  const [, persona, tone] = TABLE.find(([upTo]) => roll < upTo)!;
  return { persona, tone, scanner };
}

/** What this character does with a message; `first` is whether it is the first one from this account. */
export function planOf(address: string, first: boolean): Step[] {
  const { persona, scanner } = characterOf(address);
  // 0…1, the same for an address every time, so that a crowd spreads out.
  const spread = (hash(`spread|${address.toLowerCase()}`) % 1000) / 1000;
  if (persona === "bounce") return [{ act: "bounce", after: 1 + 3 * spread }];
  if (persona === "softbounce") return [{ act: "softbounce", after: 2 + 4 * spread }];
  const delivered = 0.5 + 3 * spread;
  const steps: Step[] = [{ act: "deliver", after: delivered }];
  if (scanner) steps.push({ act: "scan", after: delivered + 0.3 });
  if (persona === "silent") return steps;
  if (persona === "ooo") return [...steps, { act: "autoreply", after: delivered + 2 }];
  const open = delivered + 2 + 12 * spread;
  steps.push({ act: "open", after: open });
  if (persona === "click") steps.push({ act: "click", after: open + 2 + 4 * spread });
  // People answer, leave or complain once; later messages they only open.
  if (!first) return steps;
  if (persona === "reply") steps.push({ act: "reply", after: open + 4 + 8 * spread });
  if (persona === "unsubscribe") steps.push({ act: "unsubscribe", after: open + 3 });
  if (persona === "complain") steps.push({ act: "complain", after: open + 3 });
  return steps;
}

const REPLIES: Record<Tone, readonly string[]> = {
  positive: [
    "Hi,\n\nthis sounds interesting. Could we talk on Thursday afternoon?\n\nBest regards",
    "Thanks for reaching out, yes, please send me more details and a price.",
    "Good timing, we are looking into this right now. Happy to jump on a call next week.",
  ],
  negative: [
    "Thanks, but we are not interested. Please do not contact me again.",
    "No thanks, we already have a supplier we are happy with.",
  ],
  question: [
    "How does the pricing work for a team of fifteen?",
    "Does it integrate with our CRM? And where is the data hosted?",
    "Who else in our industry uses it?",
  ],
};

export function replyText(address: string): string {
  const options = REPLIES[characterOf(address).tone];
  return options[hash(`reply|${address.toLowerCase()}`) % options.length]!;
}

export const OUT_OF_OFFICE =
  "Hello,\n\nI am out of the office until Monday and will read my e-mail then. In urgent cases please call our front desk.\n";
