/** Words and phrases that are looked for in a row of tokens, in time that grows with the tokens and not with the list. */

/** Lower case, without accents; the letters that do not come apart are spelt out. */
export const fold = (text: string): string =>
  text
    .toLowerCase()
    .normalize("NFD")
    .replace(/\p{M}+/gu, "")
    .replaceAll("ł", "l")
    .replaceAll("ß", "ss")
    .replaceAll("ø", "o")
    .replaceAll("æ", "ae")
    .replaceAll("œ", "oe")
    .replaceAll("đ", "d");

type Node = { words: Map<string, Node>; starts: [string, Node][]; end: boolean };
const node = (): Node => ({ words: new Map(), starts: [], end: false });

export type Phrases = {
  /** How many tokens from `at` on are one of the phrases, the longest; 0 for none. */
  at(tokens: readonly string[], at: number): number;
  has(token: string): boolean;
  /** Where one begins, or -1. */
  find(tokens: readonly string[]): number;
  /** All the places of words of phrases. */
  places(tokens: readonly string[]): Set<number>;
};

/** `list`: comma separated, folded here; `open*` stands for every word that begins with `open`. */
export function phrases(list: string): Phrases {
  const root = node();
  for (const phrase of list.split(",")) {
    const words = fold(phrase)
      .split(/[\s'’.-]+/)
      .filter(Boolean);
    if (words.length === 0) continue;
    let at = root;
    for (const word of words) {
      if (word.endsWith("*")) {
        const start = word.slice(0, -1);
        let next = at.starts.find(([s]) => s === start)?.[1];
        if (!next) at.starts.push([start, (next = node())]);
        at = next;
      } else {
        const next = at.words.get(word) ?? node();
        at.words.set(word, next);
        at = next;
      }
    }
    at.end = true;
  }
  const length = (tokens: readonly string[], i: number, at: Node): number => {
    let best = at.end ? 0 : -1;
    const token = tokens[i];
    if (token === undefined) return best;
    const take = (next: Node) => {
      const n = length(tokens, i + 1, next);
      if (n >= 0) best = Math.max(best, n + 1);
    };
    const exact = at.words.get(token);
    if (exact) take(exact);
    for (const [start, next] of at.starts) if (token.startsWith(start)) take(next);
    return best;
  };
  const self: Phrases = {
    at: (tokens, i) => Math.max(0, length(tokens, i, root)),
    has: (token) => self.at([token], 0) > 0,
    find: (tokens) => tokens.findIndex((_, i) => self.at(tokens, i) > 0),
    places(tokens) {
      const found = new Set<number>();
      for (let i = 0; i < tokens.length; i++) for (let n = self.at(tokens, i); n > 0; n--) found.add(i + n - 1);
      return found;
    },
  };
  return self;
}
