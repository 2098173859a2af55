import { clean } from "../kernel/text.ts";
import { describe, expect, it } from "vitest";
import { customValue } from "./custom-values.ts";
import { readContact, splitName } from "./fields.ts";
import {
  normaliseCountry,
  normaliseDomain,
  normaliseEmail,
  normaliseLinkedinUrl,
  normaliseLocale,
  normalisePhone,
  normaliseTimeZone,
  parseBoolean,
  parseDate,
  parseNumber,
} from "./normalize.ts";

const none = { custom: new Map() };

describe("one written form per value", () => {
  it.each([
    [" Ada@Example.COM ", "ada@example.com"],
    ["Ada Lovelace <ada@example.com>", "ada@example.com"],
    ["mailto:ada@example.com", "ada@example.com"],
  ])("e-mail %j becomes %j", (given, value) => expect(normaliseEmail(clean(given))).toEqual({ value }));

  it.each([
    "foo",
    "a@b",
    "two words@example.com",
    "a@b@c.com",
    "ada@example..com",
    "@example.com",
    "x".repeat(250) + "@a.de",
  ])("e-mail %j is refused by name", (given) => {
    const result = normaliseEmail(given);
    expect(result).toHaveProperty("fault");
  });

  it("says which text is no e-mail address", () =>
    expect(normaliseEmail("foo")).toEqual({ fault: "'foo' is not an email address" }));

  it.each([
    ["+49 (0)30 901820", null, "+4930901820"],
    ["030 901820", "DE", "+4930901820"],
    ["0049 30 901820", null, "+4930901820"],
    ["(415) 555-2671", "US", "+14155552671"],
    ["+44 20 7946 0958", "DE", "+442079460958"],
    ["+52 1 55 1234 5678", null, "+525512345678"],
    ["+5215512345678", "MX", "+525512345678"],
    ["+52 155 123 4567", null, "+521551234567"],
  ])("phone %j in %j becomes %j", (given, country, value) => expect(normalisePhone(given, country)).toEqual({ value }));

  it("refuses a phone number without any country, and says how to write it", () => {
    expect(normalisePhone("030 901820")).toEqual({ fault: expect.stringContaining("with the country code") });
    expect(normalisePhone("12", "DE")).toEqual({ fault: expect.stringContaining("of DE") });
  });

  it.each([
    ["linkedin.com/in/Ada-Lovelace/?trk=x", "https://www.linkedin.com/in/ada-lovelace"],
    ["https://de.linkedin.com/in/ada", "https://www.linkedin.com/in/ada"],
  ])("profile %j becomes %j", (given, value) => expect(normaliseLinkedinUrl(given)).toEqual({ value }));
  it.each([
    "https://evil.com/in/ada",
    "https://linkedin.com.evil.com/in/ada",
    "https://www.linkedin.com/company/acme",
    "not a url at all",
  ])("profile %j is refused", (given) => expect(normaliseLinkedinUrl(given)).toHaveProperty("fault"));

  it.each([
    ["https://www.Example.com/about?x=1", "example.com"],
    ["info@acme.co.uk", "acme.co.uk"],
    ["EXAMPLE.DE.", "example.de"],
  ])("domain %j becomes %j", (given, value) => expect(normaliseDomain(given)).toEqual({ value }));
  it.each(["localhost", "acme", "-.com", "a b.com"])("domain %j is refused", (given) =>
    expect(normaliseDomain(given)).toHaveProperty("fault"),
  );

  it.each([
    ["Germany", "DE"],
    ["deutschland", "DE"],
    ["Royaume-Uni", "GB"],
    ["UK", "GB"],
    ["us", "US"],
    ["Atlantis", "Atlantis"],
  ])("country %j becomes %j", (given, value) => expect(normaliseCountry(given)).toEqual({ value }));

  it("checks time zones and language tags", () => {
    expect(normaliseTimeZone("Europe/Berlin")).toEqual({ value: "Europe/Berlin" });
    expect(normaliseTimeZone("Mars/Olympus")).toHaveProperty("fault");
    expect(normaliseLocale("de_de")).toEqual({ value: "de-DE" });
    expect(normaliseLocale("!!")).toHaveProperty("fault");
  });

  it.each([
    ["1234", 1234],
    ["1,5", 1.5],
    ["1.234,56", 1234.56],
    ["1,234.56", 1234.56],
    ["-3.5", -3.5],
    ["€ 20", 20],
    ["abc", null],
    ["1e999", null],
    ["0x10", null],
  ])("number %j is %j", (given, value) => expect(parseNumber(given)).toBe(value));

  it.each([
    ["2026-02-28", "2026-02-28"],
    ["2026-02-31", null],
    ["31.12.2026", "2026-12-31"],
    ["12/31/2026", "2026-12-31"],
    ["31/12/2026", "2026-12-31"],
    ["03/04/2026", null],
    ["2026-01-05T10:00:00Z", "2026-01-05"],
    ["soon", null],
  ])("date %j is %j, and an ambiguous one is refused", (given, value) => expect(parseDate(given)).toBe(value));

  it("reads yes and no in several languages", () => {
    expect(["yes", "Ja", "1", "oui"].map(parseBoolean)).toEqual([true, true, true, true]);
    expect(["no", "Nein", "0"].map(parseBoolean)).toEqual([false, false, false]);
    expect(parseBoolean("maybe")).toBeNull();
  });
});

