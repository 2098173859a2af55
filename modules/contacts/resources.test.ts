import { describe, expect, it } from "vitest";
import { testKernel } from "../../tests/support/kernel.ts";

const t = testKernel();
const nobody = "01900000-0000-7000-8000-000000000000";

describe("companies", () => {
  it("are made, changed, found by name, counted and deleted without their people", async () => {
    const team = await t.tenant();
    const made = await team.api("POST", "/companies", {
      name: "Acme",
      domain: "https://WWW.acme.com/x",
      country: "Deutschland",
    });
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({ name: "Acme", domain: "acme.com", country: "DE", contact_count: 0 });
    const person = await team.api("POST", "/contacts", { email: "a@acme.com", company_name: "ACME" });
    expect(person.body.company.id).toBe(made.body.id);
    const patched = await team.api("PATCH", `/companies/${made.body.id}`, {
      name: "Acme Inc",
      size: null,
      industry: "Tools",
    });
    expect(patched.body).toMatchObject({ name: "Acme Inc", industry: "Tools", domain: "acme.com", contact_count: 1 });
    expect((await team.api("POST", "/companies", { name: "Copy", domain: "acme.com" })).status).toBe(409);
    expect((await team.api("POST", "/companies", { name: "Bad", domain: "nope" })).body.errors[0].pointer).toBe(
      "/domain",
    );
    expect((await team.api("GET", "/companies?search=cme%20in")).body.data).toHaveLength(1);
    expect((await team.api("GET", "/companies?search=%25")).body.data).toHaveLength(0);
    expect((await team.api("DELETE", `/companies/${made.body.id}`)).status).toBe(204);
    expect((await team.api("GET", `/contacts/${person.body.id}`)).body.company).toBeNull();
    expect((await team.api("GET", `/companies/${made.body.id}`)).status).toBe(404);
  });

  it("come in pages by name without regard to case", async () => {
    const team = await t.tenant();
    for (const name of ["beta", "Alpha", "alpha", "Gamma"]) await team.api("POST", "/companies", { name });
    const first = await team.api("GET", "/companies?limit=2");
    const second = await team.api("GET", `/companies?limit=2&cursor=${first.body.next_cursor}`);
    expect([...first.body.data, ...second.body.data].map((c: { name: string }) => c.name.toLowerCase())).toEqual([
      "alpha",
      "alpha",
      "beta",
      "gamma",
    ]);
    expect(second.body.has_more).toBe(false);
  });
});

describe("lists", () => {
  it("take people once, count them, and lose them", async () => {
    const team = await t.tenant();
    const list = await team.api("POST", "/lists", { name: "Leads", description: "Spring" });
    expect(list.status).toBe(201);
    const contact = (await team.api("POST", "/contacts", { email: "a@b.co" })).body.id;
    const url = `/lists/${list.body.id}`;
    expect((await team.api("POST", `${url}/contacts`, { contact_ids: [contact, contact, nobody] })).body).toEqual({
      added: 1,
      already: 0,
      unknown: 1,
    });
    expect((await team.api("POST", `${url}/contacts`, { contact_ids: [contact] })).body).toEqual({
      added: 0,
      already: 1,
      unknown: 0,
    });
    expect((await team.api("GET", url)).body.contact_count).toBe(1);
    expect((await team.api("DELETE", `${url}/contacts/${contact}`)).status).toBe(204);
    expect((await team.api("DELETE", `${url}/contacts/${contact}`)).status).toBe(404);
    expect((await team.api("POST", "/lists", { name: "Leads" })).status).toBe(409);
    await team.api("POST", "/lists", { name: "Others" });
    expect((await team.api("PATCH", url, { name: "Others" })).status).toBe(409);
    expect((await team.api("PATCH", url, { name: "Renamed" })).body).toMatchObject({
      name: "Renamed",
      description: "Spring",
    });
    expect((await team.api("GET", "/lists?limit=1")).body).toMatchObject({ has_more: true });
    expect((await team.api("DELETE", url)).status).toBe(204);
    expect((await team.api("GET", `/contacts/${contact}`)).status).toBe(200);
  });
});

describe("custom fields", () => {
  it("are typed, keep their key, and take their values along when deleted", async () => {
    const team = await t.tenant();
    const plan = await team.api("POST", "/custom-fields", {
      key: "plan",
      label: "Plan",
      type: "select",
      options: ["free", "pro"],
    });
    expect(plan.status).toBe(201);
    expect((await team.api("POST", "/custom-fields", { key: "plan", label: "Again", type: "text" })).status).toBe(409);
    expect(
      (await team.api("POST", "/custom-fields", { key: "Bad Key", label: "x", type: "text" })).body.errors[0].pointer,
    ).toBe("/key");
    expect(
      (await team.api("POST", "/custom-fields", { key: "s", label: "x", type: "select" })).body.errors[0].pointer,
    ).toBe("/options");
    expect(
      (await team.api("POST", "/custom-fields", { key: "s", label: "x", type: "text", options: ["a"] })).body.errors[0]
        .pointer,
    ).toBe("/options");
    const wrong = await team.api("POST", "/contacts", { email: "a@b.co", custom: { plan: "gold" } });
    expect(wrong.body.errors[0]).toMatchObject({
      pointer: "/custom/plan",
      detail: expect.stringContaining("free, pro"),
    });
    const contact = (await team.api("POST", "/contacts", { email: "a@b.co", custom: { plan: "Pro" } })).body;
    expect(contact.custom).toEqual({ plan: "pro" });
    expect(
      (await team.api("PATCH", `/custom-fields/${plan.body.id}`, { label: "Tier", options: [] })).body.errors[0]
        .pointer,
    ).toBe("/options");
    expect((await team.api("PATCH", `/custom-fields/${plan.body.id}`, { label: "Tier" })).body).toMatchObject({
      label: "Tier",
      options: ["free", "pro"],
    });
    expect((await team.api("DELETE", `/custom-fields/${plan.body.id}`)).status).toBe(204);
    expect((await team.api("GET", `/contacts/${contact.id}`)).body.custom).toEqual({});
    expect((await team.api("GET", "/custom-fields")).body.data).toEqual([]);
  });
});

describe("segments", () => {
  it("keep their filter, and refuse names taken", async () => {
    const team = await t.tenant();
    const filter = { field: "tag", op: "eq", value: "x" };
    const made = await team.api("POST", "/segments", { name: "X", filter });
    expect(made.body).toMatchObject({ name: "X", filter });
    expect((await team.api("POST", "/segments", { name: "X", filter })).status).toBe(409);
    const wider = { any: [filter, { field: "tag", op: "eq", value: "y" }] };
    expect((await team.api("PATCH", `/segments/${made.body.id}`, { filter: wider })).body.filter).toEqual(wider);
    expect((await team.api("GET", `/segments/${made.body.id}`)).body.filter).toEqual(wider);
    expect((await team.api("GET", "/segments")).body.data).toHaveLength(1);
    expect((await team.api("DELETE", `/segments/${made.body.id}`)).status).toBe(204);
    expect((await team.api("GET", `/segments/${made.body.id}`)).status).toBe(404);
  });
});
