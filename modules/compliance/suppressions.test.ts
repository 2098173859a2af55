import { describe, expect, test } from "vitest";
import { settlePlans } from "../../tests/support/campaigns.ts";
import { testKernel, type TestTenant } from "../../tests/support/kernel.ts";
import { sentMessage } from "../../tests/support/sent-message.ts";

const k = testKernel();

async function withMessage() {
  const t = await k.tenant();
  const made = await t.api("POST", "/connections", {
    provider: "postmark",
    name: "P",
    credentials: { server_token: "token-123456" },
  });
  return { t, m: await sentMessage(k, t, made.body.id) };
}
const stateOf = async (t: TestTenant, enrollmentId: string, contactId: string) => {
  await settlePlans(k, t);
  const [row] = await k.sql`
    select e.status as enrollment, c.status as contact from public.enrollments e, public.contacts c
    where e.tenant_id = ${t.id} and e.id = ${enrollmentId} and c.tenant_id = ${t.id} and c.id = ${contactId}`;
  return row;
};

describe("suppressions", () => {
  test.each([
    ["manual", "suppressed", "suppressed"],
    ["unsubscribe", "unsubscribed", "unsubscribed"],
    ["complaint", "unsubscribed", "unsubscribed"],
    ["bounce", "bounced", "bounced"],
  ])("adding one for %s ends the running sequence as %s", async (reason, enrollment, contact) => {
    const { t, m } = await withMessage();
    const { status, body } = await t.api("POST", "/suppressions", { address: ` ${m.email.toUpperCase()} `, reason });
    expect(status).toBe(201);
    expect(body).toMatchObject({ channel: "email", address: m.email, reason });
    expect(await stateOf(t, m.enrollmentId, m.contactId)).toEqual({ enrollment, contact });
  });

  test("adding one twice is one row, and the first reason stays", async () => {
    const t = await k.tenant();
    const first = await t.api("POST", "/suppressions", { address: "a@example.com", reason: "complaint" });
    const second = await t.api("POST", "/suppressions", { address: "A@example.com", reason: "manual" });
    expect(second.body).toEqual(first.body);
    expect((await t.api("GET", "/suppressions")).body.data).toHaveLength(1);
  });

  test("removing one allows the address again, restarts nothing, and is audited", async () => {
    const { t, m } = await withMessage();
    const { body } = await t.api("POST", "/suppressions", { address: m.email, reason: "unsubscribe" });
    expect((await t.api("DELETE", `/suppressions/${body.id}`)).status).toBe(204);
    expect((await t.api("DELETE", `/suppressions/${body.id}`)).status).toBe(404);
    expect((await t.api("GET", "/suppressions")).body.data).toEqual([]);
    expect(await stateOf(t, m.enrollmentId, m.contactId)).toMatchObject({ enrollment: "unsubscribed" });
    const [entry] =
      await k.sql`select detail from public.audit_log where tenant_id = ${t.id} and action = 'suppressions.delete'`;
    expect(entry!.detail).toMatchObject({ address: m.email.replace(/^(.).*@/, "$1***@"), reason: "unsubscribe" });
    expect((await t.api("GET", `/contacts/${m.contactId}/consents`)).body.data).toEqual([]);
  });

  test("removing one lifts no withdrawal that has another cause", async () => {
    const { t, m } = await withMessage();
    const { body } = await t.api("POST", "/suppressions", { address: m.email, reason: "bounce" });
    const withdrawal = { channel: "email", contact_ids: [m.contactId], state: "withdrawn", source: "phone call" };
    expect((await t.api("POST", "/consents", withdrawal)).body.changed).toBe(1);
    expect((await t.api("DELETE", `/suppressions/${body.id}`)).status).toBe(204);
    expect((await t.api("GET", `/contacts/${m.contactId}/consents`)).body.data).toMatchObject([
      { state: "withdrawn", source: "phone call" },
    ]);
  });

  test("bulk answers per address: added, existing, rejected, and a repeated one counts once", async () => {
    const t = await k.tenant();
    await t.api("POST", "/suppressions", { address: "old@example.com" });
    const { status, body } = await t.api("POST", "/suppressions/bulk", {
      addresses: ["new@example.com", "OLD@example.com", "no address", "NEW@example.com"],
      reason: "unsubscribe",
    });
    expect(status).toBe(200);
    expect(body.data.map((d: { outcome: string }) => d.outcome)).toEqual(["added", "existing", "rejected", "existing"]);
    expect(body.data[0].id).toBe(body.data[3].id);
  });

  test("bulk takes a thousand and not one more", async () => {
    const t = await k.tenant();
    const many = Array.from({ length: 1000 }, (_, i) => `p${i}@example.com`);
    const { status, body } = await t.api("POST", "/suppressions/bulk", { addresses: many });
    expect([status, body.data.length]).toEqual([200, 1000]);
    const refused = await t.api("POST", "/suppressions/bulk", { addresses: [...many, "x@example.com"] });
    expect([refused.status, refused.body.errors[0].pointer]).toEqual([422, "/addresses"]);
  });

  test("lists by reason and text, in pages", async () => {
    const t = await k.tenant();
    await t.api("POST", "/suppressions/bulk", { addresses: ["a@one.example", "b@one.example", "c@two.example"] });
    await t.api("POST", "/suppressions", { address: "+4915112345678", channel: "sms", reason: "unsubscribe" });
    const addresses = async (query: string) =>
      (await t.api("GET", `/suppressions${query}`)).body.data.map((s: { address: string }) => s.address).sort();
    expect(await addresses("?search=ONE.example")).toEqual(["a@one.example", "b@one.example"]);
    expect(await addresses("?reason=unsubscribe")).toEqual(["+4915112345678"]);
    expect(await addresses("?search=%25")).toEqual([]);
    const page = await t.api("GET", "/suppressions?limit=3");
    expect(page.body.has_more).toBe(true);
    const rest = await t.api("GET", `/suppressions?limit=3&cursor=${page.body.next_cursor}`);
    expect(new Set([...page.body.data, ...rest.body.data].map((s: { id: string }) => s.id)).size).toBe(4);
  });

  test("422 for what is no address of the channel; 403 for a viewer; other teams' are out of reach", async () => {
    const t = await k.tenant();
    expect((await t.api("POST", "/suppressions", { address: "nobody" })).body.errors[0].pointer).toBe("/address");
    expect((await t.api("POST", "/suppressions", { address: "12345", channel: "sms" })).status).toBe(422);
    const viewer = await t.member("viewer");
    expect((await viewer.api("POST", "/suppressions", { address: "a@example.com" })).status).toBe(403);
    const member = await t.member("member");
    const { body } = await member.api("POST", "/suppressions", { address: "a@example.com" });
    const other = await k.tenant();
    expect((await other.api("DELETE", `/suppressions/${body.id}`)).status).toBe(404);
    expect((await other.api("GET", "/suppressions")).body.data).toEqual([]);
  });
});
