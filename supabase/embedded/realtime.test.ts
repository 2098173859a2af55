import { createClient, type RealtimeChannel, type SupabaseClient } from "@supabase/supabase-js";
import { SignJWT } from "jose";
import postgres, { type Sql } from "postgres";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { until } from "../../tests/support/until.ts";
import type { Stack } from "./stack.ts";
import { fixtureStack } from "./testing.ts";

// The real supabase-js is the judge. Policies: members of a team may read and send on "team:<their sub>"; everybody signed
// in may read "news", nobody may send there.

let stack: Stack;
let sql: Sql;
const clients: SupabaseClient[] = [];

beforeAll(async () => {
  stack = await fixtureStack(`
    create policy team_read on realtime.messages for select to authenticated
      using (realtime.topic() = 'team:' || (select auth.uid()) and extension in ('broadcast', 'presence'));
    create policy team_send on realtime.messages for insert to authenticated
      with check (realtime.topic() = 'team:' || (select auth.uid()) and extension in ('broadcast', 'presence'));
    create policy news_read on realtime.messages for select to authenticated using (realtime.topic() = 'news');
    create table public.items (id int primary key, name text);
    create function public.announce_item() returns trigger language plpgsql security definer set search_path = '' as $$
    begin
      perform realtime.broadcast_changes('news', tg_op, tg_op, tg_table_name, tg_table_schema, new, old);
      return null;
    end $$;
    create trigger announce after insert or update or delete on public.items for each row execute function public.announce_item();
  `);
  sql = postgres(stack.dbUrl, { max: 1, onnotice: () => {} });
});
afterEach(async () => {
  for (const client of clients.splice(0)) await client.realtime.disconnect();
});
afterAll(async () => {
  await sql?.end();
  await stack?.stop();
});

const token = (sub: string, expiresIn: string | number | Date = "1h", secret = stack.env.SUPABASE_JWT_SECRET!) =>
  new SignJWT({ role: "authenticated" })
    .setProtectedHeader({ alg: "HS256" })
    .setSubject(sub)
    .setExpirationTime(expiresIn)
    .sign(new TextEncoder().encode(secret));

async function connect(vsn: string, jwt?: string): Promise<SupabaseClient> {
  const client = createClient(stack.url, stack.env.SUPABASE_PUBLISHABLE_KEY!, {
    auth: { persistSession: false },
    realtime: { vsn },
  });
  clients.push(client);
  if (jwt) await client.realtime.setAuth(jwt);
  return client;
}

interface Joined {
  status: string;
  message: string | undefined;
}
const join = (channel: RealtimeChannel) =>
  new Promise<Joined>((done) => channel.subscribe((status, error) => done({ status, message: error?.message })));
const joined = { status: "SUBSCRIBED", message: undefined };

