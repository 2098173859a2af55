import { parse } from "csv-parse/sync";
import { describe, expect, it } from "vitest";
import { testKernel, type TestTenant } from "../../../tests/support/kernel.ts";
import { until } from "../../../tests/support/until.ts";
import { pruneImports } from "../schedules.ts";
import { runImport } from "./run.ts";

const t = testKernel();
const csv = { "content-type": "text/csv" };
const bytes = (text: string) => new TextEncoder().encode(text);

const upload = (
  team: TestTenant,
  body: string | Uint8Array | ReadableStream,
  headers: Record<string, string> = csv,
  name = "people.csv",
) => team.api("POST", `/imports?file_name=${encodeURIComponent(name)}`, body, headers);

/** Uploads, maps as suggested (or as given), starts and drains; answers with the import at its end. */
async function importFile(
  team: TestTenant,
  body: string | Uint8Array,
  options: object = {},
  mapping?: Record<string, string | null>,
) {
  const uploaded = await upload(team, body);
  expect(uploaded.status, JSON.stringify(uploaded.body)).toBe(201);
  const mapped = await team.api("PUT", `/imports/${uploaded.body.id}/mapping`, {
    mapping: mapping ?? uploaded.body.detected.suggested_mapping,
    options,
  });
  expect(mapped.status, JSON.stringify(mapped.body)).toBe(200);
  const started = await team.api("POST", `/imports/${uploaded.body.id}/start`);
  expect(started.status).toBe(202);
  return await ended(team, uploaded.body.id);
}

/** The import once it no longer runs. Other suites drain the same queue, so its job may be in their hands. */
async function ended(team: TestTenant, id: string) {
  return await until(
    async () => {
      await t.drain("contacts_import");
      const { body } = await team.api("GET", `/imports/${id}`);
      return body.status === "running" ? null : body;
    },
    { what: "the import to end" },
  );
}

/** Marks an import as running without a job: the test itself is the worker, and no other suite can take it over. */
const startByHand = (id: string) =>
  t.sql`update public.imports set status = 'running', started_at = now() where id = ${id}`;
const worker = (team: TestTenant) => ({
  ...t.kernel.manual({ actor: { kind: "job", name: "test" }, tenantId: team.id }),
  enqueue: async () => {},
});

const errorsOf = async (team: TestTenant, id: string, delimiter = ",") =>
  parse((await team.api("GET", `/imports/${id}/errors.csv`)).body, {
    bom: true,
    delimiter,
    relax_column_count: true,
  }) as string[][];

const emails = async (team: TestTenant) =>
  (await team.api("GET", "/contacts?sort=email&limit=100")).body.data.map((c: { email: string }) => c.email);

