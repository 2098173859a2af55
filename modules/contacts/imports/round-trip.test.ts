import { parse } from "csv-parse/sync";
import { expect, test } from "vitest";
import { importer } from "../../../tests/support/import-file.ts";
import { testKernel, type TestTenant } from "../../../tests/support/kernel.ts";
import { csvLines, withoutGuards } from "../csv.ts";
import { awkwardTags, readTagCell, writeTagCell } from "../tag-cell.ts";

// What the export writes, the import reads back as it was.

const t = testKernel();
const importFile = importer(t);

const TAGS = ["Berlin, Mitte", "R|D", "a;b"];
const FIELD = { key: "seats", label: "Licences", type: "number" };

const exported = async (team: TestTenant): Promise<string> =>
  (await team.api("GET", "/contacts/export.csv?sort=email")).body;
/** Its rows, without what an installation finds out itself. */
const rowsOf = (file: string) =>
  (parse(file, { bom: true, columns: true, record_delimiter: "\r\n" }) as Record<string, string>[]).map(
    ({ warmth_score: _w, last_interaction_at: _l, created_at: _c, ...row }) => row,
  );

/** A team with one person who has everything and one who opted out. */
async function team() {
  const made = await t.tenant();
  await made.api("POST", "/custom-fields", FIELD);
  const ada = await made.api("POST", "/contacts", {
    email: "ada@example.com",
    first_name: "Ada",
    tags: TAGS,
    custom: { seats: 12 },
  });
  const opt = await made.api("POST", "/contacts", { email: "opt@example.com", first_name: "Opt" });
  expect([ada.status, opt.status]).toEqual([201, 201]);
  await made.api("POST", "/suppressions", { address: "opt@example.com", reason: "unsubscribe" });
  await t.drain("contacts_message_facts");
  return made;
}
const facts = (people: Record<string, any>[]) =>
  people.map((p) => ({ email: p.email, status: p.status, tags: p.tags.toSorted(), custom: p.custom }));

test("our own export changes nothing where it comes from, and rejects nobody", async () => {
  const own = await team();
  const before = (await own.api("GET", "/contacts?sort=email")).body.data;
  const { ended, people, reasons } = await importFile(own, await exported(own), { on_duplicate: "update" });
  expect([ended, reasons]).toMatchObject([{ status: "done", updated: 2, rejected: 0 }, []]);
  expect(facts(people)).toEqual(facts(before));
  // As an earlier version wrote it: without quotes, the tags that the team has are read whole.
  const file =
    'email,first_name,status,tags,custom.seats\nada@example.com,Ada,new,"Berlin, Mitte, R|D, a;b",12\nopt@example.com,Opt,unsubscribed,,\n';
  const again = await importFile(own, file, { on_duplicate: "update" });
  expect([again.ended.rejected, facts(again.people)]).toEqual([0, facts(before)]);
});

test("in another team the person who opted out stays so and is not written to", async () => {
  const other = await t.tenant();
  await other.api("POST", "/custom-fields", FIELD);
  const { ended, people } = await importFile(other, await exported(await team()));
  expect(ended).toMatchObject({ status: "done", created: 2, rejected: 0 });
  expect(facts(people)).toEqual([
    { email: "ada@example.com", status: "new", tags: TAGS.toSorted(), custom: { seats: 12 } },
    { email: "opt@example.com", status: "unsubscribed", tags: [], custom: {} },
  ]);
  const { data } = (await other.api("GET", "/suppressions")).body;
  expect(data).toMatchObject([{ address: "opt@example.com", reason: "unsubscribe" }]);
  expect((await other.api("GET", `/contacts/${people[1]!.id}/consents`)).body.data).toMatchObject([
    { channel: "email", state: "withdrawn" },
  ]);
});

test.each([
  ["unsubscribed", "unsubscribe"],
  ["bounced", "bounce"],
  ["suppressed", "manual"],
])(
  "a file that says %s suppresses the address, of new people and of known ones, and no later row undoes it",
  async (status, reason) => {
    const own = await t.tenant();
    await own.api("POST", "/contacts", { email: "known@example.com" });
    const rows = ["known", "fresh", "twice"].map((name) => `${name}@example.com,${status}`);
    const { ended, people } = await importFile(own, `email,status\n${rows.join("\n")}\ntwice@example.com,new\n`, {
      on_duplicate: "update",
    });
    expect(ended).toMatchObject({ rejected: 0 });
    expect(people.map((p) => p.status)).toEqual([status, status, status]);
    const { data } = (await own.api("GET", "/suppressions")).body;
    expect(data.map((s: any) => `${s.address} ${s.reason}`).sort()).toEqual(
      ["fresh", "known", "twice"].map((name) => `${name}@example.com ${reason}`),
    );
    // The API still takes what people may set only.
    expect((await own.api("POST", "/contacts", { email: "x@example.com", status })).body.errors[0].pointer).toBe(
      "/status",
    );
  },
);

