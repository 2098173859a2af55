import { describe, expect, test } from "vitest";
import { createApp } from "../../functions/links/app.ts";
import { giveList, giveSender, settlePlans } from "../../tests/support/campaigns.ts";
import { testKernel, type TestTenant } from "../../tests/support/kernel.ts";
import { applyGuards, email, giveSmsSender, hours, reply, story } from "../../tests/support/sequences.ts";
import { linkToken } from "../channels/email/tokens.ts";
import { receive } from "./inbound.ts";

/** Opting out concerns the person, holds each time it is told, and the page says only what happened. */

const t = testKernel();
const app = createApp(t.kernel);

const urlOf = async (team: TestTenant, messageId: string) =>
  `/links/u/${await linkToken(t.kernel.vault, "unsubscribe", { tenantId: team.id, messageId, number: 0 })}`;
const click = (url: string) => app.request(url, { method: "POST", body: "List-Unsubscribe=One-Click" });
const suppressionsOf = async (team: TestTenant) =>
  (await team.api("GET", "/suppressions")).body.data as { id: string; address: string; reason: string }[];
const two = [email("A"), hours(5), email("B")];
const sentTo = async (team: TestTenant) =>
  (
    await t.sql`select to_address || ' ' || subject as line from public.messages
      where tenant_id = ${team.id} and direction = 'out' and status = 'sent' order by sent_at, id`
  ).map((m) => m.line as string);

/** The provider tells of a message, as its webhook consumer writes it down. */
const told = (team: TestTenant, connectionId: string, messageId: string, event: Record<string, unknown>) =>
  team.run(
    (ctx) =>
      ctx.db`select private.apply_events(${connectionId}, ${ctx.db.json([
        { event_key: `e-${messageId}`, at: new Date().toISOString(), message_id: messageId, ...event },
      ] as never)})`,
  );

describe("a second opt-out, after the suppression was deleted by hand", () => {
  const ways: [string, (team: TestTenant, connectionId: string, messageId: string) => Promise<unknown>][] = [
    ["one-click", async (team, _, id) => click(await urlOf(team, id))],
    ["a complaint told again", (team, c, id) => told(team, c, id, { kind: "complained" })],
    ["a provider's unsubscribe told again", (team, c, id) => told(team, c, id, { kind: "unsubscribed" })],
    ["an answer", (team, c) => reply(team, c, "ada@acme.test", "opt_out")],
  ];
  test.each(ways)("%s suppresses again and ends what began meanwhile", async (_, optOut) => {
    const team = await t.tenant();
    const first = await story(t, team, [email("A0")]);
    await first.go();
    const [mail] = await first.messages();
    await optOut(team, first.connectionId, mail!.id);
    await settlePlans(t, team);
    const [row] = await suppressionsOf(team);
    expect((await team.api("DELETE", `/suppressions/${row!.id}`)).status).toBe(204);
    const second = await story(t, team, two, ["zoe@acme.test"]);
    await team.api("POST", `/campaigns/${second.id}/leads`, { contact_ids: first.contactIds });
    await second.go();
    expect(await second.sent("ada@acme.test")).toEqual(["A"]);
    await optOut(team, first.connectionId, mail!.id);
    await second.pass(6);
    await second.go();
    expect((await suppressionsOf(team)).map((s) => s.address)).toEqual(["ada@acme.test"]);
    expect(await second.sent("ada@acme.test")).toEqual(["A"]);
    expect(await second.sent("zoe@acme.test")).toEqual(["A", "B"]);
    expect(await second.lead("ada@acme.test")).toMatchObject({ status: "unsubscribed" });
  });
});