describe("upload", () => {
  it("201 with what was found: delimiter, encoding, headers, rows, mapping", async () => {
    const team = await t.tenant();
    const { status, body } = await upload(
      team,
      "E-Mail;Vorname;Firma\nada@b.co;Ada;Acme\nbob@b.co;Bob;\n",
      csv,
      "C:\\lists\\leads.csv",
    );
    expect(status).toBe(201);
    expect(body).toMatchObject({
      file_name: "leads.csv",
      status: "uploaded",
      rows_total: 2,
      rows_done: 0,
      detected: {
        delimiter: ";",
        encoding: "utf-8",
        has_header: true,
        headers: ["E-Mail", "Vorname", "Firma"],
        preview_rows: [
          ["ada@b.co", "Ada", "Acme"],
          ["bob@b.co", "Bob", ""],
        ],
        suggested_mapping: { "E-Mail": "email", Vorname: "first_name", Firma: "company_name" },
      },
    });
    expect((await team.api("GET", "/imports")).body.data).toHaveLength(1);
    expect(await emails(team)).toEqual([]);
  });

  it.each([
    ["application/json", "{}", 415, "text/csv or text/plain"],
    ["text/csv", new Uint8Array([0x50, 0x4b, 3, 4, 0, 0]), 415, "Excel workbook"],
    ["text/csv", "", 422, "empty"],
    ["text/csv", "email,name\n", 422, "no rows"],
  ])("%s: refused", async (type, body, status, message) => {
    const team = await t.tenant();
    const answer = await upload(team, body, { "content-type": type });
    expect([answer.status, answer.body.detail]).toEqual([status, expect.stringContaining(message)]);
    // Nothing half-uploaded stays behind.
    expect((await t.sql`select 1 from public.imports where tenant_id = ${team.id}`).length).toBe(0);
  });

  it("413 by its announced size, before a byte is read", async () => {
    const team = await t.tenant();
    const answer = await upload(team, "a,b\n1,2\n", { ...csv, "content-length": String(600 * 1024 * 1024) });
    expect(answer.status).toBe(413);
  });

  it("an upload that breaks off leaves nothing", async () => {
    const team = await t.tenant();
    let pulls = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (pulls++ < 3) controller.enqueue(bytes("email,name\n".padEnd(1024 * 1024, "a@b.co,x\n")));
        else controller.error(new Error("connection lost"));
      },
    });
    expect((await upload(team, body)).status).toBe(400);
    expect((await t.sql`select 1 from public.imports where tenant_id = ${team.id}`).length).toBe(0);
    expect((await t.sql`select 1 from public.import_chunks where tenant_id = ${team.id}`).length).toBe(0);
  });

  it("403 for a viewer", async () => {
    const team = await t.tenant();
    const viewer = await team.member("viewer");
    expect((await viewer.api("POST", "/imports", "a,b\n1,2\n", csv)).status).toBe(403);
  });
});

describe("mapping", () => {
  it("422 per fault, 409 once it runs, 409 before it is set", async () => {
    const team = await t.tenant();
    const { body } = await upload(team, "Email,Plan\na@b.co,pro\n");
    expect((await team.api("POST", `/imports/${body.id}/start`)).status).toBe(409);
    const bad = await team.api("PUT", `/imports/${body.id}/mapping`, { mapping: { Email: "mail", Nope: null } });
    expect(bad.status).toBe(422);
    expect(bad.body.errors.map((e: { pointer: string }) => e.pointer)).toEqual(["/mapping/Email", "/mapping/Nope"]);
    const list = await team.api("PUT", `/imports/${body.id}/mapping`, {
      mapping: { Email: "email" },
      options: { list_id: "01900000-0000-7000-8000-000000000000" },
    });
    expect(list.body.errors[0].pointer).toBe("/options/list_id");
    const good = await team.api("PUT", `/imports/${body.id}/mapping`, {
      mapping: { Email: "email", Plan: "custom.plan" },
      options: { create_custom_fields: true },
    });
    expect(good.body.status).toBe("ready");
    expect((await team.api("GET", "/custom-fields")).body.data).toMatchObject([
      { key: "plan", label: "Plan", type: "text" },
    ]);
    expect((await team.api("POST", `/imports/${body.id}/start`)).status).toBe(202);
    expect((await team.api("POST", `/imports/${body.id}/start`)).status).toBe(409);
    expect((await team.api("PUT", `/imports/${body.id}/mapping`, { mapping: { Email: "email" } })).status).toBe(409);
    await ended(team, body.id);
    expect((await team.api("GET", "/contacts")).body.data[0].custom).toEqual({ plan: "pro" });
  });
});

