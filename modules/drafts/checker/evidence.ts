import { analyseSentence, type Clause, type Content } from "./analyse.ts";
import type { ContactFields, Finding, Language, TenantFact } from "./case.ts";
import { isInstruction } from "./injection.ts";
import { languageOf } from "./lexicon.ts";
import { sentences, tokens } from "./tokens.ts";
import { fold } from "./words/phrases.ts";

/** Findings, fields of the contact and facts of the sender, cut into passages that can back a clause. */

export type Passage = { parts: Clause[][]; clauses: Clause[]; language: Language };
export type Source = {
  id: string;
  kind: "finding" | "contact" | "tenant";
  /** Folded words of its subject, legal forms left out. */
  subject: string[];
  /** Whether it is about the recipient, their company, or somebody else. */
  about: "recipient" | "other" | "sender";
  /** Read when they are first asked for. */
  readonly passages: readonly Passage[];
  /** Folded words of all it says, to find the likeliest among many. */
  words: Set<string>;
  /** Folded words of its address: a paper is named there and not in its own text. */
  place: Set<string>;
};
export type Evidence = {
  sources: Map<string, Source>;
  /** Folded words of the contact's fields. */
  own: Set<string>;
  /** Folded words of the names of the recipient and of their company. */
  self: Set<string>;
  /** Folded words that only the sender's facts have. */
  sender: Set<string>;
  now: Date | null;
  /** The words of the contact's own title. */
  title: Content[];
  /** Comparisons of words that are left for this draft: hostile input ends in `too_long`, not in an hour of work. */
  work: { left: number };
  /** The draft's language is not known: no word may differ. */
  literal: boolean;
};

/** A draft of 150 words with twenty findings takes a tenth of it. */
export const MAX_WORK = 1_500_000;

const LEGAL = new Set(
  "inc ltd llc plc gmbh ag kg se sa sas sarl srl spa bv nv ab oy as sp z o oo zoo co corp corporation company group holding limited ug mbh the und and cie sl slu".split(
    " ",
  ),
);
const MAX_SENTENCES = 10;
const MAX_PASSAGES = 60;

export const nameWords = (name: string): string[] =>
  fold(name)
    .split(/[^\p{L}\p{N}]+/u)
    .filter((w) => w.length > 0 && !LEGAL.has(w));

const timeOf = (text = ""): Date | null => {
  const time = Date.parse(text);
  return Number.isNaN(time) ? null : new Date(time);
};

const textOf = (value: ContactFields[string]): string =>
  Array.isArray(value) ? value.join(", ") : String(value ?? "");

