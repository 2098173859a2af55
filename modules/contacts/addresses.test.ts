import { describe, expect, test } from "vitest";
import { settlePlans } from "../../tests/support/campaigns.ts";
import { testKernel, type TestTenant } from "../../tests/support/kernel.ts";
import { sentMessage } from "../../tests/support/sent-message.ts";

const t = testKernel();

const person = async (team: TestTenant, fields: Record<string, unknown>) => {
  const made = await team.api("POST", "/contacts", fields);
  expect(made.status, JSON.stringify(made.body)).toBe(201);
  return made.body.id as string;
};
const change = async (team: TestTenant, id: string, fields: Record<string, unknown>) => {
  const changed = await team.api("PATCH", `/contacts/${id}`, fields);
  expect(changed.status, JSON.stringify(changed.body)).toBe(200);
};
/** `channel address`, with a star on the primary one. */
const addressesOf = async (id: string) =>
  (
    await t.sql`
      select channel, address, is_primary, state from public.contact_addresses where contact_id = ${id} order by channel, is_primary desc, address`
  ).map((a) => `${a.channel} ${a.address}${a.is_primary ? " *" : ""}${a.state === "unknown" ? "" : ` ${a.state}`}`);
const statusOf = async (id: string) => (await t.sql`select status from public.contacts where id = ${id}`)[0]!.status;

describe("a person's addresses", () => {
  test("follow the fields, one primary a channel; a former one is kept, and comes back as primary", async () => {
    const team = await t.tenant();
    const id = await person(team, { email: "one@x.test", phone: "+4930123456", linkedin_url: "linkedin.com/in/ada" });
    expect(await addressesOf(id)).toEqual([
      "email one@x.test *",
      "linkedin https://www.linkedin.com/in/ada *",
      "sms +4930123456 *",
    ]);
    await change(team, id, { email: "two@x.test", phone: null });
    const now = [
      "email two@x.test *",
      "email one@x.test",
      "linkedin https://www.linkedin.com/in/ada *",
      "sms +4930123456",
    ];
    expect(await addressesOf(id)).toEqual(now);
    await change(team, id, { title: "CTO" });
    expect(await addressesOf(id)).toEqual(now);
    await change(team, id, { email: "one@x.test", phone: "+4930123456" });
    expect(await addressesOf(id)).toEqual([
      "email one@x.test *",
      "email two@x.test",
      "linkedin https://www.linkedin.com/in/ada *",
      "sms +4930123456 *",
    ]);
  });

  test("follow a statement over many people at once, also where two exchange theirs", async () => {
    const team = await t.tenant();
    const [a, b] = [
      await person(team, { email: "a@x.test", phone: "+4930000001" }),
      await person(team, { email: "b@x.test", phone: "+4930000002" }),
    ];
    await t.sql`
      update public.contacts set phone = case id when ${a} then '+4930000002' else '+4930000001' end, email = 'new-' || email where tenant_id = ${team.id}`;
    expect(await addressesOf(a)).toEqual([
      "email new-a@x.test *",
      "email a@x.test",
      "sms +4930000002 *",
      "sms +4930000001",
    ]);
    expect(await addressesOf(b)).toEqual([
      "email new-b@x.test *",
      "email b@x.test",
      "sms +4930000001 *",
      "sms +4930000002",
    ]);
  });

  test("go with the person; whoever takes over an address of a deleted one has it alone", async () => {
    const team = await t.tenant();
    const [kept, merged] = [
      await person(team, { email: "kept@x.test" }),
      await person(team, { email: "merged@x.test", phone: "+4930123456" }),
    ];
    expect((await team.api("DELETE", `/contacts/${merged}`)).status).toBe(204);
    expect(await addressesOf(merged)).toEqual([]);
    await change(team, kept, { phone: "+4930123456", email: "merged@x.test" });
    expect(await addressesOf(kept)).toEqual(["email merged@x.test *", "email kept@x.test", "sms +4930123456 *"]);
  });

  test("come with an import and with bulk writing", async () => {
    const team = await t.tenant();
    await team.api("POST", "/contacts/bulk", {
      contacts: [{ email: "p@x.test" }, { email: "q@x.test", phone: "+4930123456" }],
    });
    await team.api("POST", "/contacts/bulk", {
      contacts: [{ email: "p@x.test", phone: "+4930123457" }],
      on_duplicate: "update",
    });
    const rows =
      await t.sql`select channel, address from public.contact_addresses where tenant_id = ${team.id} and is_primary order by 1, 2`;
    expect(rows.map((r) => r.address)).toEqual(["p@x.test", "q@x.test", "+4930123456", "+4930123457"]);
  });
});

