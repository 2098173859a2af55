import { expect, test } from "vitest";
import { readEmailAddress } from "./email-address.ts";

test.each([
  ["ada@example.com", "ada@example.com"],
  ["  ADA@Example.COM ", "ada@example.com"],
  ["mailto:ada@example.com", "ada@example.com"],
  ["Ada Lovelace <ada@example.com>", "ada@example.com"],
  ['"Lovelace, Ada" <ada@example.com>', "ada@example.com"],
  ["<ada@example.com>", "ada@example.com"],
  ["ada@example.com, ada@EXAMPLE.com", "ada@example.com"],
  // Every local part of RFC 5321.
  ["r&d@example.com", "r&d@example.com"],
  ["a/b=c@example.com", "a/b=c@example.com"],
  ["o'neill+x_y-z@example.com", "o'neill+x_y-z@example.com"],
  ["{a|b}~!#$%*?^`@example.com", "{a|b}~!#$%*?^`@example.com"],
  ['"ada lovelace"@example.com', '"ada lovelace"@example.com'],
  // Internationalised domains.
  ["info@xn--e1afmkfd.xn--p1ai", "info@xn--e1afmkfd.xn--p1ai"],
  ["info@müller.example", "info@xn--mller-kva.example"],
  ["info@пример.рф", "info@xn--e1afmkfd.xn--p1ai"],
  ["info@例え.テスト", "info@xn--r8jz45g.xn--zckzah"],
  ["info@straße.example", "info@xn--strae-oqa.example"],
  [`${"a".repeat(64)}@example.com`, `${"a".repeat(64)}@example.com`],
])("%s is read as %s", (text, value) => expect(readEmailAddress(text)).toEqual({ value }));

test.each([
  "Ada Example <ada@example.com>, Bob Example <bob@example.com>",
  "Cid Example <cid@example.com>; Dee Example <dee@example.com>",
  "ada@example.com;bob@example.com",
  "ada@example.com, bob@example.com",
  "Team: ada@example.com, bob@example.com;",
])("which of several was meant is not guessed: %s", (text) =>
  expect(readEmailAddress(text)).toEqual({ fault: "several" }),
);

test.each([
  "",
  "ada",
  "@example.com",
  "ada@",
  "ada@localhost",
  "ada@example..com",
  "ada@-example.com",
  "ada@example.com.",
  "ada@127.0.0.1",
  "ada@[127.0.0.1]",
  "ada@example.com:25",
  "ada@example.com/path",
  "ada@exa mple.com",
  "ada@user@example.com",
  ".ada@example.com",
  "ada.@example.com",
  "a..b@example.com",
  "ada lovelace@example.com",
  "ádá@example.com",
  "ada@example.com\nbcc: eve@example.com",
  "n".repeat(59) + "😀 not an address",
  "x".repeat(3000) + "@example.com",
])("is no address: %s", (text) => expect(readEmailAddress(text)).toEqual({ fault: "invalid" }));

test.each([
  `${"a".repeat(65)}@example.com`,
  `a@${"b".repeat(60)}.${"c".repeat(60)}.${"d".repeat(60)}.${"e".repeat(60)}.${"f".repeat(10)}.com`,
])("is longer than SMTP carries: %s", (text) => expect(readEmailAddress(text)).not.toHaveProperty("value"));
