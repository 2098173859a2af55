import { describe, expect, test } from "vitest";
import { enrollmentsOf, messagesOf, sendAll, settlePlans, startedCampaign } from "../../tests/support/campaigns.ts";
import { testKernel, type TestTenant } from "../../tests/support/kernel.ts";
import { uuid7 } from "../kernel/database/ids.ts";

const k = testKernel();

const grant = (t: TestTenant, contact_ids: string[], over: Record<string, unknown> = {}) =>
  t.api("POST", "/consents", { channel: "sms", contact_ids, source: "web form", ...over });
const consentsOf = async (t: TestTenant, contactId: string) =>
  ((await t.api("GET", `/contacts/${contactId}/consents`)).body.data as { channel: string; state: string }[]).map(
    (c) => `${c.channel} ${c.state}`,
  );
const contact = async (t: TestTenant, fields: Record<string, unknown>) =>
  (await t.api("POST", "/contacts", fields)).body.id as string;
const statusOf = async (id: string) => (await k.sql`select status from public.contacts where id = ${id}`)[0]!.status;
const suppressed = async (t: TestTenant, channel: string) => {
  const rows =
    await k.sql`select address, reason from public.suppressions where tenant_id = ${t.id} and channel = ${channel} order by address`;
  return rows.map((s) => `${s.address} ${s.reason}`);
};

describe("recorded consent", () => {
  test("is granted and withdrawn, once each, with where it came from", async () => {
    const t = await k.tenant();
    const ada = await contact(t, { email: "ada@example.com", phone: "+4930123456" });
    const stranger = uuid7();
    expect((await grant(t, [ada, stranger, ada])).body).toEqual({ changed: 1, unknown: 1 });
    expect((await grant(t, [ada], { source: "again" })).body).toEqual({ changed: 0, unknown: 0 });
    expect((await t.api("GET", `/contacts/${ada}/consents`)).body.data).toEqual([
      { channel: "sms", state: "granted", source: "web form", at: expect.any(String) },
    ]);
    expect((await grant(t, [ada], { state: "withdrawn", source: "phone call" })).body.changed).toBe(1);
    expect(await consentsOf(t, ada)).toEqual(["sms withdrawn"]);
    const audit =
      await k.sql`select detail from public.audit_log where tenant_id = ${t.id} and action = 'consents.put'`;
    expect(audit).toHaveLength(3);
  });

  test("422 names what is missing, 403 for a viewer, and other teams' contacts are unknown", async () => {
    const t = await k.tenant();
    const ada = await contact(t, { email: "ada@example.com" });
    const pointer = async (over: Record<string, unknown>) => {
      const { status, body } = await grant(t, [ada], over);
      return [status, body.errors?.[0].pointer];
    };
    expect(await pointer({ channel: "pigeon" })).toEqual([422, "/channel"]);
    expect(await pointer({ source: " " })).toEqual([422, "/source"]);
    expect(await pointer({ contact_ids: [] })).toEqual([422, "/contact_ids"]);
    expect(await pointer({ state: "maybe" })).toEqual([422, "/state"]);
    const viewer = await t.member("viewer");
    expect((await viewer.api("POST", "/consents", { channel: "sms", contact_ids: [ada], source: "x" })).status).toBe(
      403,
    );
    const other = await k.tenant();
    expect((await grant(other, [ada])).body).toEqual({ changed: 0, unknown: 1 });
    expect(await consentsOf(t, ada)).toEqual([]);
  });
});

