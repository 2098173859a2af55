import { describe, expect, test } from "vitest";
import { testKernel } from "../../tests/support/kernel.ts";

const t = testKernel();
const without = testKernel({ OVERTURE_MODULES_OFF: "demo,analytics,operations" });

type Entry = { value: string; label: string; type?: string; tone?: string; traits?: string[] };
type Body = {
  pages: { path: string; group: string }[];
  lists: Record<string, Entry[]>;
  permissions: { permission: string; role: string }[];
};

describe("the catalogue", () => {
  test("is public and names pages in order, choices with their words, and permissions", async () => {
    const { status, body } = await t.call(null)("GET", "/catalogue");
    expect(status).toBe(200);
    const { pages, lists, permissions } = body as Body;
    expect(pages.filter((p) => p.group === "work").map((p) => p.path)).toEqual([
      "/",
      "/contacts",
      "/companies",
      "/lists",
      "/enrichment",
      "/campaigns",
      "/tasks",
      "/approvals",
      "/inbox",
    ]);
    expect(lists["campaign.status"]).toContainEqual(
      expect.objectContaining({ value: "paused", label: "Paused", tone: "warn" }),
    );
    expect(lists["message.variable"]).toContainEqual(
      expect.objectContaining({ value: "firstName", label: "First name", fallback: "there" }),
    );
    // Clients ask what a channel is like, not for its name.
    expect(lists.channel!.map((c) => [c.value, c.traits])).toEqual([
      ["email", ["connectable"]],
      ["sms", ["connectable", "spaced"]],
    ]);
    expect(permissions).toContainEqual({ permission: "campaigns:launch", role: "member" });
    for (const [name, entries] of Object.entries(lists))
      for (const entry of entries) expect(entry.label, `${name} ${entry.value}`).toMatch(/\S/);
  });

  test("every field and operator it offers is one that the filter accepts", async () => {
    const team = await t.tenant();
    const { lists } = (await t.call(null)("GET", "/catalogue")).body as Body;
    const sample: Record<string, unknown> = {
      text: "x",
      number: 1,
      time: "2026-01-05",
      boolean: true,
      tag: "x",
      list: crypto.randomUUID(),
    };
    const conditions = lists["contact.field"]!.filter((f) => f.traits?.includes("filterable")).flatMap((field) =>
      lists["filter.operator"]!.filter((o) => o.type === field.type).map((o) => {
        const { takes } = o as Entry & { takes: string };
        const plain = field.value === "status" ? "new" : sample[field.type!];
        const value = { value: plain, values: [plain], days: 7, nothing: undefined }[takes];
        return { field: field.value, op: o.value, ...(value === undefined ? {} : { value }) };
      }),
    );
    expect(conditions.length).toBeGreaterThan(100);
    for (let i = 0; i < conditions.length; i += 50) {
      const filter = { any: conditions.slice(i, i + 50) };
      const { status, body } = await team.api("POST", "/segments/preview", { filter });
      expect(status, JSON.stringify(body)).toBe(200);
    }
  });

  test("leaves out what belongs to a module that is off", async () => {
    const { pages, lists, permissions } = (await without.call(null)("GET", "/catalogue")).body as Body;
    expect(pages.map((p) => p.path)).not.toContain("/");
    expect(pages.map((p) => p.path)).toContain("/campaigns");
    expect(lists["alert.severity"]).toBeUndefined();
    expect(permissions.some((p) => p.permission === "analytics:read")).toBe(false);
  });

  test("304 for the tag of the answer one has, also where a proxy made it weak; another tag gets the body", async () => {
    const ask = (tag?: string) =>
      t.call(null)("GET", "/catalogue", undefined, tag === undefined ? {} : { "if-none-match": tag });
    const first = await ask();
    const tag = first.headers.get("etag")!;
    expect(first.headers.get("cache-control")).toBe("public, no-cache");
    expect((await ask(tag)).status).toBe(304);
    expect((await ask(`"other", W/${tag}`)).status).toBe(304);
    expect((await ask('"other"')).status).toBe(200);
  });
});
