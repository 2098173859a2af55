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

/** What a careful colleague would remark about a sequence. */
export function lintSteps(
  steps: readonly { subject: string; body: string }[],
): { step: number; id: string; detail: string }[] {
  return steps.flatMap((step, i) => {
    const text = `${step.subject}\n${step.body}`.toLowerCase();
    const hints: { step: number; id: string; detail: string }[] = [];
    const words = SPAM_WORDS.filter((w) => text.includes(w));
    if (words.length > 0)
      hints.push({
        step: i + 1,
        id: "spam_words",
        detail: `Step ${i + 1} says ${words.map((w) => `"${w}"`).join(", ")}, which spam filters weigh.`,
      });
    if (step.subject.length > 8 && step.subject === step.subject.toUpperCase() && /[A-Z]/.test(step.subject)) {
      hints.push({ step: i + 1, id: "subject_capitals", detail: `The subject of step ${i + 1} is all capitals.` });
    }
    if (/^re:|^fwd?:/i.test(step.subject))
      hints.push({ step: i + 1, id: "subject_reply", detail: `The subject of step ${i + 1} pretends to be a reply.` });
    if (/(^|[^{])\{\w+\}([^}]|$)/.test(text))
      hints.push({
        step: i + 1,
        id: "single_braces",
        detail: `Step ${i + 1} has a word in single braces; variables need two: {{firstName}}.`,
      });
    if (/\[(first|last|full|company|your)[ _]?\w*\]/.test(text))
      hints.push({
        step: i + 1,
        id: "placeholder",
        detail: `Step ${i + 1} still has a placeholder in square brackets.`,
      });
    return hints;
  });
}
