import { parse } from "csv-parse/sync";
import { describe, expect, it } from "vitest";
import { testKernel } from "../../tests/support/kernel.ts";
import { until } from "../../tests/support/until.ts";
import { csvLines } from "./csv.ts";

const t = testKernel();

describe("export", () => {
  it("is a download with the list's filters, custom fields, and no cell a spreadsheet would run", async () => {
    const team = await t.tenant();
    await team.api("POST", "/custom-fields", { key: "plan", label: "Plan", type: "text" });
    await team.api("POST", "/custom-fields", { key: "gain", label: "Gain", type: "number" });
    await team.api("POST", "/contacts/bulk", {
      contacts: [
        {
          email: "a@acme.com",
          first_name: "=HYPERLINK(1)",
          last_name: 'Quote " and, comma',
          phone: "+4930901820",
          company_name: "Acme",
          tags: ["x", "y"],
          custom: { plan: "@SUM(A1)", gain: -5 },
        },
        { email: "b@other.com", first_name: "Zoë\nLine" },
      ],
    });
    const answer = await team.api("GET", "/contacts/export.csv?sort=email");
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toBe("text/csv; charset=utf-8");
    expect(answer.headers.get("content-disposition")).toContain('filename="contacts.csv"');
    const rows = parse(answer.body, { bom: true, columns: true }) as Record<string, string>[];
    expect(rows).toHaveLength(2);
    expect(rows[0]).toMatchObject({
      email: "a@acme.com",
      first_name: "'=HYPERLINK(1)",
      last_name: 'Quote " and, comma',
      phone: "'+4930901820",
      company_name: "Acme",
      tags: "x, y",
      "custom.plan": "'@SUM(A1)",
      "custom.gain": "'-5",
    });
    expect(rows[1]!.first_name).toBe("Zoë\nLine");
    const filtered = parse((await team.api("GET", "/contacts/export.csv?tag=x")).body, { bom: true, columns: true });
    expect(filtered).toHaveLength(1);
    expect((await team.api("GET", "/contacts/export.csv?filter=nope")).status).toBe(422);
  });

  it("goes out whole over many pages and comes back in unchanged", async () => {
    const team = await t.tenant();
    for (let k = 0; k < 5; k++) {
      const contacts = Array.from({ length: 500 }, (_, i) => ({
        email: `p${k * 500 + i}@b.co`,
        first_name: `-F${i}`,
        phone: "+4930901820",
        country: "DE",
        tags: ["a", "b"],
        status: "interested",
        lawful_basis: "consent",
      }));
      await team.api("POST", "/contacts/bulk", { contacts });
    }
    const file: string = (await team.api("GET", "/contacts/export.csv")).body;
    const other = await t.tenant();
    const uploaded = (await other.api("POST", "/imports?file_name=x.csv", file, { "content-type": "text/csv" })).body;
    await other.api("PUT", `/imports/${uploaded.id}/mapping`, { mapping: uploaded.detected.suggested_mapping });
    await other.api("POST", `/imports/${uploaded.id}/start`);
    // Other suites drain the same queue, so the job may be in their hands.
    const ended = await until(async () => {
      await t.drain("contacts_import");
      const { body } = await other.api("GET", `/imports/${uploaded.id}`);
      return body.status === "running" ? null : body;
    });
    expect(ended).toMatchObject({ status: "done", created: 2500, rejected: 0 });
    const fields = ["email", "first_name", "phone", "country", "status", "lawful_basis"];
    const facts = async (tenant: typeof team) =>
      (
        await t.sql`select ${t.sql(fields)}, (select array_agg(x order by x) from unnest(tags) x) as tags from public.contacts where tenant_id = ${tenant.id} order by email`
      ).map((r) => ({ ...r }));
    expect(await facts(other)).toEqual(await facts(team));
  });

  it("shows nothing of another team", async () => {
    const team = await t.tenant();
    await team.api("POST", "/contacts", { email: "a@b.co" });
    const other = await t.tenant();
    expect(parse((await other.api("GET", "/contacts/export.csv")).body, { bom: true, columns: true })).toEqual([]);
  });
});

it.each(["=1", "+1", "-1", "@x", "\tx", "\rx"])("guards %j", (cell) =>
  expect((parse(csvLines([[cell]])) as string[][])[0]![0]).toBe(`'${cell}`),
);