export function readEvidence(input: {
  language: Language;
  findings: readonly Finding[];
  contact: ContactFields;
  tenant_facts: readonly TenantFact[];
  literal: boolean;
}): Evidence {
  const { language, findings, contact } = input;
  const times = findings.map((f) => timeOf(f.fetched_at)).filter((t) => t !== null);
  const now = times.length > 0 ? new Date(Math.max(...times.map(Number))) : null;
  const own = new Set<string>();
  const self = new Set<string>();
  const companies: string[][] = [];
  for (const [field, value] of Object.entries(contact)) {
    const text = textOf(value);
    const words = nameWords(text);
    for (const word of words) own.add(word);
    const isCompany =
      /compan|organi|employer|account|firm/.test(field) &&
      !/size|industry|country|city|employees|url|description/.test(field);
    if (isCompany || /domain|^email$|website/.test(field)) {
      const name = /domain|website|email/.test(field)
        ? text.replace(/^.*@|^https?:\/\//, "").replace(/^www\.|\.\w+(\/.*)?$/g, "")
        : text;
      companies.push(nameWords(name));
    }
    if (isCompany || /name/.test(field)) for (const word of words) self.add(word);
  }
  const person = nameWords(
    ["first_name", "last_name", "name", "full_name"].map((f) => textOf(contact[f] ?? "")).join(" "),
  );
  const sources = new Map<string, Source>();
  for (const finding of findings) {
    const subject = nameWords(finding.subject);
    let read: Passage[] | undefined;
    const about = isRecipient(subject, companies, person) ? "recipient" : "other";
    sources.set(finding.id, {
      id: finding.id,
      kind: "finding",
      subject,
      about,
      words: new Set(nameWords(`${finding.subject} ${finding.statement} ${finding.quote}`)),
      get passages() {
        return (read ??= passagesOf(finding, language));
      },
      place: new Set(nameWords(finding.url)),
    });
  }
  const sender = new Set<string>();
  for (const fact of input.tenant_facts) {
    const passages = passagesOf({ statement: fact.statement, quote: "", fetched_at: "" }, language);
    for (const clause of passages.flatMap((p) => p.clauses))
      for (const c of clause.content) if (c.name) sender.add(c.word);
    // A fact begins with the name of what it is about, and a first word shows no capital of its own.
    const first = /^\p{Lu}[\p{L}\p{N}]+/u.exec(fact.statement)?.[0];
    if (first && !languageStop(first)) sender.add(fold(first));
    sources.set(fact.id, {
      id: fact.id,
      kind: "tenant",
      subject: [],
      about: "sender",
      passages,
      words: new Set(),
      place: new Set(),
    });
  }
  for (const word of [...sender]) if (own.has(word)) sender.delete(word);
  sources.set("contact", {
    id: "contact",
    kind: "contact",
    subject: [],
    about: "recipient",
    passages: contactPassages(contact, language),
    words: new Set(),
    place: new Set(),
  });
  const title = analyseSentence(textOf(contact.title ?? contact.job_title ?? ""), language, null).clauses.flatMap(
    (c) => c.content,
  );
  return { sources, own, self, sender, now, title, work: { left: MAX_WORK }, literal: input.literal };
}

const COMMON = new Set(
  "we our the a an it this wir unser unsere nous notre nos le la les nosotros nuestro nuestra el noi nostro nostra il lo wij we onze het de nasz nasza nasze i in for mit pour con met z".split(
    " ",
  ),
);
const languageStop = (word: string) => COMMON.has(fold(word));

function isRecipient(subject: string[], companies: string[][], person: string[]): boolean {
  if (subject.length === 0 || /^(contact|company|recipient)$/.test(subject.join(" "))) return true;
  const joined = subject.join("");
  const within = (part: string[], whole: string[]) => part.length > 0 && part.every((w) => whole.includes(w));
  if (companies.some((c) => c.join("") === joined || within(c, subject) || (within(subject, c) && subject[0] === c[0])))
    return true;
  if (person.length > 1 && within(person, subject)) return true;
  return companies.length === 0 && person.length === 0;
}

/** Statement and quote, each sentence alone, with the next one, and beside its fellow of the other text. */
function passagesOf(finding: Pick<Finding, "statement" | "quote" | "fetched_at">, otherwise: Language): Passage[] {
  const now = timeOf(finding.fetched_at);
  const read = (text: string): Clause[][] => {
    const language = languageOf(tokens(text, otherwise).map((t) => t.fold), otherwise); // prettier-ignore
    const found: Clause[][] = [];
    for (const sentence of sentences(text).slice(0, MAX_SENTENCES)) {
      // What a page tells a machine to do backs nothing, nor does what follows it.
      if (isInstruction(sentence)) break;
      found.push(analyseSentence(sentence, language, now).clauses);
    }
    return found;
  };
  const statement = read(finding.statement);
  const quote = finding.quote === finding.statement ? [] : read(finding.quote);
  const passages: Passage[] = [];
  const add = (...parts: Clause[][]) => {
    const clauses = parts.flat();
    if (clauses.length > 0 && passages.length < MAX_PASSAGES)
      passages.push({ parts, clauses, language: clauses[0]!.language });
  };
  // Where there are both, each is read beside the other: a word that one of them leaves out may turn the meaning around.
  const withNext = (text: Clause[][]) => text.flatMap((s, i) => (text[i + 1] ? [s, [...s, ...text[i + 1]!]] : [s]));
  if (quote.length === 0 || statement.length === 0) for (const s of withNext([...statement, ...quote])) add(s);
  else for (const s of withNext(statement)) for (const q of withNext(quote)) add(s, q);
  return passages;
}

function contactPassages(contact: ContactFields, language: Language): Passage[] {
  return Object.entries(contact)
    .filter(([, value]) => value !== null && value !== "")
    .map(([field, value]) => {
      const { clauses } = analyseSentence(`${textOf(value)} ${field.replaceAll("_", " ")}`, language, null);
      // A number in a name counts nothing.
      if (!/size|employee|headcount|revenue|year|count|number|score/.test(field))
        for (const c of clauses) c.quantities = [];
      return { parts: [clauses], clauses, language };
    })
    .filter((p) => p.clauses.length > 0);
}