describe("the address was changed after the first mail", () => {
  const changed = async () => {
    const team = await t.tenant();
    const k = await story(t, team, two);
    await k.go();
    const [mail] = await k.messages();
    const patched = await team.api("PATCH", `/contacts/${k.contactIds[0]}`, { email: "ada@new.test" });
    expect(patched.status).toBe(200);
    const later = async () => {
      await settlePlans(t, team);
      await k.pass(6);
      await k.go();
    };
    return { team, k, mail: mail!, later };
  };
  const ways: [string, (team: TestTenant, connectionId: string, messageId: string) => Promise<unknown>][] = [
    ["the mail's link", async (team, _, id) => click(await urlOf(team, id))],
    ["a complaint about it", (team, c, id) => told(team, c, id, { kind: "complained" })],
    ["an answer from the old address", (team, c) => reply(team, c, "ada@acme.test", "opt_out")],
  ];
  test.each(ways)("%s ends the person's sequences and covers both addresses", async (_, optOut) => {
    const { team, k, mail, later } = await changed();
    await optOut(team, k.connectionId, mail.id);
    await later();
    expect((await suppressionsOf(team)).map((s) => s.address).sort()).toEqual(["ada@acme.test", "ada@new.test"]);
    expect(await sentTo(team)).toEqual(["ada@acme.test A"]);
    expect(await k.lead("ada@new.test")).toMatchObject({ status: "unsubscribed" });
    const page = await (await app.request(await urlOf(team, mail.id))).text();
    expect(page).toContain("You are unsubscribed");
  });

  test("a permanent bounce of the old address concerns that address only", async () => {
    const { team, k, mail, later } = await changed();
    await told(team, k.connectionId, mail.id, { kind: "bounced", bounce: "permanent" });
    await later();
    expect((await suppressionsOf(team)).map((s) => `${s.address} ${s.reason}`)).toEqual(["ada@acme.test bounce"]);
    expect(await sentTo(team)).toEqual(["ada@acme.test A", "ada@new.test B"]);
  });

  test("an old address that somebody else has by now is theirs: they did not opt out", async () => {
    const { team, k, mail, later } = await changed();
    // The old address's owner of today.
    await t.sql`update public.messages set to_address = 'ada@new.test' where id = ${mail.id}`;
    const bob = await team.api("POST", "/contacts", { email: "ada@acme.test", first_name: "Bob" });
    expect(bob.status).toBe(201);
    await click(await urlOf(team, mail.id));
    await later();
    expect((await suppressionsOf(team)).map((s) => s.address)).toEqual(["ada@new.test"]);
    const consents = await team.api("GET", `/contacts/${bob.body.id}/consents`);
    expect(consents.body.data).toEqual([]);
    expect(await k.lead("ada@new.test")).toMatchObject({ status: "unsubscribed" });
  });
});

test("an answer from an address nobody knows also covers the address that was written to", async () => {
  const team = await t.tenant();
  const { connectionId } = await giveSender(t, team);
  const id = crypto.randomUUID();
  await t.sql`insert into public.messages (tenant_id, id, direction, channel, action, status, from_address, to_address, thread_id, sent_at)
    values (${team.id}, ${id}, 'out', 'email', 'email.send', 'sent', 'sam@us.test', 'office@acme.test', ${id}, now())`;
  await t.sql`insert into public.email_details (tenant_id, message_id, rfc_message_id) values (${team.id}, ${id}, '<first@us.test>')`;
  const read = {
    kind: "opt_out",
    provider_inbound_id: crypto.randomUUID(),
    from_address: "eve@acme.test",
    text: "unsubscribe",
    references: ["<first@us.test>"],
  };
  await team.run((ctx) => ctx.db`select private.receive_message(${connectionId}, 'email', ${ctx.db.json(read)})`);
  expect((await suppressionsOf(team)).map((s) => s.address).sort()).toEqual(["eve@acme.test", "office@acme.test"]);
});

