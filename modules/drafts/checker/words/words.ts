/** What a language's file holds. Lists are comma separated; `open*` stands for every word that begins so; accents and case do not count. */
export type Words = {
  /** Words without content of their own. */
  stop: string;
  /** What frames a sentence in a letter and claims nothing that could be wrong: praise, politeness, general words of business. */
  light: string;
  /** The recipient, and the writer. */
  you: string;
  we: string;
  negation: string;
  /** Something is to come. */
  plan: string;
  /** Endings, with accents, of verbs in the future tense. */
  future?: RegExp;
  /** Something has happened. */
  done: string;
  /** Somebody's belief, a rumour, a possibility. */
  hedge: string;
  /** The writer's own guess, which claims nothing. */
  guess: string;
  /** Said of people in general, not of the recipient. */
  general: string;
  /** Less than all: some, a part, a trial. */
  limit: string;
  /** All, only, first, the most. */
  all: string;
  superlative: string;
  causal: string;
  and: string;
  but: string;
  by: string;
  of: string;
  than: string;
  from: string;
  to: string;
  passive: string;
  about: string;
  atLeast: string;
  atMost: string;
  greeting: string;
  closing: string;
  action: string;
  /** Twelve months, then short forms after a blank. */
  months: string;
  lastYear: string;
  thisYear: string;
  nextYear: string;
  recent: string;
  /** first to tenth, with other genders after a slash. */
  ordinals: string;
  twice: string;
  thrice: string;
  half: string;
  quarter: string;
  years: string;
};