test("any text comes back: an export imported into an empty team and exported again is the same file", async () => {
  const random = generator(20261130);
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
  const PARTS = [
    "a",
    "Zoë",
    " ",
    ",",
    ";",
    "|",
    '"',
    "'",
    "=",
    "+",
    "-",
    "@",
    "\n",
    "\r\n",
    "\t",
    "😀",
    "9",
    ".",
    "\\",
    "＝",
    "نام",
    "''",
    "sep=;",
  ];
  const text = (most: number) =>
    Array.from({ length: 1 + Math.floor(random() * most) }, () => pick(PARTS))
      .join("")
      .slice(0, 50)
      .trim();
  const own = await t.tenant();
  const other = await t.tenant();
  for (const to of [own, other])
    for (const type of ["text", "number", "date", "boolean", "select", "url"])
      await to.api("POST", "/custom-fields", {
        key: `f_${type}`,
        label: type,
        type,
        ...(type === "select" ? { options: ["a, b", "=A", "=a"] } : {}),
      });
  const contacts = Array.from({ length: 150 }, (_, i) => ({
    email: `p${String(i).padStart(3, "0")}@example.com`,
    first_name: text(8),
    last_name: text(8),
    title: text(12),
    pipeline_stage: text(5),
    ...(i % 3 === 0 ? { phone: "+4930901820", country: "DE", deal_value: 1234.5, time_zone: "Europe/Berlin" } : {}),
    ...(i % 4 === 0 ? { company_domain: `c${i}.example`, company_name: text(6) || "C" } : {}),
    ...(i % 5 === 0 ? { lawful_basis: "consent", consent_source: text(9) } : {}),
    tags: Array.from({ length: Math.floor(random() * 5) }, () => text(4)),
    custom: {
      f_text: text(20),
      f_number: pick([0, -1.5, 1e21, 0.001, 1234567]),
      f_date: "2026-02-28",
      f_boolean: i % 2 === 0,
      f_select: pick(["a, b", "=A", "=a"]),
      f_url: "https://example.com/?a=1,2;3",
    },
    status: pick(["new", "customer"]),
  }));
  const answer = await own.api("POST", "/contacts/bulk", { contacts });
  expect(answer.body.data.filter((d: any) => d.outcome !== "created")).toEqual([]);
  const file = await exported(own);
  const { ended } = await importFile(other, file);
  expect(ended).toMatchObject({ status: "done", created: 150, rejected: 0 });
  expect(rowsOf(await exported(other))).toEqual(rowsOf(file));
});

test("a cell's tags and guards are read as they were written, whatever the tags", () => {
  const random = generator(7);
  const PARTS = ["a", "b", ",", ";", "|", '"', " ", "=", "'", "+"];
  const word = () =>
    Array.from({ length: 1 + Math.floor(random() * 6) }, () => PARTS[Math.floor(random() * PARTS.length)]!)
      .join("")
      .trim();
  for (let i = 0; i < 5000; i++) {
    const tags = [...new Set(Array.from({ length: Math.floor(random() * 4) }, word).filter((w) => w !== ""))];
    // Whatever tags the reader's team has, when what was written has quotes or was written there.
    const team = awkwardTags(i % 2 ? Array.from({ length: 5 }, word).filter((w) => /[,;|]/.test(w)) : []);
    expect(readTagCell(writeTagCell(tags, team), team)).toEqual(tags);
    const cell = word();
    expect(
      withoutGuards(
        csvLines([[cell]])
          .replace(/\r\n$/, "")
          .replace(/^"(.*)"$/s, "$1")
          .replaceAll('""', '"'),
      ),
    ).toBe(cell);
  }
  expect(readTagCell("a,b; c|d,,")).toEqual(["a", "b", "c", "d"]);
});

/** Numbers from 0 to 1, the same in every run. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