describe("the page", () => {
  test("confirms nothing where the message is gone, and nothing changes", async () => {
    const team = await t.tenant();
    const url = await urlOf(team, crypto.randomUUID());
    for (const method of ["GET", "POST"]) {
      const answer = await app.request(url, { method });
      expect(answer.status).toBe(410);
      expect(await answer.text()).not.toContain("You are unsubscribed");
    }
    expect(await suppressionsOf(team)).toEqual([]);
  });

  test("asks again where the suppression was deleted, and where only the address is dead", async () => {
    const team = await t.tenant();
    const k = await story(t, team, [email("A")]);
    await k.go();
    const [mail] = await k.messages();
    const url = await urlOf(team, mail!.id);
    await team.api("POST", "/suppressions", { address: "ada@acme.test", reason: "bounce" });
    expect(await (await app.request(url)).text()).toContain('<form method="post">');
    expect(await (await click(url)).text()).toContain("You are unsubscribed");
    expect(await (await app.request(url)).text()).toContain("You are unsubscribed");
    const [row] = await suppressionsOf(team);
    await team.api("DELETE", `/suppressions/${row!.id}`);
    await t.sql`delete from public.consents where tenant_id = ${team.id}`;
    expect(await (await app.request(url)).text()).toContain('<form method="post">');
  });
});

test("whoever opted out and lost the row of it is not taken in again by an import of an old address", async () => {
  const team = await t.tenant();
  const k = await story(t, team, [email("A")]);
  await k.go();
  const [mail] = await k.messages();
  await team.api("PATCH", `/contacts/${k.contactIds[0]}`, { email: "ada@new.test" });
  await click(await urlOf(team, mail!.id));
  await settlePlans(t, team);
  await team.api("DELETE", `/contacts/${k.contactIds[0]}`);
  const again = await giveList(t, team, [{ email: "ada@new.test" }, { email: "ada@acme.test" }]);
  const made = await story(t, team, [email("X")], ["zoe@acme.test"]);
  await team.api("POST", `/campaigns/${made.id}/leads`, { contact_ids: again.contactIds });
  await made.go();
  await applyGuards(team);
  expect(await sentTo(team)).toEqual(["ada@acme.test A", "zoe@acme.test X"]);
});

/** A mail as the channel reads it, to the message it answers. */
const answer = (
  team: TestTenant,
  connectionId: string,
  mail: { rfc_message_id: string },
  text: string,
  from = "ada@acme.test",
) =>
  team.run(async (ctx) => {
    const message = {
      provider_inbound_id: crypto.randomUUID(),
      from: { address: from, name: "Ada" },
      to: ["sam@us.test"],
      text,
      details: { subject: "Re: A", html: null, headers: { "in-reply-to": mail.rfc_message_id }, rfc_message_id: null },
    };
    await receive(ctx, connectionId, "email", message);
  });
const received = async (team: TestTenant) =>
  (await team.api("GET", "/messages?direction=in")).body.data as {
    id: string;
    opt_out: string | null;
    thread_id: string;
  }[];

