import { type ContactFields } from "./case.ts";
import { nameWords } from "./evidence.ts";
import type { SentenceVerdict } from "./ground.ts";
import type { Check } from "./style.ts";
import { fold } from "./words/phrases.ts";

/** Points of 10 by the published rubric (docs/concepts/drafts.md): what a careful reader would look for. */

export type Points = { part: string; points: number; of: number };

export function quality(input: {
  sentences: readonly SentenceVerdict[];
  checks: readonly Check[];
  contact: ContactFields;
  subject: string;
  findings: ReadonlySet<string>;
}): { score: number; points: Points[] } {
  const { sentences, checks, contact, subject, findings } = input;
  const ok = (name: Check["check"]) => checks.find((c) => c.check === name)?.ok === true;
  const claims = sentences.filter((s) => s.kind === "claim");
  const backed = claims.filter((s) => s.verdict === "ok");
  const used = new Set(backed.flatMap((s) => s.mapped).filter((id) => findings.has(id)));
  const text = fold(`${subject} ${sentences.map((s) => s.text).join(" ")}`);
  const company = Object.entries(contact).filter(
    ([k]) => /compan|organi|account/.test(k) && !/size|industry|country/.test(k),
  );
  const named = (values: unknown[]) =>
    values.some((v) => typeof v === "string" && nameWords(v).some((w) => w.length > 2 && text.includes(w)));
  const first = sentences.findIndex((s) => s.kind === "claim" && s.verdict === "ok");
  const points: Points[] = [
    { part: "every claim backed", of: 3, points: claims.length === 0 ? 1 : (3 * backed.length) / claims.length },
    { part: "findings used", of: 2, points: Math.min(2, used.size) },
    {
      part: "person or company named",
      of: 1,
      points: named([contact.first_name, contact.last_name, ...company.map(([, v]) => v)]) ? 1 : 0,
    },
    { part: "opens with the recipient", of: 0.5, points: first >= 0 && first <= 2 ? 0.5 : 0 },
    {
      part: "offer tied to a fact",
      of: 0.5,
      points: sentences.some((s) => s.kind === "offer" && s.verdict === "ok") ? 0.5 : 0,
    },
    { part: "length", of: 0.5, points: ok("length") ? 0.5 : 0 },
    { part: "one call to action", of: 1, points: ok("call_to_action") ? 1 : 0 },
    { part: "tone and spam", of: 0.5, points: ok("tone") && ok("spam") ? 0.5 : 0 },
    { part: "reading ease", of: 0.5, points: ok("reading_ease") ? 0.5 : 0 },
    { part: "filled and in the right language", of: 0.5, points: ok("slots") && ok("language") ? 0.5 : 0 },
  ];
  return { score: Math.round(points.reduce((sum, p) => sum + p.points, 0) * 10) / 10, points };
}
