import type { Fault } from "../../kernel/channel.ts";

/** Hints for the author that need no person: nothing here keeps a campaign from starting. */

/** Words that filters weigh heavily in a first mail from a stranger. A hint for the author, nothing more. */
const SPAM_WORDS = [
  "100% free",
  "act now",
  "buy now",
  "cash bonus",
  "click here",
  "earn money",
  "guaranteed",
  "limited time",
  "no obligation",
  "risk free",
  "risk-free",
  "winner",
  "urgent",
];

/** The words in a text that spam filters weigh, each once. */
export const spamWordsIn = (text: string): string[] => SPAM_WORDS.filter((w) => text.toLowerCase().includes(w));

/** What a careful colleague would remark about an e-mail. */
export function lint({ subject, body }: { subject: string; body: string }): Fault[] {
  const hints: Fault[] = [];
  const hint = (field: string, id: string, detail: string) => hints.push({ field, level: "warning", id, detail });
  for (const [field, text] of [
    ["subject", subject],
    ["body", body],
  ] as const) {
    const found = spamWordsIn(text);
    if (found.length > 0)
      hint(
        field,
        "spam_words",
        `The ${field} says ${found.map((w) => `"${w}"`).join(", ")}, which spam filters may count against the message.`,
      );
    if (/(^|[^{])\{\w+\}([^}]|$)/.test(text))
      hint(
        field,
        "single_braces",
        `The ${field} has a word in single braces; variables need double braces: {{firstName}}.`,
      );
    if (/\[(first|last|full|company|your)[ _]?\w*\](?!\()/i.test(text))
      hint(field, "placeholder", `The ${field} still has a placeholder in square brackets.`);
  }
  if (subject.length > 8 && subject === subject.toUpperCase() && /[A-Z]/.test(subject))
    hint("subject", "subject_capitals", "The subject is written in capital letters only.");
  if (/^re:|^fwd?:/i.test(subject))
    hint("subject", "subject_reply", "The subject looks like a reply, but the message is not a reply.");
  return hints;
}
