import { describe, expect, it } from "vitest";
import { testKernel } from "../../tests/support/kernel.ts";

const t = testKernel();
const nobody = "01900000-0000-7000-8000-000000000000";

describe("one person", () => {
  it("201 with normalised fields, a company by domain, then read back", async () => {
    const team = await t.tenant();
    const { status, body } = await team.api("POST", "/contacts", {
      email: " Ada@Example.COM ",
      first_name: "Ada",
      last_name: "Lovelace",
      phone: "030 901820",
      country: "Germany",
      company_name: "Acme",
      company_domain: "https://www.acme.com/",
      linkedin_url: "linkedin.com/in/Ada",
      tags: ["a", "a", " b "],
      consent_source: "web form",
      lawful_basis: "consent",
    });
    expect(status).toBe(201);
    expect(body).toMatchObject({
      email: "ada@example.com",
      full_name: "Ada Lovelace",
      phone: "+4930901820",
      country: "DE",
      company: { name: "Acme", domain: "acme.com" },
      linkedin_url: "https://www.linkedin.com/in/ada",
      status: "new",
      tags: ["a", "b"],
      consent_source: "web form",
      lawful_basis: "consent",
      warmth_score: 0,
      custom: {},
    });
    expect(body.created_at).toMatch(/^\d{4}-\d\d-\d\dT.*Z$/);
    expect((await team.api("GET", `/contacts/${body.id}`)).body).toEqual(body);
    const second = await team.api("POST", "/contacts", { email: "bob@example.com", company_domain: "acme.com" });
    expect(second.body.company).toEqual(body.company);
  });

  it("422 with a pointer per fault, and nothing written", async () => {
    const team = await t.tenant();
    const { status, body } = await team.api("POST", "/contacts", { email: "foo", phone: "1", custom: { nope: 1 } });
    expect(status).toBe(422);
    expect(body.errors).toEqual([
      { pointer: "/email", detail: "'foo' is not an email address" },
      { pointer: "/phone", detail: expect.stringContaining("country code") },
      { pointer: "/custom/nope", detail: expect.stringContaining("none is defined yet") },
    ]);
    expect((await team.api("POST", "/contacts", { title: "CEO" })).body.detail).toContain("does not identify a person");
    expect((await team.api("POST", "/contacts", { email: "a@b.co", lists: [nobody] })).body.errors[0].pointer).toBe(
      "/lists",
    );
    expect((await team.api("GET", "/contacts")).body.data).toEqual([]);
  });

  it("409 for an address that exists, naming the contact to change", async () => {
    const team = await t.tenant();
    const first = await team.api("POST", "/contacts", { email: "a@b.co" });
    const again = await team.api("POST", "/contacts", { email: "A@B.co", first_name: "X" });
    expect(again.status).toBe(409);
    expect(again.body.suggestion).toContain(first.body.id);
    expect((await team.api("GET", `/contacts/${first.body.id}`)).body.first_name).toBe("");
  });

  it("PATCH changes what is given, clears null, merges custom, replaces tags", async () => {
    const team = await t.tenant();
    await team.api("POST", "/custom-fields", { key: "plan", label: "Plan", type: "text" });
    await team.api("POST", "/custom-fields", { key: "size", label: "Size", type: "number" });
    const { body } = await team.api("POST", "/contacts", {
      email: "a@b.co",
      title: "CEO",
      company_name: "Acme",
      country: "DE",
      custom: { plan: "pro", size: 3 },
      tags: ["x"],
    });
    const patched = await team.api("PATCH", `/contacts/${body.id}`, {
      title: null,
      phone: "030 901820",
      custom: { plan: null, size: 4 },
      tags: ["y"],
      status: "interested",
    });
    expect(patched.status).toBe(200);
    expect(patched.body).toMatchObject({
      email: "a@b.co",
      title: "",
      phone: "+4930901820",
      custom: { size: 4 },
      tags: ["y"],
      status: "interested",
      company: { name: "Acme" },
    });
    expect((await team.api("PATCH", `/contacts/${body.id}`, { company_name: null })).body.company).toBeNull();
    const other = await team.api("POST", "/contacts", { email: "c@d.co" });
    const conflict = await team.api("PATCH", `/contacts/${body.id}`, { email: "C@d.co" });
    expect(conflict.status).toBe(409);
    expect(conflict.body.errors[0].detail).toContain(other.body.id);
    const [audit] =
      await t.sql`select detail from public.audit_log where tenant_id = ${team.id} and action = 'contacts.update' and target = ${body.id} order by id limit 1`;
    expect(audit!.detail.status).toEqual({ from: "new", to: "interested" });
  });

  it("404 for an unknown id, 403 for a viewer who writes, 404 across teams", async () => {
    const team = await t.tenant();
    expect((await team.api("GET", `/contacts/${nobody}`)).status).toBe(404);
    expect((await team.api("PATCH", `/contacts/${nobody}`, { title: "x" })).status).toBe(404);
    expect((await team.api("DELETE", `/contacts/${nobody}`)).status).toBe(404);
    const viewer = await team.member("viewer");
    expect((await viewer.api("POST", "/contacts", { email: "a@b.co" })).status).toBe(403);
    expect((await viewer.api("GET", "/contacts")).status).toBe(200);
    const mine = await team.api("POST", "/contacts", { email: "a@b.co" });
    const other = await t.tenant();
    for (const [method, body] of [["GET"], ["PATCH", { title: "x" }], ["DELETE"]] as const) {
      expect((await other.api(method, `/contacts/${mine.body.id}`, body)).status).toBe(404);
    }
    const theirs = await other.api("POST", "/contacts", { email: "a@b.co" });
    expect(theirs.status).toBe(201);
  });

  it("deleting keeps the messages, without the person", async () => {
    const team = await t.tenant();
    const { body } = await team.api("POST", "/contacts", { email: "a@b.co" });
    await t.sql`
      insert into public.messages (tenant_id, direction, channel, action, contact_id, status, from_address, to_address, subject, thread_id)
      values (${team.id}, 'in', 'email', 'email.receive', ${body.id}, 'received', 'a@b.co', 'us@example.com', 'Hi', gen_random_uuid())`;
    expect((await team.api("DELETE", `/contacts/${body.id}`)).status).toBe(204);
    const rows = await t.sql`select contact_id, to_address from public.messages where tenant_id = ${team.id}`;
    expect(rows.map((r) => ({ ...r }))).toEqual([{ contact_id: null, to_address: "us@example.com" }]);
  });

  it("shows the timeline newest first, in pages", async () => {
    const team = await t.tenant();
    const { body } = await team.api("POST", "/contacts", { email: "a@b.co" });
    await t.sql`
      insert into public.interactions (tenant_id, contact_id, kind, channel, direction, content, at)
      select ${team.id}, ${body.id}, 'note', 'note', 'none', n::text, kernel.now() - make_interval(mins => n) from generate_series(1, 5) n`;
    const first = await team.api("GET", `/contacts/${body.id}/interactions?limit=3`);
    expect(first.body.data.map((i: { content: string }) => i.content)).toEqual(["1", "2", "3"]);
    const second = await team.api("GET", `/contacts/${body.id}/interactions?limit=3&cursor=${first.body.next_cursor}`);
    expect(second.body).toMatchObject({ has_more: false, next_cursor: null });
    expect(second.body.data.map((i: { content: string }) => i.content)).toEqual(["4", "5"]);
    expect((await team.api("GET", `/contacts/${nobody}/interactions`)).status).toBe(404);
  });
});