describe("custom field values", () => {
  const def = (type: string, options: string[] = []) => ({ key: "k", label: "K", type, options }) as never;
  it.each([
    ["number", "12,5", 12.5],
    ["number", 3, 3],
    ["boolean", "ja", true],
    ["date", "31.12.2026", "2026-12-31"],
    ["url", "example.com/x", "https://example.com/x"],
    ["text", " hi ", "hi"],
  ])("%s reads %j as %j", (type, given, value) => expect(customValue(def(type), given)).toEqual({ value }));
  it("a select keeps the option's own spelling", () =>
    expect(customValue(def("select", ["Gold", "Silver"]), "gold")).toEqual({ value: "Gold" }));
  it.each([
    ["number", "many"],
    ["boolean", "perhaps"],
    ["date", "2026-13-01"],
    ["url", "javascript:alert(1)"],
    ["url", "ftp://example.com"],
    ["text", "x".repeat(2001)],
    ["number", {}],
  ])("%s refuses %j", (type, given) => expect(customValue(def(type), given)).toHaveProperty("fault"));
});

describe("reading a person", () => {
  it("reports every fault with its field, not only the first", () => {
    const { faults } = readContact({ email: "foo", phone: "1", lawful_basis: "luck", custom: { nope: "1" } }, none);
    expect(faults.map((f) => f.field)).toEqual(["email", "phone", "lawful_basis", "custom/nope"]);
  });
  it("reads a phone number in the person's own country", () => {
    expect(readContact({ phone: "030 901820", country: "Germany" }, none).values).toMatchObject({
      phone: "+4930901820",
      country: "DE",
    });
    expect(readContact({ phone: "030 901820" }, { ...none, defaultCountry: "DE" }).values.phone).toBe("+4930901820");
  });
  it("leaves out what was not given, clears what was given empty", () => {
    expect(readContact({ email: "a@b.co", title: null, phone: "" }, none).values).toEqual({
      email: "a@b.co",
      title: "",
      phone: null,
    });
  });
  it("refuses statuses that are facts about deliveries", () =>
    expect(readContact({ status: "unsubscribed" }, none).faults[0]!.detail).toContain("not a status that can be set"));
  it.each([
    ["Ada King Lovelace", { first_name: "Ada King", last_name: "Lovelace" }],
    ["Lovelace, Ada", { first_name: "Ada", last_name: "Lovelace" }],
    ["Plato", { first_name: "Plato", last_name: "" }],
  ])("splits the name %j", (full, parts) => expect(splitName(full)).toEqual(parts));
});