describe("opting out", () => {
  test("by withdrawn consent keeps a planned message from leaving and ends the sequence", async () => {
    const t = await k.tenant();
    const c = await startedCampaign(k, t, [{ email: "ada@example.com" }, { email: "bob@example.com" }]);
    await settlePlans(k, t);
    const [ada] = await k.sql`select id from public.contacts where tenant_id = ${t.id} and email = 'ada@example.com'`;
    await grant(t, [ada!.id], { channel: "email", state: "withdrawn", source: "phone call" });
    // At once, before anybody heard of it.
    expect(await sendAll(t, c.connectionId)).toBe(1);
    await t.run((ctx) => ctx.db`select private.apply_guards()`);
    await settlePlans(k, t);
    expect((await messagesOf(k, c.id)).map((m) => [m.to_address, m.status])).toEqual([
      ["ada@example.com", "cancelled"],
      ["bob@example.com", "sent"],
    ]);
    expect((await enrollmentsOf(k, c.id)).map((e) => [e.email, e.status])).toEqual([
      ["ada@example.com", "unsubscribed"],
      ["bob@example.com", "waiting"],
    ]);
    expect(await statusOf(ada!.id)).toBe("unsubscribed");
  });

  test("is the person's: a new address is not written to instead, whichever address the opt-out came from", async () => {
    const t = await k.tenant();
    const c = await startedCampaign(k, t, [{ email: "old@example.com" }]);
    await settlePlans(k, t);
    expect(await sendAll(t, c.connectionId)).toBe(1);
    await settlePlans(k, t);
    const [m] = await messagesOf(k, c.id);
    const person = c.contactIds[0]!;
    expect((await t.api("PATCH", `/contacts/${person}`, { email: "new@example.com" })).status).toBe(200);
    // The second message is planned to the new address, then the person leaves by the link in the first one.
    await k.sql`update public.enrollments set next_at = now(), entered_at = now() - interval '3 days' where campaign_id = ${c.id} and status = 'waiting'`;
    await wake(t);
    expect((await messagesOf(k, c.id)).map((x) => [x.to_address, x.status])).toEqual([
      ["old@example.com", "sent"],
      ["new@example.com", "queued"],
    ]);
    const event = [{ kind: "unsubscribed", event_key: `u:${m!.id}`, message_id: m!.id, at: new Date().toISOString() }];
    await t.run((ctx) => ctx.db`select private.apply_events(null, ${ctx.db.json(event)})`);
    // Nor at an address that only comes afterwards, and that nothing suppresses.
    await k.sql`update public.messages set to_address = 'third@example.com' where campaign_id = ${c.id} and status = 'queued'`;
    expect(await sendAll(t, c.connectionId)).toBe(0);
    await k.sql`update public.messages set to_address = 'new@example.com' where campaign_id = ${c.id} and status = 'queued'`;
    expect(await suppressed(t, "email")).toEqual(["new@example.com unsubscribe", "old@example.com unsubscribe"]);
    expect(await consentsOf(t, person)).toEqual(["email withdrawn"]);
    await settlePlans(k, t);
    expect((await enrollmentsOf(k, c.id))[0]).toMatchObject({ status: "unsubscribed", next_at: null });
    expect((await messagesOf(k, c.id))[1]!.status).toBe("cancelled");
    // Nor by another campaign.
    await contact(t, { email: "bob@example.com", lists: [c.listId] });
    const again = await startedCampaign(k, t, [], { name: "Summer", list_id: c.listId });
    await settlePlans(k, t);
    expect((await enrollmentsOf(k, again.id)).find((e) => e.email === "new@example.com")).toMatchObject({
      status: "left_out",
      reason: "opted_out",
    });
  });
  test("outlives the contact: deleted one by one or in bulk and imported again, they are not written to; what others share stays free", async () => {
    const t = await k.tenant();
    const ada = await contact(t, { email: "ada@example.com", phone: "+4930123456" });
    const bob = await contact(t, { email: "bob@example.com", phone: "+4930123456" });
    const cy = await contact(t, { email: "cy@example.com" });
    const [dan, eve] = [await contact(t, { phone: "+4930123457" }), await contact(t, { phone: "+4930123457" })];
    for (const channel of ["email", "sms"]) await grant(t, [ada, dan, eve], { channel, state: "withdrawn" });
    // A new address, of which no opt-out came, and one that is not opted out of.
    expect((await t.api("PATCH", `/contacts/${ada}`, { email: "ada@new.example" })).status).toBe(200);
    for (const id of [ada, cy]) expect((await t.api("DELETE", `/contacts/${id}`)).status).toBe(204);
    expect(await suppressed(t, "email")).toEqual(["ada@example.com unsubscribe", "ada@new.example unsubscribe"]);
    expect(await suppressed(t, "sms")).toEqual([]);
    const doubles = { action: "delete", ids: [dan, eve] };
    expect([(await t.api("POST", "/contacts/bulk-actions", doubles)).body, await suppressed(t, "sms")]).toEqual([
      { affected: 2 },
      ["+4930123457 unsubscribe"],
    ]);
    // The double's address goes to the contact that stays.
    expect((await t.api("PATCH", `/contacts/${bob}`, { email: "ada@new.example" })).status).toBe(200);
    const c = await startedCampaign(k, t, [{ email: "ada@example.com" }, { email: "cy@example.com" }]);
    await t.api("POST", `/campaigns/${c.id}/leads`, { contact_ids: [bob] });
    await settlePlans(k, t);
    expect((await enrollmentsOf(k, c.id)).map((e) => [e.email, e.status, e.reason])).toEqual([
      ["ada@example.com", "left_out", "suppressed"],
      ["ada@new.example", "left_out", "opted_out"],
      ["cy@example.com", "sending", null],
    ]);
  });

  const wake = async (t: TestTenant) => {
    await k.sql`select private.wake_planning()`;
    await settlePlans(k, t);
  };
});