describe("bulk writing", () => {
  it("answers per item: one bad item does not stop the others", async () => {
    const team = await t.tenant();
    await team.api("POST", "/contacts", { email: "old@b.co", first_name: "Old", title: "Boss" });
    const contacts = [
      { email: "new@b.co", first_name: "New" },
      { email: "nope" },
      { email: "OLD@b.co", first_name: "Fresh" },
      { email: "new@b.co", title: "CTO" },
      { surname: "x" },
      { first_name: "Walk-in" },
      { email: "x@b.co", lists: [nobody] },
      "text",
    ];
    const skip = await team.api("POST", "/contacts/bulk", { contacts: contacts.slice(0, 7), on_duplicate: "skip" });
    expect(skip.body.data.map((d: { outcome: string }) => d.outcome)).toEqual([
      "created",
      "rejected",
      "skipped",
      "skipped",
      "rejected",
      "created",
      "rejected",
    ]);
    expect(skip.body.data[1].errors[0].pointer).toBe("/contacts/1/email");
    expect(skip.body.data[4].errors[0].detail).toMatch(/surname/);
    expect((await team.api("POST", "/contacts/bulk", { contacts })).status).toBe(422);
    const update = await team.api("POST", "/contacts/bulk", { contacts: contacts.slice(0, 4), on_duplicate: "update" });
    expect(update.body.data.map((d: { outcome: string }) => d.outcome)).toEqual([
      "updated",
      "rejected",
      "updated",
      "updated",
    ]);
    const all = (await team.api("GET", "/contacts?sort=email")).body.data;
    expect(all.map((c: any) => [c.email, c.first_name, c.title])).toEqual([
      [null, "Walk-in", ""],
      ["new@b.co", "New", "CTO"],
      ["old@b.co", "Fresh", "Boss"],
    ]);
  });

  it("ten writers of the same five hundred addresses end with five hundred people", async () => {
    const team = await t.tenant();
    const contacts = Array.from({ length: 500 }, (_, i) => ({ email: `p${i}@b.co`, company_domain: `c${i % 50}.com` }));
    const shuffled = () =>
      contacts
        .map((c) => ({ c, at: Math.random() }))
        .sort((a, b) => a.at - b.at)
        .map((x) => x.c);
    const answers = await Promise.all(
      Array.from({ length: 6 }, () => team.api("POST", "/contacts/bulk", { contacts: shuffled() })),
    );
    const ok = answers.filter((a) => a.status === 200);
    // A deadlock between two shuffled batches is a 409 that says to try again; nothing of it is half-written.
    expect(answers.filter((a) => a.status !== 200).every((a) => a.status === 409)).toBe(true);
    const created = ok.flatMap((a) => a.body.data).filter((d: { outcome: string }) => d.outcome === "created").length;
    expect(created).toBe(500);
    expect((await team.api("GET", "/contacts/count")).body).toEqual({ count: 500, exact: true });
    expect((await t.sql`select count(*)::int as n from public.companies where tenant_id = ${team.id}`)[0]!.n).toBe(50);
  });

  it("does not undo an opt-out", async () => {
    const team = await t.tenant();
    const { body } = await team.api("POST", "/contacts", { email: "a@b.co" });
    await t.sql`update public.contacts set status = 'unsubscribed' where tenant_id = ${team.id} and id = ${body.id}`;
    await team.api("POST", "/contacts/bulk", {
      contacts: [{ email: "a@b.co", status: "new", first_name: "A" }],
      on_duplicate: "update",
    });
    expect(
      (await team.api("POST", "/contacts/bulk-actions", { action: "set_status", value: "new", ids: [body.id] })).body,
    ).toEqual({ affected: 0 });
    expect((await team.api("GET", `/contacts/${body.id}`)).body).toMatchObject({
      status: "unsubscribed",
      first_name: "A",
    });
  });
});

