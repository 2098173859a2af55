import { expect, test } from "vitest";
import { giveSender } from "../../tests/support/campaigns.ts";
import { testKernel, type TestTenant } from "../../tests/support/kernel.ts";
import { uuid7 } from "../kernel/database/ids.ts";

const t = testKernel();

/** A mail that was sent to this address, with a Message-ID that an answer can name. */
async function sent(team: TestTenant, address: string, fields: Record<string, unknown> = {}) {
  const id = uuid7();
  const at = new Date(Date.now() - 5000);
  const row = {
    tenant_id: team.id,
    id,
    direction: "out",
    channel: "email",
    action: "email.send",
    status: "sent",
    from_address: "me@us.test",
    to_address: address,
    subject: "Hello",
    body_text: "question",
    thread_id: uuid7(),
    sent_at: at,
    created_at: at,
    ...fields,
  };
  const reference = `<${id}@us.test>`;
  await t.sql`insert into public.messages ${t.sql(row as never)}`;
  await t.sql`insert into public.email_details (tenant_id, message_id, rfc_message_id) values (${team.id}, ${id}, ${reference})`;
  return { id, threadId: row.thread_id, reference };
}

/** Receives a mail as the webhook consumer does once the channel read it. Returns its id, null when it was not stored. */
async function receive(team: TestTenant, connection: string, from: string, over: Record<string, unknown> = {}) {
  const read = {
    kind: "reply",
    provider_inbound_id: uuid7(),
    from_address: from,
    from_name: "Pat",
    to_address: "me@us.test",
    subject: "Re: Hello",
    text: "an answer",
    references: [],
    email: { rfc_message_id: null, headers: {}, html: null },
    ...over,
  };
  const [row] = await team.run(
    (ctx) =>
      ctx.db<
        { id: string | null }[]
      >`select private.receive_message(${connection}, 'email', ${ctx.db.json(read as never)}) as id`,
  );
  return row!.id;
}

const list = async (team: TestTenant, query = "") =>
  (await team.api("GET", `/threads${query}`)).body.data as { id: string; [field: string]: unknown }[];

async function setUp() {
  const team = await t.tenant();
  return { team, ...(await giveSender(t, team)) };
}

test("a conversation begins with the first message that comes in, is listed by the newest and shows both sides, newest first", async () => {
  const { team, connectionId } = await setUp();
  const { body: pat } = await team.api("POST", "/contacts", { email: "pat@example.com", first_name: "Pat" });
  const first = await sent(team, "pat@example.com", { contact_id: pat.id });
  await sent(team, "silent@example.com");
  expect(await list(team)).toEqual([]);
  await receive(team, connectionId, "pat@example.com", { references: [first.reference], text: "first answer" });
  await receive(team, connectionId, "pat@example.com", { references: [first.reference], text: "second answer" });
  expect(await list(team)).toMatchObject([
    {
      id: first.threadId,
      channel: "email",
      status: "open",
      address: "pat@example.com",
      subject: "Hello",
      snippet: "second answer",
      contact: { id: pat.id },
      messages: 3,
      is_auto_reply: false,
    },
  ]);
  const thread = await team.api("GET", `/threads/${first.threadId}`);
  expect(thread.body).toEqual({
    id: first.threadId,
    channel: "email",
    subject: "Hello",
    status: "open",
    assignee_id: null,
    contact: { id: pat.id, full_name: "Pat", email: "pat@example.com" },
    campaign: null,
  });
  const { body } = await team.api("GET", `/threads/${first.threadId}/messages`);
  const texts = body.data.map((m: { body_text: string }) => m.body_text);
  expect(texts).toEqual(["second answer", "first answer", "question"]);
});

test("is closed, and the next message that comes in opens it again; given to a member and to nobody else", async () => {
  const { team, connectionId } = await setUp();
  const first = await sent(team, "pat@example.com");
  await receive(team, connectionId, "pat@example.com", { references: [first.reference] });
  const patch = (body: object, who = team.api) => who("PATCH", `/threads/${first.threadId}`, body);
  const member = await team.member("member");
  expect((await patch({ status: "closed", assignee_id: member.userId }, member.api)).body).toEqual({
    id: first.threadId,
    status: "closed",
    assignee_id: member.userId,
  });
  expect((await team.api("GET", `/threads/${first.threadId}`)).body).toMatchObject({
    status: "closed",
    assignee_id: member.userId,
  });
  expect(await list(team, "?status=open")).toEqual([]);
  expect((await list(team, "?status=closed")).map((x) => x.id)).toEqual([first.threadId]);
  // A machine's note that nobody is there is kept and opens nothing.
  await receive(team, connectionId, "pat@example.com", { references: [first.reference], kind: "auto_reply" });
  expect(await list(team, "?status=open")).toEqual([]);
  await receive(team, connectionId, "pat@example.com", { references: [first.reference] });
  expect((await list(team, "?status=open")).map((x) => x.id)).toEqual([first.threadId]);
  // Whoever has it keeps it.
  expect((await patch({})).body.assignee_id).toBe(member.userId);
  expect((await team.api("DELETE", `/members/${member.userId}`)).status).toBe(204);
  expect((await patch({})).body.assignee_id).toBeNull();
  const outsider = await t.tenant();
  const refused = await patch({ assignee_id: outsider.owner.userId });
  expect([refused.status, refused.body.errors[0].pointer]).toEqual([422, "/assignee_id"]);
  const viewer = await team.member("viewer");
  expect((await patch({ status: "closed" }, viewer.api)).status).toBe(403);
  expect((await patch({ status: "closed" }, outsider.api)).status).toBe(404);
});