describe("by a word on the channel", () => {
  /** What a phone writes, as the channel reads it. */
  async function phone(t: TestTenant, number: string) {
    const connection = uuid7();
    await k.sql`
      insert into public.connections (tenant_id, id, provider, category, name, status, credentials)
      values (${t.id}, ${connection}, 'twilio', 'sms', ${connection}, 'active', 'v1.unused')`;
    return (text: string, kind: string) => {
      const read = {
        kind,
        text,
        provider_inbound_id: uuid7(),
        from_address: number,
        to_address: "+15550100",
        references: [],
      };
      return t.run((ctx) => ctx.db`select private.receive_message(${connection}, 'sms', ${ctx.db.json(read)})`);
    };
  }

  test("STOP suppresses the number and withdraws for everybody who has it; START takes both back", async () => {
    const t = await k.tenant();
    const ada = await contact(t, { email: "ada@example.com", phone: "+4930123456" });
    const bob = await contact(t, { email: "bob@example.com", phone: "+4930123456" });
    const write = await phone(t, "+4930123456");
    await write("STOP", "opt_out");
    await settlePlans(k, t);
    expect(await suppressed(t, "sms")).toEqual(["+4930123456 unsubscribe"]);
    expect([await consentsOf(t, ada), await consentsOf(t, bob)]).toEqual([["sms withdrawn"], ["sms withdrawn"]]);
    expect(await statusOf(ada)).toBe("unsubscribed");
    await write("START", "opt_in");
    await settlePlans(k, t);
    expect(await suppressed(t, "sms")).toEqual([]);
    expect([await consentsOf(t, ada), await consentsOf(t, bob)]).toEqual([["sms granted"], ["sms granted"]]);
    expect(await statusOf(ada)).toBe("contacted");
    const [row] = await k.sql`select source from public.consents where tenant_id = ${t.id} and contact_id = ${ada}`;
    expect(row!.source).toContain("«START»");
  });

  test("START does not revive a dead number nor lift what the team decided; a stranger's word is harmless", async () => {
    const t = await k.tenant();
    await t.api("POST", "/suppressions", { channel: "sms", address: "+4930123456", reason: "manual" });
    await t.api("POST", "/suppressions", { channel: "sms", address: "+4930123457", reason: "bounce" });
    for (const number of ["+4930123456", "+4930123457"]) await (await phone(t, number))("START", "opt_in");
    expect(await suppressed(t, "sms")).toEqual(["+4930123456 manual", "+4930123457 bounce"]);
    const stranger = await phone(t, "+4930999999");
    await stranger("START", "opt_in");
    await stranger("STOP", "opt_out");
    expect(await suppressed(t, "sms")).toContain("+4930999999 unsubscribe");
    expect(await k.sql`select 1 from public.consents where tenant_id = ${t.id}`).toHaveLength(0);
  });
});
