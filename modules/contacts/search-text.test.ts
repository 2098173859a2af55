import { expect, test } from "vitest";
import { importer } from "../../tests/support/import-file.ts";
import { testKernel } from "../../tests/support/kernel.ts";

// People, companies and lists are found as people write them: whatever the accents, the width, the composition and the case.

const t = testKernel();

const PEOPLE: [first: string, last: string, email: string][] = [
  ["Jürgen", "Müller", "j@example.com"],
  ["Łukasz", "Żółć", "l@example.com"],
  ["Søren", "Ångström", "s@example.com"],
  ["İbrahim", "Yıldız", "i@example.com"],
  ["Zoe\u0308", "Groß", "z@example.com"],
  ["Алёна", "Ёлкина", "a@example.com"],
  ["Ａｄａ", "Fullwidth", "f@example.com"],
  ["Nguyễn", "Đức", "n@example.com"],
  ["Γιώργος", "Παπαδόπουλος", "g@example.com"],
];

test("people are found with and without accents, in any form and width", async () => {
  const team = await t.tenant();
  const contacts = PEOPLE.map(([first_name, last_name, email]) => ({ first_name, last_name, email }));
  const made = await team.api("POST", "/contacts/bulk", { contacts });
  expect(made.body.data.every((d: any) => d.outcome === "created")).toBe(true);
  const found = async (search: string) =>
    (await team.api("GET", `/contacts?search=${encodeURIComponent(search)}`)).body.data
      .map((c: any) => c.email[0])
      .join("");
  for (const [search, who] of [
    ["muller", "j"],
    ["MÜLLER", "j"],
    ["Mu\u0308ller", "j"],
    ["jurgen mull", "j"],
    ["mü", "j"],
    ["mu", "j"],
    ["zolc", "l"],
    ["lukasz", "l"],
    ["ŻÓŁĆ", "l"],
    ["soren angstrom", "s"],
    ["ångström", "s"],
    ["sören", "s"],
    ["ibrahim", "i"],
    ["yildiz", "i"],
    ["İBRAHİM", "i"],
    ["zoë", "z"],
    ["zoe", "z"],
    ["gross", "z"],
    ["GROẞ", "z"],
    ["елкина", "a"],
    ["алена", "a"],
    ["АЛЁНА", "a"],
    ["ada", "f"],
    ["ａｄａ", "f"],
    ["nguyen duc", "n"],
    ["γιωργος", "g"],
    ["mul\u200bler", "j"],
    ["xyz", ""],
  ] as const)
    expect([search, await found(search)]).toEqual([search, who]);
  expect((await team.api("GET", `/contacts/count?search=${encodeURIComponent("zolc")}`)).body.count).toBe(1);
  // The same name in two forms is the same text.
  expect((await team.api("GET", "/contacts?search=zoe")).body.data[0].first_name).toBe("Zoë");
});

test("companies, lists, segments and tags are found so too; a company's domain has one form", async () => {
  const team = await t.tenant();
  const company = await team.api("POST", "/companies", { name: "Bäckerei Größe", domain: "bäckerei.example" });
  expect(company.body.domain).toBe("xn--bckerei-5wa.example");
  await team.api("POST", "/companies", { name: "Other", domain: "other.example" });
  await team.api("POST", "/lists", { name: "Café\u200b-Gäste" });
  await team.api("POST", "/segments", { name: "Überall", filter: { all: [] } });
  await team.api("POST", "/contacts", {
    email: "a@example.com",
    tags: ["Ärzte"],
    company_name: "X",
    company_domain: "https://www.Bäckerei.example/",
  });
  const names = async (path: string, search: string) =>
    (await team.api("GET", `${path}?search=${encodeURIComponent(search)}`)).body.data.map((r: any) => r.name ?? r.tag);
  for (const search of ["backerei", "BÄCKEREI", "grosse", "bäckerei.example", "xn--bckerei-5wa.example"])
    expect([search, await names("/companies", search)]).toEqual([search, ["Bäckerei Größe"]]);
  expect(await names("/lists", "cafe-gaste")).toEqual(["Café-Gäste"]);
  expect(await names("/segments", "uberall")).toEqual(["Überall"]);
  expect(await names("/tags", "arzte")).toEqual(["Ärzte"]);
  expect((await team.api("GET", "/companies")).body.data).toHaveLength(2);
});

test("an address with an internationalised domain is found by either form; what nobody sees is no part of an address", async () => {
  const team = await t.tenant();
  await importer(t)(team, "email,first_name\ninfo@müller.example,A\n\u200bada\u00ad@example.com\u200e,B\n");
  const found = async (search: string) =>
    (await team.api("GET", `/contacts?search=${encodeURIComponent(search)}`)).body.data.map((c: any) => c.email);
  for (const search of ["info@müller.example", "info@xn--mller-kva.example", "INFO@MÜLLER.EXAMPLE"])
    expect([search, await found(search)]).toEqual([search, ["info@xn--mller-kva.example"]]);
  expect(await found("ada@example.com")).toEqual(["ada@example.com"]);
  const suppressed = await team.api("POST", "/suppressions", { address: "a\u200bda@example.com" });
  expect(suppressed.body.address).toBe("ada@example.com");
});