describe("import", () => {
  it("brings in a messy file: refused rows keep their text and get a reason, the rest arrives", async () => {
    const team = await t.tenant();
    const list = (await team.api("POST", "/lists", { name: "Fair" })).body.id;
    const file = [
      "Email,First Name,Last Name,Company,Phone,Country,Notes",
      " ADA@Example.com ,Ada,Lovelace,Acme,030 901820,Germany,x",
      "foo,Bad,Row,,,,",
      "",
      ",,,,,,",
      '"bob@example.com","Bob ""the"" Builder",,"Acme, Inc.",,,"two\nlines"',
      "ada@example.com,Again,,,,,",
      "eve@example.com,Eve,,,not a phone,,",
      "too,many,columns,in,this,row,here,really",
      "carl@example.com,Carl",
      ",,,,,,only a note",
    ].join("\r\n");
    const done = await importFile(team, file, {
      list_id: list,
      tags: ["fair"],
      consent_source: "Fair 2026",
      invalid_values: "reject",
      lawful_basis: "legitimate_interests",
    });
    expect(done).toMatchObject({
      status: "done",
      rows_total: 8,
      rows_done: 8,
      created: 3,
      updated: 0,
      skipped: 1,
      rejected: 4,
      error: null,
    });
    expect(done.created + done.updated + done.skipped + done.rejected).toBe(done.rows_done);
    expect(await emails(team)).toEqual(["ada@example.com", "bob@example.com", "carl@example.com"]);
    const ada = (await team.api("GET", "/contacts?search=ada@")).body.data[0];
    expect(ada).toMatchObject({
      phone: "+4930901820",
      country: "DE",
      company: { name: "Acme" },
      tags: ["fair"],
      consent_source: "Fair 2026",
      lawful_basis: "legitimate_interests",
    });
    expect((await team.api("GET", "/contacts?search=bob")).body.data[0]).toMatchObject({
      first_name: 'Bob "the" Builder',
      company: { name: "Acme, Inc." },
    });
    expect((await team.api("GET", `/lists/${list}`)).body.contact_count).toBe(3);

    const [header, ...rows] = await errorsOf(team, done.id);
    expect(header).toEqual([
      "row",
      "reason",
      "Email",
      "First Name",
      "Last Name",
      "Company",
      "Phone",
      "Country",
      "Notes",
    ]);
    expect(rows.map((r) => [r[0], r[1]])).toEqual([
      ["3", "email: 'foo' is not an email address"],
      ["8", expect.stringContaining("phone: 'not a phone' is not a phone number")],
      ["9", expect.stringContaining("has 8 columns, the header has 7")],
      ["11", expect.stringContaining("no email address")],
    ]);
    expect(rows[2]!.slice(2)).toEqual(["too", "many", "columns", "in", "this", "row", "here", "really"]);
  });

  it.each([
    ["skip", { created: 1, updated: 0, skipped: 2 }, ["Old", "Boss"]],
    ["update", { created: 1, updated: 2, skipped: 0 }, ["Newer", "Boss"]],
  ])(
    "people who exist: %s; empty cells never clear, the list takes them either way",
    async (on_duplicate, counts, [name, title]) => {
      const team = await t.tenant();
      const list = (await team.api("POST", "/lists", { name: "L" })).body.id;
      await team.api("POST", "/contacts", {
        email: "old@b.co",
        first_name: "Old",
        title: "Boss",
        consent_source: "asked",
        lawful_basis: "consent",
      });
      const done = await importFile(team, "email,first_name,title\nold@b.co,New,\nnew@b.co,N,\nOLD@b.co,Newer,\n", {
        on_duplicate,
        list_id: list,
        consent_source: "file",
      });
      expect(done).toMatchObject({ status: "done", rejected: 0, ...counts });
      const old = (await team.api("GET", "/contacts?search=old@")).body.data[0];
      expect(old).toMatchObject({ first_name: name, title, consent_source: "asked", lawful_basis: "consent" });
      expect((await team.api("GET", `/lists/${list}`)).body.contact_count).toBe(2);
    },
  );

  it("recognises people by LinkedIn; an address that belongs to somebody else is refused", async () => {
    const team = await t.tenant();
    await team.api("POST", "/contacts", { email: "taken@b.co" });
    await team.api("POST", "/contacts", { linkedin_url: "linkedin.com/in/ada", first_name: "Ada" });
    const file =
      "linkedin,email,title\nhttps://LinkedIn.com/in/Ada/,ada@b.co,CEO\nlinkedin.com/in/bob,taken@b.co,CTO\nlinkedin.com/in/eve,eve@b.co,\nlinkedin.com/in/eva,eve@b.co,\n";
    const done = await importFile(team, file, { on_duplicate: "update", duplicate_key: "linkedin_url" });
    expect(done).toMatchObject({ created: 1, updated: 1, rejected: 2 });
    expect((await team.api("GET", "/contacts?search=ada")).body.data[0]).toMatchObject({
      first_name: "Ada",
      email: "ada@b.co",
      title: "CEO",
    });
    expect((await errorsOf(team, done.id)).slice(1).map((r) => r[1])).toEqual([
      "email: 'taken@b.co' belongs to another contact",
      "email: 'eve@b.co' is used by an earlier row as well",
    ]);
  });

  it("leaves bad values out instead of refusing the row when asked to, but never the key", async () => {
    const team = await t.tenant();
    const done = await importFile(team, "email,phone\na@b.co,nonsense\nfoo,+4930901820\n", { invalid_values: "drop" });
    expect(done).toMatchObject({ created: 1, rejected: 1 });
    expect((await team.api("GET", "/contacts")).body.data).toMatchObject([{ email: "a@b.co", phone: null }]);
  });

  it.each([
    ["Windows-1252", new Uint8Array([...bytes("email;Nachname\nm@b.co;M"), 0xfc, ...bytes("ller\n")]), "Müller"],
    ["UTF-8 with mark", bytes("\ufeffemail;Nachname\nm@b.co;Müller\n"), "Müller"],
    [
      "UTF-16",
      new Uint8Array(new Uint16Array([..."\ufeffemail\tNachname\nm@b.co\tŻółć\n"].map((c) => c.charCodeAt(0))).buffer),
      "Żółć",
    ],
  ])("reads %s", async (_, file, name) => {
    const team = await t.tenant();
    expect(await importFile(team, file)).toMatchObject({ status: "done", created: 1 });
    expect((await team.api("GET", "/contacts")).body.data[0].last_name).toBe(name);
  });

  it("fails with the reason when a quote never closes, and keeps what came before", async () => {
    const team = await t.tenant();
    const good = Array.from({ length: 1200 }, (_, i) => `p${i}@b.co,P`).join("\n");
    const done = await importFile(
      team,
      `email,name\n${good}\nx@b.co,"open\n${"y@b.co,Y\n".repeat(50)}`,
      {},
      { email: "email", name: "first_name" },
    );
    expect(done).toMatchObject({ status: "failed", created: 1000, error: expect.stringContaining("never closed") });
  });

  it("a file of ten thousand rows over several pieces and runs arrives whole, each row once", async () => {
    const team = await t.tenant();
    const rows = Array.from(
      { length: 10_000 },
      (_, i) => `person${i}@example.com,First${i},Last${i},${"filler ".repeat(20)}`,
    ).join("\n");
    const { body } = await upload(team, `email,first_name,last_name,note\n${rows}\n`);
    expect((await t.sql`select count(*)::int as n from public.import_chunks where import_id = ${body.id}`)[0]!.n).toBe(
      2,
    );
    expect(body.rows_total).toBe(10_000);
    await team.api("PUT", `/imports/${body.id}/mapping`, { mapping: body.detected.suggested_mapping });
    await t.sql`update public.imports set status = 'running' where id = ${body.id}`;
    // No time at all: each of these runs writes one batch and queues the next, which the drain then takes up.
    for (let run = 0; run < 3; run++) {
      const ctx = t.kernel.manual({ actor: { kind: "job", name: "test" }, tenantId: team.id });
      await runImport(ctx, { tenant_id: team.id, import_id: body.id }, { budgetMs: 0, batchRows: 700 });
    }
    await ended(team, body.id);
    expect((await team.api("GET", `/imports/${body.id}`)).body).toMatchObject({
      status: "done",
      created: 10_000,
      rows_done: 10_000,
      skipped: 0,
    });
    expect((await team.api("GET", "/contacts/count")).body).toEqual({ count: 10_000, exact: true });
  });

  it("two runs of the same import at once count every row once", async () => {
    const team = await t.tenant();
    const { body } = await upload(team, `email\n${Array.from({ length: 3000 }, (_, i) => `p${i}@b.co`).join("\n")}\n`);
    await team.api("PUT", `/imports/${body.id}/mapping`, { mapping: { email: "email" } });
    await startByHand(body.id);
    const run = () =>
      runImport(worker(team), { tenant_id: team.id, import_id: body.id }, { budgetMs: 60_000, batchRows: 100 });
    await Promise.all([run(), run(), run()]);
    await run();
    expect((await team.api("GET", `/imports/${body.id}`)).body).toMatchObject({
      status: "done",
      created: 3000,
      skipped: 0,
      rows_done: 3000,
    });
  });

  it("a crash in the middle of a batch loses nothing and doubles nothing", async () => {
    const team = await t.tenant();
    const rows = Array.from({ length: 500 }, (_, i) => (i % 10 === 0 ? `bad${i}` : `p${i}@b.co`));
    const { body } = await upload(team, `email\n${rows.join("\n")}\n`);
    await team.api("PUT", `/imports/${body.id}/mapping`, { mapping: { email: "email" } });
    await startByHand(body.id);
    const ctx = worker(team);
    let transactions = 0;
    const crashing = {
      ...ctx,
      tx: <T>(fn: Parameters<typeof ctx.tx<T>>[0]) =>
        ctx.tx(async (inner) => {
          const result = await fn(inner);
          // After the batch wrote everything, before it commits.
          if (++transactions === 6) throw new Error("the machine went dark");
          return result;
        }),
    };
    await expect(
      runImport(crashing, { tenant_id: team.id, import_id: body.id }, { budgetMs: 60_000, batchRows: 100 }),
    ).rejects.toThrow("dark");
    const between = (await team.api("GET", `/imports/${body.id}`)).body;
    expect(between.status).toBe("running");
    expect(between.rows_done).toBeGreaterThan(0);
    expect(between.rows_done).toBeLessThan(500);
    await runImport(ctx, { tenant_id: team.id, import_id: body.id });
    expect((await team.api("GET", `/imports/${body.id}`)).body).toMatchObject({
      status: "done",
      rows_done: 500,
      created: 450,
      rejected: 50,
    });
    expect(await errorsOf(team, body.id)).toHaveLength(51);
  });

  it("stops when cancelled, and goes on where it stopped when started again", async () => {
    const team = await t.tenant();
    const { body } = await upload(team, `email\n${Array.from({ length: 500 }, (_, i) => `p${i}@b.co`).join("\n")}\n`);
    await team.api("PUT", `/imports/${body.id}/mapping`, { mapping: { email: "email" } });
    await startByHand(body.id);
    const ctx = worker(team);
    const limits = { budgetMs: 0, batchRows: 100 };
    await runImport(ctx, { tenant_id: team.id, import_id: body.id }, limits);
    const cancelled = await team.api("POST", `/imports/${body.id}/cancel`);
    expect(cancelled.body).toMatchObject({ status: "cancelled", rows_done: 100 });
    await runImport(ctx, { tenant_id: team.id, import_id: body.id });
    expect((await team.api("GET", `/imports/${body.id}`)).body.rows_done).toBe(100);
    await team.api("POST", `/imports/${body.id}/start`);
    await ended(team, body.id);
    expect((await team.api("GET", `/imports/${body.id}`)).body).toMatchObject({
      status: "done",
      created: 500,
      skipped: 0,
      rows_done: 500,
    });
    expect((await team.api("POST", `/imports/${body.id}/cancel`)).status).toBe(409);
    expect((await team.api("POST", `/imports/${body.id}/start`)).status).toBe(409);
  });

  it("fails with the reason when its list is deleted meanwhile", async () => {
    const team = await t.tenant();
    const list = (await team.api("POST", "/lists", { name: "L" })).body.id;
    const { body } = await upload(team, "email\na@b.co\n");
    await team.api("PUT", `/imports/${body.id}/mapping`, { mapping: { email: "email" }, options: { list_id: list } });
    await startByHand(body.id);
    await team.api("DELETE", `/lists/${list}`);
    await runImport(worker(team), { tenant_id: team.id, import_id: body.id });
    const failed = (await team.api("GET", `/imports/${body.id}`)).body;
    expect(failed).toMatchObject({
      status: "failed",
      created: 0,
      error: "The list of this import was deleted while it ran.",
    });
    expect(await emails(team)).toEqual([]);
  });

  it("another team sees nothing of it", async () => {
    const team = await t.tenant();
    const done = await importFile(team, "email\na@b.co\nbad\n");
    const other = await t.tenant();
    for (const path of [`/imports/${done.id}`, `/imports/${done.id}/errors.csv`])
      expect((await other.api("GET", path)).status).toBe(404);
    expect((await other.api("POST", `/imports/${done.id}/start`)).status).toBe(404);
    expect((await other.api("GET", "/imports")).body.data).toEqual([]);
  });

  it("error rows come in the file's own delimiter and can be imported again after mending", async () => {
    const team = await t.tenant();
    const done = await importFile(team, "email;name\n=cmd@x;Ann\nbob(at)b.co;Bob\n");
    const text: string = (await team.api("GET", `/imports/${done.id}/errors.csv`)).body;
    const rows = await errorsOf(team, done.id, ";");
    expect(rows[1]![2]).toBe("'=cmd@x");
    const again = await importFile(
      team,
      text.replaceAll("bob(at)b.co", "bob@b.co"),
      {},
      { row: null, reason: null, email: "email", name: "first_name" },
    );
    expect(again).toMatchObject({ created: 1, rejected: 1 });
  });
});

