import { createClient, type RealtimeChannel, type SupabaseClient } from "@supabase/supabase-js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { testKernel, type TestTenant } from "../support/kernel.ts";
import { until } from "../support/until.ts";

// The team's topic over real sockets, as the console listens to it, and the parts of Supabase that hold nothing of ours.

const t = testKernel();
let mine: TestTenant;
let theirs: TestTenant;
beforeAll(async () => {
  [mine, theirs] = [await t.tenant("Listeners"), await t.tenant("Victims")];
});

const clients: SupabaseClient[] = [];
afterAll(async () => {
  for (const client of clients) await client.realtime.disconnect();
});

async function connect(token?: string) {
  const client = createClient(t.env.SUPABASE_URL!, t.env.SUPABASE_PUBLISHABLE_KEY!, {
    auth: { persistSession: false, autoRefreshToken: false },
  });
  clients.push(client);
  if (token) await client.realtime.setAuth(token);
  return client;
}

type Heard = { status: string; events: unknown[]; channel: RealtimeChannel };
async function listen(token: string | undefined, topic: string, isPrivate = true): Promise<Heard> {
  const channel = (await connect(token)).channel(topic, { config: { private: isPrivate } });
  const events: unknown[] = [];
  channel.on("broadcast", { event: "*" }, (message) => void events.push(message));
  const status = await new Promise<string>((done) => channel.subscribe((now) => done(now)));
  return { status, events, channel };
}

test("members hear that something changed and its id; nobody else hears anything, whatever they join as", async () => {
  const topic = `tenant:${theirs.id}`;
  const viewer = await theirs.member("viewer");
  const [own, other, anonymous, open] = [
    await listen(viewer.token, topic),
    await listen(mine.owner.token, topic),
    await listen(undefined, topic),
    await listen(mine.owner.token, topic, false),
  ];
  expect([own.status, other.status, anonymous.status, open.status]).toEqual([
    "SUBSCRIBED",
    "CHANNEL_ERROR",
    "CHANNEL_ERROR",
    "SUBSCRIBED",
  ]);
  const made = await theirs.api("POST", "/contacts", { email: "heard@example.com", first_name: "Hortense" });
  await until(() => own.events.length > 0, { what: "the member to hear of it" });
  expect(JSON.stringify(own.events)).toContain(made.body.id);
  // Ids only: what a policy would hide is not in a broadcast.
  expect(JSON.stringify(own.events)).not.toMatch(/Hortense|heard@/);
  expect([...other.events, ...anonymous.events, ...open.events]).toEqual([]);
});

test("who is removed hears nothing more on sockets that are open, and the others go on listening", async () => {
  const topic = `tenant:${theirs.id}`;
  const [gone, stays] = [await theirs.member("viewer"), await theirs.member("viewer")];
  const [removed, other, promoted] = [
    await listen(gone.token, topic),
    await listen(stays.token, topic),
    await listen((await theirs.member("viewer")).token, topic),
  ];
  expect([removed.status, other.status, promoted.status]).toEqual(["SUBSCRIBED", "SUBSCRIBED", "SUBSCRIBED"]);
  expect((await theirs.api("DELETE", `/members/${gone.userId}`)).status).toBe(204);
  // At once: this is announced right behind the removal.
  const made = await theirs.api("POST", "/lists", { name: "After the removal" });
  const heard = (by: Heard) => by.events.some((e) => JSON.stringify(e).includes(made.body.id));
  await until(() => heard(other) && heard(promoted), { what: "the others to hear of it" });
  await until(() => removed.channel.state === "closed", { what: "the removed member's channel to be closed" });
  expect(heard(removed)).toBe(false);
  expect((await listen(gone.token, topic)).status).toBe("CHANNEL_ERROR");
  // A change of role asks again and takes nothing from who may still listen.
  expect((await theirs.api("PATCH", `/members/${stays.userId}`, { role: "member" })).status).toBe(200);
  const later = await theirs.api("POST", "/lists", { name: "After the change" });
  await until(() => other.events.some((e) => JSON.stringify(e).includes(later.body.id)), { what: "who stays" });
});

