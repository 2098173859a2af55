import { parse } from "csv-parse/sync";
import { expect, test } from "vitest";
import { importer } from "../../../tests/support/import-file.ts";
import { testKernel } from "../../../tests/support/kernel.ts";

// A bad optional value keeps the contact and is noted; a result says what was wrong, how often and where.

const t = testKernel();
const importFile = importer(t);
const issuesOf = async (team: Awaited<ReturnType<typeof t.tenant>>, id: string) =>
  (await team.api("GET", `/imports/${id}/issues`)).body.data;

test.each([
  ["phone", "0800 CALL ME MAYBE", "is not a phone number; write it with the country code, like +49 30 123456"],
  ["whatsapp_number", "yes", "is not a phone number; write it with the country code, like +49 30 123456"],
  ["locale", "Klingonish!", "is not a language tag; it looks like de or en-GB"],
  ["locale", "xx", "is not a language tag; it looks like de or en-GB"],
  ["country", "x".repeat(61), "is longer than 60 characters"],
  ["time_zone", "Mars/Olympus", "is not a time zone; it looks like Europe/Berlin"],
  [
    "linkedin_url",
    "https://example.com/in/ada",
    "is not a LinkedIn profile; it looks like https://www.linkedin.com/in/name",
  ],
  ["company_domain", "not a domain", "is not a domain; it looks like example.com"],
  ["deal_value", "a lot", "is not an amount of money"],
  ["status", "Open - Not Contacted", expect.stringContaining("is not a status that can be set")],
  ["lawful_basis", "because", expect.stringContaining("is not a lawful basis")],
  ["custom.since", "31/02/2026", "is not a date; write it as YYYY-MM-DD"],
  ["custom.seats", "many", "is not a number"],
])("a bad value of %s keeps the contact: %s", async (field, value, reason) => {
  const team = await t.tenant();
  await team.api("POST", "/custom-fields", { key: "since", label: "Since", type: "date" });
  await team.api("POST", "/custom-fields", { key: "seats", label: "Seats", type: "number" });
  const { id, ended, people, reasons } = await importFile(
    team,
    `email,first_name,${field}\nada@example.com,Ada,${value}\n`,
  );
  expect(ended).toMatchObject({ status: "done", created: 1, rejected: 0, warnings: 1 });
  expect([people[0]!.first_name, reasons]).toEqual(["Ada", []]);
  expect(await issuesOf(team, id)).toEqual([
    { rejected: false, field, reason, count: 1, examples: [{ row: 2, value }] },
  ]);
  const warnings = parse((await team.api("GET", `/imports/${id}/warnings.csv`)).body, { bom: true, columns: true });
  expect(warnings).toEqual([{ row: "2", field, value, reason }]);
});

test("an unknown country is kept as it is written, and said to be unknown; languages may have names", async () => {
  const team = await t.tenant();
  const { id, ended, people } = await importFile(
    team,
    "email,country,language\na@example.com,Narnia,Deutsch\nb@example.com,Allemagne,French\n",
  );
  expect(ended).toMatchObject({ created: 2, warnings: 1 });
  expect(people.map((p) => [p.country, p.locale])).toEqual([
    ["Narnia", "de"],
    ["DE", "fr"],
  ]);
  expect(await issuesOf(team, id)).toMatchObject([{ field: "country", examples: [{ row: 2, value: "Narnia" }] }]);
});

test("equal faults are one group with a count and the first rows, rejected rows before values that were left out", async () => {
  const team = await t.tenant();
  const rows = Array.from({ length: 25 }, (_, i) => `p${i}@example.com,P,phone ${i}`);
  const bad = [
    "nobody,N,",
    "'quoted' is not,N,",
    "p1@example.com;p2@example.com,N,",
    ",,",
    "p3@example.com,P,+4930901820,extra",
  ];
  const { id, ended, reasons } = await importFile(team, `email,first_name,phone\n${[...rows, ...bad].join("\n")}\n`);
  expect(ended).toMatchObject({ created: 25, rejected: 4, warnings: 25 });
  expect(await issuesOf(team, id)).toMatchObject([
    {
      rejected: true,
      field: "email",
      reason: "is not an email address",
      count: 2,
      examples: [{ row: 27, value: "nobody" }, { row: 28 }],
    },
    { rejected: true, field: "", count: 1, reason: expect.stringContaining("has 4 columns") },
    { rejected: true, field: "email", count: 1, reason: expect.stringContaining("several email addresses") },
    { rejected: false, field: "phone", count: 25, examples: [{ row: 2, value: "phone 0" }, { row: 3 }, { row: 4 }] },
  ]);
  expect(reasons).toHaveLength(4);
  expect(reasons[0]).toBe("email: 'nobody' is not an email address");
  const other = await t.tenant();
  for (const path of ["issues", "warnings.csv"])
    expect((await other.api("GET", `/imports/${id}/${path}`)).status).toBe(404);
});

test("whoever wants it has the row rejected instead, with all its faults in one reason", async () => {
  const { ended, reasons } = await importFile(
    await t.tenant(),
    "email,first_name,phone,locale\nada@example.com,Ada,none,xx\n",
    { invalid_values: "reject" },
  );
  expect(ended).toMatchObject({ created: 0, rejected: 1, warnings: 0 });
  expect(reasons).toEqual([
    "phone: 'none' is not a phone number; write it with the country code, like +49 30 123456; locale: 'xx' is not a language tag; it looks like de or en-GB",
  ]);
});

test("the key is never optional, and a row that is skipped warns of nothing", async () => {
  const team = await t.tenant();
  await team.api("POST", "/contacts", { email: "ada@example.com" });
  const { ended } = await importFile(team, "email,phone\nada@example.com,none\nnobody,none\n");
  expect(ended).toMatchObject({ created: 0, skipped: 1, rejected: 1, warnings: 0 });
});