it("housekeeping: old uploads and files go, an import without a job is marked and can be taken up again", async () => {
  const team = await t.tenant();
  const add = async (status: string, age: string, finished: string | null) => {
    const [row] = await t.sql<{ id: string }[]>`
      insert into public.imports (tenant_id, file_name, status, mapping, detected, updated_at, finished_at)
      values (${team.id}, ${`${status} ${age}`}, ${status}, '{"email":"email"}', '{"headers":["email"],"delimiter":",","encoding":"utf-8","has_header":true}',
        kernel.now() - ${age}::text::interval, kernel.now() - ${finished}::text::interval) returning id`;
    await t.sql`insert into public.import_chunks (tenant_id, import_id, seq, bytes) values (${team.id}, ${row!.id}, 0, ${bytes("email\na@b.co\n")})`;
    return row!.id;
  };
  const abandoned = await add("uploading", "2 days", null);
  const uploading = await add("uploading", "1 hour", null);
  const old = await add("done", "8 days", "8 days");
  const recent = await add("done", "6 days", "6 days");
  const stuck = await add("running", "2 hours", null);
  const busy = await add("running", "1 minute", null);
  await t.sql.unsafe(pruneImports.sql);
  const rows = await t.sql<{ id: string; status: string; files: number }[]>`
    select m.id, m.status, (select count(*)::int from public.import_chunks k where k.import_id = m.id) as files
    from public.imports m where m.tenant_id = ${team.id}`;
  const now = Object.fromEntries(rows.map((r) => [r.id, `${r.status} ${r.files}`]));
  expect(now).toEqual({
    [uploading]: "uploading 1",
    [old]: "done 0",
    [recent]: "done 1",
    [stuck]: "failed 1",
    [busy]: "running 1",
  });
  expect(now[abandoned]).toBeUndefined();
  expect((await team.api("POST", `/imports/${stuck}/start`)).status).toBe(202);
  expect(await ended(team, stuck)).toMatchObject({ status: "done", created: 1 });
});