test("mail without a reference joins by address: our last message to it, else the conversation there was, else a new one", async () => {
  const { team, connectionId } = await setUp();
  const first = await sent(team, "pat@example.com");
  const threadOf = async (id: string | null) =>
    (await t.sql`select thread_id from public.messages where id = ${id}`)[0]!.thread_id as string;
  expect(await threadOf(await receive(team, connectionId, "pat@example.com"))).toBe(first.threadId);
  const began = await threadOf(await receive(team, connectionId, "stranger@example.com"));
  expect(began).not.toBe(first.threadId);
  expect(await threadOf(await receive(team, connectionId, "stranger@example.com"))).toBe(began);
  const threads = await list(team);
  expect(threads).toHaveLength(2);
  expect(threads[0]).toMatchObject({ id: began, contact: null, campaign: null, address: "stranger@example.com" });
});

test("mail from a person's former address finds the person", async () => {
  const { team, connectionId } = await setUp();
  const { body: pat } = await team.api("POST", "/contacts", { email: "old@example.com" });
  await team.api("PATCH", `/contacts/${pat.id}`, { email: "new@example.com" });
  await receive(team, connectionId, "old@example.com");
  expect(await list(team)).toMatchObject([{ contact: { id: pat.id, email: "new@example.com" } }]);
});

test("a reference to the id that the provider gave the message counts like our own", async () => {
  const { team, connectionId } = await setUp();
  const first = await sent(team, "pat@example.com");
  await t.sql`update public.email_details set provider_rfc_id = '<theirs@provider.test>' where message_id = ${first.id}`;
  await receive(team, connectionId, "colleague@example.com", { references: ["<other@x>", "<theirs@provider.test>"] });
  expect((await list(team)).map((x) => x.id)).toEqual([first.threadId]);
});

test("conversations in which only machines answered can be left out", async () => {
  const { team, connectionId } = await setUp();
  const [a, b] = [await sent(team, "a@example.com"), await sent(team, "b@example.com")];
  await receive(team, connectionId, "a@example.com", { kind: "auto_reply" });
  await receive(team, connectionId, "b@example.com");
  expect((await list(team)).map((x) => [x.id, x.is_auto_reply])).toEqual([
    [b.threadId, false],
    [a.threadId, true],
  ]);
  expect((await list(team, "?include_auto_replies=false")).map((x) => x.id)).toEqual([b.threadId]);
  await receive(team, connectionId, "a@example.com");
  expect((await list(team, "?include_auto_replies=false")).map((x) => x.id)).toEqual([a.threadId, b.threadId]);
});

test("pages through every conversation once, newest message first, also when many share one instant", async () => {
  const { team, connectionId } = await setUp();
  for (let i = 0; i < 7; i++) await receive(team, connectionId, `p${i}@example.com`);
  await t.sql`
    update public.threads set last_message_at = '2026-01-05T10:00:00.123456Z' where tenant_id = ${team.id} and external_key < 'p5'`;
  const seen: string[] = [];
  for (let cursor: string | null = ""; cursor !== null;) {
    const page: { body: { data: { id: string }[]; next_cursor: string | null } } = await team.api(
      "GET",
      `/threads?limit=2${cursor && `&cursor=${cursor}`}`,
    );
    seen.push(...page.body.data.map((x) => x.id));
    cursor = page.body.next_cursor;
  }
  expect(seen).toEqual((await list(team)).map((x) => x.id));
  expect(new Set(seen).size).toBe(7);
});

test("a long conversation comes in pages, newest first and each once, also when many share one instant", async () => {
  const { team, connectionId } = await setUp();
  const first = await sent(team, "pat@example.com");
  const answers: string[] = [];
  for (let i = 0; i < 8; i++) {
    const id = await receive(team, connectionId, "pat@example.com", {
      references: [first.reference],
      text: `no. ${i}`,
    });
    answers.unshift(id!);
  }
  await sent(team, "pat@example.com", { body_text: "of another conversation" });
  const together = answers.slice(0, 5);
  await t.sql`
    update public.messages set created_at = (select max(m.created_at) from public.messages m where m.tenant_id = ${team.id})
    where tenant_id = ${team.id} and id = any(${together})`;
  const seen: string[] = [];
  for (let cursor: string | null = ""; cursor !== null;) {
    const page: { body: { data: { id: string }[]; next_cursor: string | null } } = await team.api(
      "GET",
      `/threads/${first.threadId}/messages?limit=2${cursor && `&cursor=${cursor}`}`,
    );
    seen.push(...page.body.data.map((x) => x.id));
    cursor = page.body.next_cursor;
  }
  expect(seen).toEqual([...together.sort().reverse(), ...answers.slice(5), first.id]);
});

test("what nobody has answered can be read by its conversation too, which has no state yet", async () => {
  const { team } = await setUp();
  const { threadId } = await sent(team, "silent@example.com");
  expect((await team.api("GET", `/threads/${threadId}`)).body).toMatchObject({ status: null, assignee_id: null });
  const { body } = await team.api("GET", `/threads/${threadId}/messages`);
  expect([body.data.length, body.next_cursor, body.has_more]).toEqual([1, null, false]);
});

test("the same mail told five times at one moment is stored once; our own is not stored", async () => {
  const { team, connectionId } = await setUp();
  const provider_inbound_id = uuid7();
  const five = Array.from({ length: 5 }, () => receive(team, connectionId, "pat@example.com", { provider_inbound_id }));
  expect((await Promise.all(five)).filter((id) => id !== null)).toHaveLength(1);
  expect(await receive(team, connectionId, "sam@us.test")).toBeNull();
  expect((await list(team)).map((x) => [x.address, x.messages])).toEqual([["pat@example.com", 1]]);
});