describe.each(["1.0.0", "2.0.0"])("serializer %s", (vsn) => {
  test("a private channel receives what the database and other clients broadcast", async () => {
    const me = crypto.randomUUID();
    const [listener, sender] = [await connect(vsn, await token(me)), await connect(vsn, await token(me))];
    const got: Record<string, unknown>[] = [];
    const channel = listener
      .channel(`team:${me}`, { config: { private: true } })
      .on("broadcast", { event: "*" }, (message) => got.push(message));
    expect(await join(channel)).toEqual(joined);
    const other = sender.channel(`team:${me}`, { config: { private: true, broadcast: { ack: true } } });
    expect(await join(other)).toEqual(joined);

    expect(await other.send({ type: "broadcast", event: "typed", payload: { text: "hi" } })).toBe("ok");
    expect(await other.httpSend("posted", { n: 1 })).toEqual({ success: true });
    await sql`select realtime.send('{"from":"db"}'::jsonb, 'stored', ${`team:${me}`}, true)`;
    await until(() => got.length >= 3, { what: "three broadcasts" });
    expect(got).toMatchObject([
      { event: "typed", payload: { text: "hi" } },
      { event: "posted", payload: { n: 1 } },
      { event: "stored", payload: { from: "db", id: expect.any(String) }, meta: { id: expect.any(String) } },
    ]);
  });

  test("changes of a table arrive through broadcast_changes, in order, and only after commit", async () => {
    const client = await connect(vsn, await token(crypto.randomUUID()));
    const got: { event: string; payload: Record<string, unknown> }[] = [];
    const channel = client
      .channel("news", { config: { private: true } })
      .on("broadcast", { event: "*" }, (message) => got.push(message as never));
    expect(await join(channel)).toEqual(joined);
    await sql
      .begin((tx) =>
        tx`insert into public.items values (9, 'never')`.then(() => Promise.reject(new Error("roll back"))),
      )
      .catch(() => {});
    await sql`insert into public.items values (1, 'a')`;
    await sql`update public.items set name = 'b' where id = 1`;
    await sql`delete from public.items where id = 1`;
    await until(() => got.length >= 3, { what: "three changes" });
    expect(got.map(({ event, payload }) => [event, payload.record, payload.old_record])).toEqual([
      ["INSERT", { id: 1, name: "a" }, null],
      ["UPDATE", { id: 1, name: "b" }, { id: 1, name: "a" }],
      ["DELETE", null, { id: 1, name: "b" }],
    ]);
  });

  test("a channel without a reading policy is refused, without a sending policy is silent", async () => {
    const me = crypto.randomUUID();
    const client = await connect(vsn, await token(me));
    const refused = await join(client.channel(`team:${crypto.randomUUID()}`, { config: { private: true } }));
    expect(refused).toMatchObject({ status: "CHANNEL_ERROR", message: expect.stringContaining("Unauthorized") });

    const got: unknown[] = [];
    const reader = await connect(vsn, await token(crypto.randomUUID()));
    expect(
      await join(
        reader.channel("news", { config: { private: true } }).on("broadcast", { event: "*" }, (m) => got.push(m)),
      ),
    ).toEqual(joined);
    const news = client.channel("news", { config: { private: true } });
    expect(await join(news)).toEqual(joined);
    await news.send({ type: "broadcast", event: "forged", payload: {} });
    await news.httpSend("forged", {});
    await sql`select realtime.send('{}'::jsonb, 'real', 'news', true)`;
    await until(() => got.length > 0, { what: "the real message" });
    expect(got).toMatchObject([{ event: "real" }]);
  });

  test("signed-in topics are closed to the publishable key alone", async () => {
    const client = await connect(vsn);
    expect(await join(client.channel("news", { config: { private: true } }))).toMatchObject({
      status: "CHANNEL_ERROR",
    });
  });

  test("a public channel of the same name hears nothing of the private one", async () => {
    const [outsider, insider] = [await connect(vsn), await connect(vsn, await token(crypto.randomUUID()))];
    const heard: unknown[] = [];
    const known: unknown[] = [];
    expect(await join(outsider.channel("news").on("broadcast", { event: "*" }, (m) => heard.push(m)))).toEqual(joined);
    expect(
      await join(
        insider.channel("news", { config: { private: true } }).on("broadcast", { event: "*" }, (m) => known.push(m)),
      ),
    ).toEqual(joined);
    await sql`select realtime.send('{}'::jsonb, 'secret', 'news', true)`;
    await sql`select realtime.send('{}'::jsonb, 'open', 'news', false)`;
    await until(() => heard.length > 0 && known.length > 0, { what: "one message each" });
    expect(heard).toMatchObject([{ event: "open" }]);
    expect(known).toMatchObject([{ event: "secret" }]);
  });

  test("self decides whether the sender hears itself", async () => {
    const client = await connect(vsn);
    const got: string[] = [];
    const channel = client.channel(crypto.randomUUID(), { config: { broadcast: { self: true, ack: true } } });
    channel.on("broadcast", { event: "echo" }, (message) => got.push(String(message.payload.n)));
    expect(await join(channel)).toEqual(joined);
    await channel.send({ type: "broadcast", event: "echo", payload: { n: 1 } });
    await until(() => got.length === 1, { what: "the echo" });
  });

  test("presence is synchronised, and a lost connection is a leave", async () => {
    const me = crypto.randomUUID();
    const jwt = await token(me);
    const [first, second] = [await connect(vsn, jwt), await connect(vsn, jwt)];
    const open = async (client: SupabaseClient, key: string) => {
      const channel = client.channel(`team:${me}`, { config: { private: true, presence: { key } } });
      channel.on("presence", { event: "sync" }, () => {});
      expect(await join(channel)).toEqual(joined);
      expect(await channel.track({ name: key })).toBe("ok");
      return channel;
    };
    const seen = await open(first, "ann");
    await open(second, "bob");
    await until(() => Object.keys(seen.presenceState()).length === 2, { what: "both to be present" });
    expect(seen.presenceState()).toMatchObject({ ann: [{ name: "ann" }], bob: [{ name: "bob" }] });
    await second.realtime.disconnect();
    await until(() => !("bob" in seen.presenceState()), { what: "bob to leave" });
  });

  test("an expired token closes the channel with a system message, a refreshed one keeps it", async () => {
    const me = crypto.randomUUID();
    const soon = () => new Date(Date.now() + 1_500);
    const [expiring, refreshing] = [
      await connect(vsn, await token(me, soon())),
      await connect(vsn, await token(me, soon())),
    ];
    const states: string[] = [];
    const systems: { status?: string; message?: string }[] = [];
    const lost = expiring
      .channel(`team:${me}`, { config: { private: true } })
      .on("system", {}, (message) => systems.push(message));
    const kept = refreshing
      .channel(`team:${me}`, { config: { private: true } })
      .on("broadcast", { event: "*" }, () => states.push("heard"));
    lost.subscribe((status) => states.push(status));
    expect(await join(kept)).toEqual(joined);
    await until(() => states.includes("SUBSCRIBED"), { what: "the first channel to join" });
    await refreshing.realtime.setAuth(await token(me));
    await until(() => states.includes("CLOSED"), { what: "the channel to close at expiry" });
    expect(systems).toMatchObject([{ status: "error", message: "Token has expired" }]);
    await sql`select realtime.send('{}'::jsonb, 'still', ${`team:${me}`}, true)`;
    await until(() => states.includes("heard"), { what: "the refreshed channel to go on" });
  });

  test("Postgres Changes are refused with a reason", async () => {
    const channel = (await connect(vsn))
      .channel("db")
      .on("postgres_changes", { event: "*", schema: "public", table: "items" }, () => {});
    expect(await join(channel)).toMatchObject({
      status: "CHANNEL_ERROR",
      message: expect.stringContaining("broadcast_changes"),
    });
  });
});