test("a session that its owner ends hears nothing more on sockets that are open, and the owner's other one goes on", async () => {
  const account = { email: `s-${crypto.randomUUID()}@example.com`, password: "correct horse battery" };
  const from = { "x-forwarded-for": `198.51.100.${Math.floor(Math.random() * 250)}` };
  const api = (token: string | null, method: string, path: string, body?: unknown) =>
    t.call(token)(method, path, body, from);
  const first = (await api(null, "POST", "/auth/register", { ...account, name: "S", tenant_name: "S" })).body;
  const second = (await api(null, "POST", "/auth/login", account)).body;
  const topic = `tenant:${first.tenant.id}`;
  const [ended, other] = [await listen(first.access_token, topic), await listen(second.access_token, topic)];
  expect([ended.status, other.status]).toEqual(["SUBSCRIBED", "SUBSCRIBED"]);
  expect((await api(second.access_token, "DELETE", "/auth/sessions")).status).toBe(204);
  await until(() => ended.channel.state === "closed", { what: "the ended session's channel to be closed" });
  const made = await t.call(second.access_token, first.tenant.id)("POST", "/lists", { name: "After the end" });
  await until(() => other.events.some((e) => JSON.stringify(e).includes(made.body.id)), { what: "the other session" });
  expect(JSON.stringify(ended.events)).not.toContain(made.body.id);
});

test("what is committed together with a removal is not heard by who was removed", async () => {
  const topic = `tenant:${theirs.id}`;
  const [gone, stays] = [await theirs.member("viewer"), await theirs.member("viewer")];
  const [removed, other] = [await listen(gone.token, topic), await listen(stays.token, topic)];
  const elsewhere = await listen(mine.owner.token, `tenant:${mine.id}`);
  const release = Promise.withResolvers<void>();
  let holding: Promise<unknown> = Promise.resolve();
  const [id, last] = await t.sql.begin(async (tx) => {
    // Somebody else's change comes first: what follows it closely is asked about a little later.
    await tx`select pg_notify('realtime_access', 'of somebody else')`;
    await tx`delete from public.members where tenant_id = ${theirs.id} and user_id = ${gone.userId}`;
    const list = async (tenant: string) =>
      (
        await tx<{ id: string }[]>`insert into public.lists (tenant_id, name) values (${tenant}, 'Both') returning id`
      )[0]!.id;
    const ids = [await list(theirs.id), await list(mine.id)] as const;
    // From the commit on the policies cannot be asked, which takes a write, while messages can be read.
    holding = t.sql.begin(async (hold) => {
      await hold`lock table realtime.messages in share mode`;
      await release.promise;
    });
    const waits = () => t.sql`
      select from pg_locks where relation = 'realtime.messages'::regclass and mode = 'ShareLock' and not granted`;
    await until(async () => (await waits()).length > 0, { what: "the lock to stand in line" });
    return ids;
  });
  const heard = (by: Heard, what = id) => by.events.some((e) => JSON.stringify(e).includes(what));
  // Announced behind the other one, to a team whose rights did not change.
  await until(() => heard(elsewhere, last), { what: "the other team to hear of its list" });
  expect([heard(removed), heard(other)]).toEqual([false, false]);
  release.resolve();
  await holding;
  await until(() => heard(other), { what: "the others to hear of it" });
  await until(() => removed.channel.state === "closed", { what: "the removed member's channel to be closed" });
  expect(heard(removed)).toBe(false);
});

test("nobody sends on a team's topic, its members included, over the socket or over HTTP", async () => {
  const topic = `tenant:${theirs.id}`;
  const own = await listen(theirs.owner.token, topic);
  const forger = await listen((await theirs.member("admin")).token, topic);
  await forger.channel.send({ type: "broadcast", event: "contacts", payload: { forged: "by socket" } });
  for (const token of [mine.owner.token, theirs.owner.token, t.env.SUPABASE_PUBLISHABLE_KEY!]) {
    const answer = await fetch(`${t.env.SUPABASE_URL}/realtime/v1/api/broadcast`, {
      method: "POST",
      headers: {
        apikey: t.env.SUPABASE_PUBLISHABLE_KEY!,
        authorization: `Bearer ${token}`,
        "content-type": "application/json",
      },
      body: JSON.stringify({ messages: [{ topic, event: "contacts", payload: { forged: "by HTTP" }, private: true }] }),
    });
    await answer.body?.cancel();
  }
  // A true message after the forged ones: had they come, they would stand before it.
  await theirs.api("POST", "/lists", { name: "After" });
  await until(() => own.events.some((e) => JSON.stringify(e).includes('"lists"')), { what: "the true message" });
  expect(JSON.stringify(own.events)).not.toContain("forged");
});

test("of Supabase's storage nothing is used: no bucket, no file, no policy of ours", async () => {
  const answer = await fetch(`${t.env.SUPABASE_URL}/storage/v1/bucket`, {
    headers: { apikey: t.env.SUPABASE_PUBLISHABLE_KEY!, authorization: `Bearer ${mine.owner.token}` },
  });
  await answer.body?.cancel();
  expect(answer.status).toBe(501);
  expect(await t.sql`select from pg_policies where schemaname = 'storage'`).toHaveLength(0);
});