describe("in the words of an answer", () => {
  const HISTORY =
    "\n\nOn Mon, 30 Nov 2026 at 10:00, Sam <sam@us.test> wrote:\n> If you would rather not hear from me, unsubscribe here\n";

  const OUTLOOK = "\n\nFrom: Sam <sam@us.test>\nSent: Monday, November 30, 2026 10:00\nTo: Ada\nSubject: A\n\n";

  test("a plain wish is an opt-out with its reason, and ends what runs on other channels too", async () => {
    const team = await t.tenant();
    const { smsSenderId } = await giveSmsSender(t, team);
    const k = await story(t, team, [email("A"), hours(5)]);
    await team.api("PATCH", `/campaigns/${k.id}`, { sender_ids: [k.senderId, smsSenderId] });
    await team.api("PATCH", `/contacts/${k.contactIds[0]}`, { phone: "+4930123456" });
    await k.edit([...k.steps, { kind: "sms", body: "Hello" }]);
    await k.go();
    const [mail] = await k.messages();
    await answer(team, k.connectionId, mail!, `Hi Sam,\n\nPlease do not contact me again.\n\nAda${HISTORY}`);
    await k.go();
    const [row] = (await team.api("GET", "/suppressions")).body.data;
    expect(row).toMatchObject({
      address: "ada@acme.test",
      reason: "unsubscribe",
      detail: "The person wrote «Please do not contact me again».",
    });
    expect((await k.lead()).status).toBe("replied");
    expect(await received(team)).toMatchObject([{ opt_out: "yes" }]);
    const contact = await team.api("GET", `/contacts/${k.contactIds[0]}`);
    expect(contact.body.status).toBe("unsubscribed");
  });

  test("words that only come close ask a member: «opt out» acts, «not an opt-out» only closes the question", async () => {
    const team = await t.tenant();
    const k = await story(t, team, [email("A"), hours(5), email("B")], ["ada@acme.test", "bob@acme.test"]);
    await k.go();
    for (const mail of await k.messages())
      await answer(team, k.connectionId, mail, "Is this spam? How did you get my address?", mail.to_address);
    await k.go();
    expect(await suppressionsOf(team)).toEqual([]);
    const asked = await received(team);
    expect(asked.map((m) => m.opt_out)).toEqual(["asked", "asked"]);
    const threads = async () =>
      (await team.api("GET", "/threads")).body.data.map((x: { address: string; asks_opt_out: boolean }) => [
        x.address,
        x.asks_opt_out,
      ]);
    expect((await threads()).sort()).toEqual([
      ["ada@acme.test", true],
      ["bob@acme.test", true],
    ]);
    const viewer = await team.member("viewer");
    const member = await team.member("member");
    const decide = (id: string, opt_out: unknown, who = member.api) =>
      who("POST", `/messages/${id}/opt-out`, { opt_out });
    expect((await decide(asked[0]!.id, true, viewer.api)).status).toBe(403);
    expect((await decide(asked[0]!.id, "maybe")).status).toBe(422);
    const [second, first] = asked;
    expect((await decide(first!.id, true)).body).toMatchObject({ opt_out: "yes" });
    expect((await decide(second!.id, false)).body).toMatchObject({ opt_out: "no" });
    expect((await decide(second!.id, true)).status).toBe(409);
    expect((await decide(crypto.randomUUID(), true)).status).toBe(404);
    expect((await suppressionsOf(team)).map((s) => `${s.address} ${s.reason}`)).toEqual(["ada@acme.test unsubscribe"]);
    expect((await threads()).sort()).toEqual([
      ["ada@acme.test", false],
      ["bob@acme.test", false],
    ]);
    const other = await t.tenant();
    expect((await other.api("POST", `/messages/${first!.id}/opt-out`, { opt_out: true })).status).toBe(404);
    const sent = await t.sql`select to_address, unsubscribed_at is not null as gone from public.messages
      where tenant_id = ${team.id} and direction = 'out' order by to_address`;
    expect(sent.map((m) => [m.to_address, m.gone])).toEqual([
      ["ada@acme.test", true],
      ["bob@acme.test", false],
    ]);
  });

  test("quoted words count for nothing, and the whole text stays readable in the thread", async () => {
    const team = await t.tenant();
    const k = await story(t, team, [email("A")]);
    await k.go();
    const [mail] = await k.messages();
    await answer(team, k.connectionId, mail!, `Sounds good.${OUTLOOK}Please do not contact me again`);
    expect(await suppressionsOf(team)).toEqual([]);
    const [got] = await received(team);
    expect(got!.opt_out).toBeNull();
    const { body } = await team.api("GET", `/threads/${got!.thread_id}/messages`);
    expect(body.data[0]).toMatchObject({
      body_text: "Sounds good.",
      full_text: expect.stringContaining("do not contact me"),
    });
    expect(body.data[1]).toMatchObject({ direction: "out", full_text: null });
  });
});