describe("what providers say of an address", () => {
  /** A message to this person, and what the provider reports of it. */
  async function reported(team: TestTenant, kind: string, change: Record<string, unknown> = {}) {
    const made = await team.api("POST", "/connections", {
      provider: "postmark",
      name: crypto.randomUUID(),
      credentials: { server_token: "token-123456" },
    });
    const m = await sentMessage(t, team, made.body.id);
    if (Object.keys(change).length > 0)
      await t.sql`update public.contacts set ${t.sql(change as never)} where id = ${m.contactId}`;
    const tell = async (what: string, bounce: string | null = null) => {
      const event = {
        kind: what,
        event_key: `${what}:${bounce}:${m.id}`,
        message_id: m.id,
        at: new Date().toISOString(),
        bounce,
      };
      await team.run((ctx) => ctx.db`select private.apply_events(null, ${ctx.db.json([event])})`);
      await settlePlans(t, team);
    };
    await tell(kind, kind === "bounced" ? "permanent" : null);
    return { ...m, tell };
  }

  test("a permanent bounce of the only address makes the person bounced; a temporary one changes nothing", async () => {
    const team = await t.tenant();
    const m = await reported(team, "bounced");
    expect(await addressesOf(m.contactId)).toEqual([`email ${m.email} * invalid`]);
    expect(await statusOf(m.contactId)).toBe("bounced");
    const made = await team.api("POST", "/connections", {
      provider: "postmark",
      name: "Q",
      credentials: { server_token: "token-123456" },
    });
    const soft = await sentMessage(t, team, made.body.id);
    const event = {
      kind: "bounced",
      event_key: `b:${soft.id}`,
      message_id: soft.id,
      at: new Date().toISOString(),
      bounce: "transient",
    };
    await team.run((ctx) => ctx.db`select private.apply_events(null, ${ctx.db.json([event])})`);
    await settlePlans(t, team);
    expect(await addressesOf(soft.contactId)).toEqual([`email ${soft.email} *`]);
    expect(await statusOf(soft.contactId)).not.toBe("bounced");
  });

  test("a dead address is not a dead person: who can be reached on another channel stays so", async () => {
    const team = await t.tenant();
    const m = await reported(team, "bounced", { phone: "+4930123456" });
    expect(await addressesOf(m.contactId)).toEqual([`email ${m.email} * invalid`, "sms +4930123456 *"]);
    expect(await statusOf(m.contactId)).toBe("new");
  });

  test("the bounce of a former address leaves the person, who has a new one", async () => {
    const team = await t.tenant();
    const m = await reported(team, "bounced", { email: "moved@x.test" });
    expect(await addressesOf(m.contactId)).toEqual(["email moved@x.test *", `email ${m.email} invalid`]);
    expect(await statusOf(m.contactId)).toBe("new");
  });

  test("a delivery proves it", async () => {
    const team = await t.tenant();
    const m = await reported(team, "delivered");
    expect(await addressesOf(m.contactId)).toEqual([`email ${m.email} * valid`]);
  });
});

describe("the timeline", () => {
  const kinds = async (team: TestTenant, id: string) =>
    ((await team.api("GET", `/contacts/${id}/interactions`)).body.data as { kind: string; direction: string }[]).map(
      (i) => `${i.kind} ${i.direction}`,
    );

  test("holds what was sent, opened, clicked and answered, once each, and the status follows", async () => {
    const team = await t.tenant();
    const made = await team.api("POST", "/connections", {
      provider: "postmark",
      name: "P",
      credentials: { server_token: "token-123456" },
    });
    const connection = made.body.id as string;
    const m = await sentMessage(t, team, connection, { status: "sending" });
    const settle = () =>
      team.run(
        (ctx) =>
          ctx.db`select private.settle_messages(${ctx.db.json([{ id: m.id, outcome: "sent", provider_message_id: "x" }])})`,
      );
    await settle();
    await settle();
    await settlePlans(t, team);
    expect(await kinds(team, m.contactId)).toEqual(["email_sent out"]);
    expect(await statusOf(m.contactId)).toBe("contacted");

    const at = new Date().toISOString();
    const events = [
      { kind: "opened", event_key: `o:${m.id}`, message_id: m.id, at, is_bot: false },
      { kind: "clicked", event_key: `c:${m.id}`, message_id: m.id, at, is_bot: true },
    ];
    for (let i = 0; i < 2; i++)
      await team.run((ctx) => ctx.db`select private.apply_events(null, ${ctx.db.json(events)})`);
    const read = {
      kind: "reply",
      provider_inbound_id: "r",
      from_address: m.email,
      text: "Yes, gladly",
      references: [m.rfcMessageId],
    };
    for (let i = 0; i < 2; i++)
      await team.run((ctx) => ctx.db`select private.receive_message(${connection}, 'email', ${ctx.db.json(read)})`);
    await settlePlans(t, team);
    expect((await kinds(team, m.contactId)).sort()).toEqual(["email_opened in", "email_reply in", "email_sent out"]);
    expect(await statusOf(m.contactId)).toBe("replied");
    const page = await team.api("GET", `/contacts/${m.contactId}/interactions`);
    expect(page.body.data).toContainEqual(expect.objectContaining({ kind: "email_reply", content: "Yes, gladly" }));
  });

  test("an answer makes nobody less than they are, and a person who was deleted meanwhile holds nothing up", async () => {
    const team = await t.tenant();
    const made = await team.api("POST", "/connections", {
      provider: "postmark",
      name: "P",
      credentials: { server_token: "token-123456" },
    });
    const [customer, gone] = [await sentMessage(t, team, made.body.id), await sentMessage(t, team, made.body.id)];
    await t.sql`update public.contacts set status = 'customer' where id = ${customer.contactId}`;
    for (const m of [customer, gone]) {
      const read = {
        kind: "reply",
        provider_inbound_id: m.id,
        from_address: m.email,
        text: "Hi",
        references: [m.rfcMessageId],
      };
      await team.run((ctx) => ctx.db`select private.receive_message(${made.body.id}, 'email', ${ctx.db.json(read)})`);
    }
    await team.api("DELETE", `/contacts/${gone.contactId}`);
    await settlePlans(t, team);
    expect(await statusOf(customer.contactId)).toBe("customer");
    expect(await kinds(team, customer.contactId)).toEqual(["email_reply in", "email_sent out"]);
    expect(await t.sql`select reason from kernel.dead_letters where tenant_id = ${team.id}`).toEqual([]);
  });
});
