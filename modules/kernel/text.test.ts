import { expect, test } from "vitest";
import { clean } from "./text.ts";

// Text is kept as people read it: what nobody sees is no part of it, and what changes the written form stays.

test.each([
  ["Zoe\u0308", "Zoë", "a letter and its mark are one letter"],
  ["A\u030angstro\u0308m", "Ångström", "in capitals as well"],
  ["\u1112\u1161\u11ab", "한", "Korean syllables are composed"],
  [
    "Ada\u200b\u2060\ufeff Love\u00adlace",
    "Ada Lovelace",
    "zero-width spaces, word joiners, marks and soft hyphens go",
  ],
  ["\u202eAda\u202c \u2066Lovelace\u2069\u200e\u200f", "Ada Lovelace", "directions go"],
  ["Ada\u200d Love\u200clace", "Ada Lovelace", "joiners in Latin go"],
  ["Ada\u3164\u034f\u{e0041}", "Ada", "fillers and tags go"],
  ["\u00a0Ada\u2009Lovelace\u3000", "Ada Lovelace", "every blank is a plain one"],
  ["山田\u3000太郎", "山田 太郎", "of Japanese as well"],
  ["a\u0000\u0085\u009fb", "ab", "control characters go"],
  ["one\ntwo\tthree\u2028four", "one\ntwo\tthree\nfour", "lines and tabs stay"],
  ["👩\u200d💻 👨🏽\u200d🚀 ❤\ufe0f\u200d🔥", "👩\u200d💻 👨🏽\u200d🚀 ❤\ufe0f\u200d🔥", "emoji of several stay one"],
  [
    "\u{1f3f4}\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
    "\u{1f3f4}\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
    "flags stay",
  ],
  ["می\u200cخواهم", "می\u200cخواهم", "the Persian non-joiner stays"],
  ["श्री क\u094d\u200dष", "श्री क\u094d\u200dष", "the joiner of Indic scripts stays"],
  ["ن\u200c", "ن", "one that joins nothing goes"],
  ["", "", "nothing is nothing"],
])("%j becomes %j: %s", (given, kept) => {
  expect(clean(given)).toBe(kept);
  expect(clean(clean(given))).toBe(kept);
});

test("it takes a time that grows with the text", () => {
  const started = performance.now();
  clean("\u200d".repeat(200_000) + "é".repeat(200_000) + "क\u200d".repeat(100_000));
  expect(performance.now() - started).toBeLessThan(5_000);
});