describe("lists of people", () => {
  it.each(["created_at", "email", "last_name"])("pages by %s meet everybody once, in both directions", async (sort) => {
    const team = await t.tenant();
    const contacts = Array.from({ length: 25 }, (_, i) => ({
      email: i % 5 === 0 ? undefined : `p${i}@b.co`,
      first_name: `F${i}`,
      last_name: `l${i % 3}`,
    }));
    await team.api("POST", "/contacts/bulk", { contacts });
    const walk = async (order: string) => {
      const seen: string[] = [];
      let cursor = "";
      for (;;) {
        const { body } = await team.api(
          "GET",
          `/contacts?sort=${sort}&order=${order}&limit=7${cursor && `&cursor=${cursor}`}`,
        );
        seen.push(...body.data.map((c: { id: string }) => c.id));
        if (!body.has_more) return seen;
        cursor = body.next_cursor;
      }
    };
    const [up, down] = [await walk("asc"), await walk("desc")];
    expect(new Set(up).size).toBe(25);
    expect(down).toEqual(up.toReversed());
  });

  it("422 for a cursor of another order, of another list, or made up", async () => {
    const team = await t.tenant();
    await team.api("POST", "/contacts/bulk", { contacts: [{ email: "a@b.co" }, { email: "b@b.co" }] });
    const { next_cursor } = (await team.api("GET", "/contacts?limit=1&sort=email")).body;
    for (const url of [
      `/contacts?sort=last_name&cursor=${next_cursor}`,
      `/contacts?sort=email&order=desc&cursor=${next_cursor}`,
      `/companies?cursor=${next_cursor}`,
      "/contacts?cursor=zzz",
      "/contacts?cursor=%00",
    ]) {
      const { status, body } = await team.api("GET", url);
      expect([url, status, body.errors?.[0]?.pointer]).toEqual([url, 422, "/cursor"]);
    }
    expect((await team.api("GET", "/contacts?limit=101")).status).toBe(422);
  });

  it("searches words in any order, short ones at word beginnings, wildcards as letters", async () => {
    const team = await t.tenant();
    await team.api("POST", "/contacts/bulk", {
      contacts: [
        { email: "ada@acme.com", first_name: "Ada", last_name: "Lovelace", title: "Head of R&D" },
        { email: "bob@acme.com", first_name: "Bob", last_name: "Adams", title: "50%_off" },
      ],
    });
    const find = async (search: string) =>
      (await team.api("GET", `/contacts?search=${encodeURIComponent(search)}&sort=email`)).body.data.map(
        (c: { first_name: string }) => c.first_name,
      );
    expect(await find("lovelace ada")).toEqual(["Ada"]);
    expect(await find("ACME")).toEqual(["Ada", "Bob"]);
    expect(await find("ad")).toEqual(["Ada", "Bob"]);
    expect(await find("da")).toEqual([]);
    expect(await find("50%_")).toEqual(["Bob"]);
    expect(await find("%%%")).toEqual([]);
    expect(await find("' or 1=1")).toEqual([]);
    expect(await find("  ")).toEqual(["Ada", "Bob"]);
  });

  it("filters by tag, status, company, list and segment, and counts alike", async () => {
    const team = await t.tenant();
    const list = (await team.api("POST", "/lists", { name: "L" })).body.id;
    const { body } = await team.api("POST", "/contacts/bulk", {
      contacts: [
        { email: "a@acme.com", company_name: "Acme", tags: ["x"], lists: [list] },
        { email: "b@acme.com", company_name: "Acme", status: "interested" },
        { email: "c@other.com", tags: ["x", "y"] },
      ],
    });
    const company = (await team.api("GET", `/contacts/${body.data[0].id}`)).body.company.id;
    const segment = (
      await team.api("POST", "/segments", { name: "S", filter: { field: "email", op: "ends_with", value: "acme.com" } })
    ).body.id;
    for (const [query, expected] of [
      ["tag=x", ["a@acme.com", "c@other.com"]],
      ["status=interested", ["b@acme.com"]],
      [`company_id=${company}`, ["a@acme.com", "b@acme.com"]],
      [`list_id=${list}`, ["a@acme.com"]],
      [`segment_id=${segment}`, ["a@acme.com", "b@acme.com"]],
      [`segment_id=${segment}&tag=x`, ["a@acme.com"]],
      [`filter=${encodeURIComponent(JSON.stringify({ field: "tag", op: "eq", value: "y" }))}`, ["c@other.com"]],
    ] as const) {
      const rows = (await team.api("GET", `/contacts?sort=email&${query}`)).body.data;
      expect([query, rows.map((c: { email: string }) => c.email)]).toEqual([query, expected]);
      expect((await team.api("GET", `/contacts/count?${query}`)).body).toEqual({ count: expected.length, exact: true });
    }
    expect((await team.api("GET", `/contacts?segment_id=${nobody}`)).status).toBe(404);
    expect((await team.api("GET", "/contacts?filter=nonsense")).body.errors[0].pointer).toBe("/filter");
    expect((await team.api("GET", "/tags")).body.data).toEqual([
      { tag: "x", contact_count: 2 },
      { tag: "y", contact_count: 1 },
    ]);
    const preview = await team.api("POST", "/segments/preview", { filter: { field: "tag", op: "eq", value: "x" } });
    expect(preview.body).toMatchObject({ count: 2, exact: true });
    expect(preview.body.sample).toHaveLength(2);
  });
});
