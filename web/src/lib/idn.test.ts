import { expect, test } from "vitest";
import { shownAddress, shownDomain } from "./idn.ts";

const ascii = (domain: string) => new URL(`http://${domain}`).hostname;

test.each([
  "müller.example",
  "пример.рф",
  "例え.テスト",
  "münchen.köln",
  "日本語.jp",
  "かな漢字カナ.jp",
  "한국어.kr",
  "中文.tw",
  "παράδειγμα.ελ",
  "مثال.مصر",
  "उदाहरण.भारत",
  "русский.com",
  "ağrı.tr",
  "straße.de",
  "www.bücher.example",
])("%s is shown as it is written", (domain) => {
  expect(ascii(domain)).toContain("xn--");
  expect(shownDomain(ascii(domain))).toBe(domain);
  expect(shownAddress(`info@${ascii(domain)}`)).toBe(`info@${domain}`);
});

test.each([
  ["pаypal.com", "a Cyrillic а among Latin letters"],
  ["аррӏе.com", "Cyrillic letters that all look Latin"],
  ["сосо.com", "the same"],
  ["οοο.com", "Greek ones"],
  ["gооgle.com", "two Cyrillic о"],
  ["wıkipedia.org", "a dotless i"],
  ["exаmple.xn--p1ai", "mixed under a Cyrillic domain"],
  ["αβcd.gr", "Greek and Latin"],
])("%s stays in its ASCII form: %s", (domain) => {
  expect(ascii(domain)).toContain("xn--");
  expect(shownDomain(ascii(domain))).toBe(ascii(domain));
});

test("anything else is left alone: ASCII, nothing, and what is no Punycode", () => {
  for (const text of [
    "example.com",
    "xn--",
    "xn--a-",
    "xn--ééé.example",
    "xn--99999999999999999.example",
    "xn---",
    "localhost",
    "",
  ])
    expect(shownDomain(text)).toBe(text);
  expect(shownAddress(null)).toBeNull();
  expect(shownAddress("+4930901820")).toBe("+4930901820");
  // An own lookalike letter is fine where the top level is Cyrillic as well.
  expect(shownDomain(ascii("сосо.рф"))).toBe("сосо.рф");
});