test("binary payloads pass between clients of serializer 2.0.0", async () => {
  const topic = crypto.randomUUID();
  const [listener, sender] = [await connect("2.0.0"), await connect("2.0.0")];
  const got: ArrayBuffer[] = [];
  expect(
    await join(listener.channel(topic).on("broadcast", { event: "bytes" }, (m) => got.push(m.payload as ArrayBuffer))),
  ).toEqual(joined);
  const channel = sender.channel(topic, { config: { broadcast: { ack: true } } });
  expect(await join(channel)).toEqual(joined);
  await channel.send({ type: "broadcast", event: "bytes", payload: new Uint8Array([1, 2, 255]).buffer as never });
  await until(() => got.length > 0, { what: "the bytes" });
  expect([...new Uint8Array(got[0]!)]).toEqual([1, 2, 255]);
});

describe("what the server refuses", () => {
  const open = (query: string) =>
    new Promise<string>((done) => {
      const socket = new WebSocket(`${stack.url.replace("http", "ws")}/realtime/v1/websocket?${query}`);
      socket.addEventListener("open", () => (socket.close(), done("open")));
      socket.addEventListener("error", () => done("refused"));
    });

  test("handshakes with a wrong key, a foreign token or an unknown serializer", async () => {
    const key = stack.env.SUPABASE_PUBLISHABLE_KEY!;
    expect(await open(`apikey=${key}&vsn=2.0.0`)).toBe("open");
    expect(await open("apikey=sb_publishable_wrong&vsn=2.0.0")).toBe("refused");
    expect(await open(`apikey=${await token("x", "1h", "another secret that is long enough")}`)).toBe("refused");
    expect(await open(`apikey=${key}&vsn=3.0.0`)).toBe("refused");
    expect(await open("")).toBe("refused");
  });

  test("joins with a foreign token, and more than 100 channels of one client", async () => {
    const client = await connect("2.0.0", await token("x", "1h", "another secret that is long enough"));
    expect(await join(client.channel("news", { config: { private: true } }))).toMatchObject({
      status: "CHANNEL_ERROR",
    });
    const many = await connect("2.0.0");
    const results = await Promise.all(Array.from({ length: 101 }, (_, index) => join(many.channel(`many-${index}`))));
    expect(results.filter(({ status }) => status === "SUBSCRIBED")).toHaveLength(100);
    expect(results.at(-1)).toMatchObject({
      status: "CHANNEL_ERROR",
      message: expect.stringContaining("Too many channels"),
    });
  });

  test("HTTP broadcasts that are not well-formed or not allowed", async () => {
    const post = async (
      path: string,
      body: string,
      headers: Record<string, string> = { apikey: stack.env.SUPABASE_SECRET_KEY! },
    ) => {
      const response = await fetch(`${stack.url}/realtime/v1/api/broadcast${path}`, { method: "POST", body, headers });
      await response.body?.cancel();
      return response.status;
    };
    expect(await post("", JSON.stringify({ messages: [{ topic: "a", event: "b", payload: {} }] }))).toBe(202);
    expect(await post("", JSON.stringify({ messages: [{ topic: "a", payload: {} }] }))).toBe(422);
    expect(await post("", JSON.stringify({}))).toBe(422);
    expect(await post("", "{")).toBe(400);
    expect(await post("/a/events/b", "{}")).toBe(202);
    expect(await post("/a", "{}")).toBe(404);
    expect(await post("", "{}", {})).toBe(401);
    expect(await post("/a/events/b", JSON.stringify("x".repeat(3_000_001)))).toBe(413);
  });
});
