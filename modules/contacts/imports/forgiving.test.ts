import { expect, test } from "vitest";
import { startStack } from "../../../supabase/embedded/stack.ts";
import { importer } from "../../../tests/support/import-file.ts";
import { connectKernel, testKernel } from "../../../tests/support/kernel.ts";

// What spreadsheets and people put into files is read, and one bad cell costs no other row.

const t = testKernel();
const importFile = importer(t);

test("a character of two halves at the place of a cut fails neither the row's neighbours nor the row", async () => {
  const bad = `${"n".repeat(59)}😀 not an address`;
  const first = await importFile(await t.tenant(), `email,first_name\ngood@example.com,Good\n${bad},Bad\n`);
  expect(first.ended).toMatchObject({ status: "done", created: 1, rejected: 1 });
  expect(first.reasons[0]).toContain("is not an email address");

  const long = await importFile(await t.tenant(), `email,name\nada@example.com,${"n".repeat(119)}😀abc\n`);
  expect(long.ended).toMatchObject({ status: "done", created: 1, rejected: 0 });
  expect(long.people[0]!.first_name).toBe("n".repeat(119));
  // The same where a file is previewed, in a header, and in a tag that is too long.
  const header = `${"h".repeat(199)}😀`;
  const cell = `${"c".repeat(499)}😀`;
  const shown = await importFile(
    await t.tenant(),
    `email,tags,${header}\nada@example.com,${"t".repeat(19)}😀${"t".repeat(60)},${cell}\n`,
  );
  expect(shown.detected.headers[2]).toBe("h".repeat(199));
  expect(shown.ended).toMatchObject({ status: "done", created: 1, warnings: 1 });
});

test("a row that the database refuses is rejected with the reason, and the others are imported", async () => {
  // A database of its own: the rule that refuses is a change of the table, which would wait for everybody's transactions.
  const stack = await startStack({ gateway: false, services: { functions: false, cron: false, worker: false } });
  const own = connectKernel({ ...stack.env, LOG_LEVEL: "silent" });
  try {
    await own.sql`alter table public.contacts add constraint refused check (first_name <> 'Refused')`;
    const rows = ["Ada", "Refused", "Bob", "Cid", "Refused", "Dee"].map((name, i) => `p${i}@example.com,${name}`);
    const team = await own.tenant();
    const { ended, people, reasons } = await importer(own)(team, `email,first_name\n${rows.join("\n")}\n`);
    expect(ended).toMatchObject({ status: "done", rows_done: 6, created: 4, rejected: 2 });
    expect(people.map((p) => p.first_name)).toEqual(["Ada", "Bob", "Cid", "Dee"]);
    for (const reason of reasons) expect(reason).toContain("could not be saved");
  } finally {
    await own.close();
    await stack.stop();
  }
});

test("a cell with several addresses is refused, never the neighbour's address taken", async () => {
  const { ended, reasons } = await importFile(
    await t.tenant(),
    'first_name,email\nAda,"Ada Example <ada@example.com>, Bob Example <bob@example.com>"\nCid,"Cid Example <cid@example.com>; Dee Example <dee@example.com>"\n',
  );
  expect(ended).toMatchObject({ status: "done", created: 0, rejected: 2 });
  for (const reason of reasons) expect(reason).toContain("several email addresses");
  const team = await t.tenant();
  const { status, body } = await team.api("POST", "/contacts", { email: "ada@example.com, bob@example.com" });
  expect([status, body.errors?.[0]?.pointer]).toEqual([422, "/email"]);
});

test.each([
  ["Excel's hint at the delimiter", "sep=;\r\nemail;first_name\r\nada@example.com;Ada\r\nbob@example.com;Bob\r\n"],
  ["the hint with a mark before it", "\ufeffsep=;\nemail;first_name\nada@example.com;Ada\nbob@example.com;Bob\n"],
  ["the hint at a tab", "sep=\t\nemail\tfirst_name\nada@example.com\tAda\nbob@example.com\tBob\n"],
  [
    "a title and a note",
    "Contacts of the fair\n\nexported in May\nemail,first_name\nada@example.com,Ada\nbob@example.com,Bob\n",
  ],
  ["a title with empty cells", "Contacts,\nemail,first_name\nada@example.com,Ada\nbob@example.com,Bob\n"],
])("what stands before the header is skipped: %s", async (_, file) => {
  const { ended, people, detected } = await importFile(await t.tenant(), file);
  expect(detected.headers).toEqual(["email", "first_name"]);
  expect(ended).toMatchObject({ status: "done", rows_total: 2, created: 2, rejected: 0 });
  expect(people.map((p) => p.first_name)).toEqual(["Ada", "Bob"]);
});

test("addresses that mail servers take are taken, with the domain as DNS has it", async () => {
  const { ended, people } = await importFile(
    await t.tenant(),
    "email,first_name\ninfo@xn--e1afmkfd.xn--p1ai,A\ninfo@müller.example,B\ninfo@例え.テスト,C\nr&d@example.com,D\na/b=c@example.com,E\n",
  );
  expect(ended).toMatchObject({ status: "done", created: 5, rejected: 0 });
  expect(people.map((p) => p.email)).toContain("info@xn--mller-kva.example");
});

test("our own export's columns of custom fields are mapped back", async () => {
  const team = await t.tenant();
  expect((await team.api("POST", "/custom-fields", { key: "seats", label: "Licences", type: "number" })).status).toBe(
    201,
  );
  const { people, detected } = await importFile(team, "email,custom.seats\nada@example.com,12\n");
  expect(detected.suggested_mapping).toEqual({ email: "email", "custom.seats": "custom.seats" });
  expect(people[0]!.custom).toEqual({ seats: 12 });
});
