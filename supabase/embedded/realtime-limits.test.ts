import net from "node:net";
import postgres, { type Sql } from "postgres";
import { SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../../tests/support/until.ts";
import { Account, Inbox, realtimeLimits } from "./realtime-limits.ts";
import type { Stack } from "./stack.ts";
import { fixtureStack } from "./testing.ts";

// Anybody may open a socket: the key is public. With small limits, what one client can take is measured.

const LIMITS = {
  OVERTURE_REALTIME_SOCKETS_PER_ADDRESS: "6",
  OVERTURE_REALTIME_SOCKETS_PER_TENANT: "3",
  OVERTURE_REALTIME_CHANNELS: "4",
  OVERTURE_REALTIME_FRAMES: "20",
  OVERTURE_REALTIME_BYTES: "4000000",
  OVERTURE_REALTIME_JOIN_SECONDS: "2",
};

let stack: Stack;
let sql: Sql;
beforeAll(async () => {
  stack = await fixtureStack(
    `create policy everybody on realtime.messages for select to authenticated using (realtime.topic() like 'team:%');`,
    { env: LIMITS },
  );
  sql = postgres(stack.dbUrl, { max: 2, onnotice: () => {} });
});
afterAll(async () => {
  await sql?.end();
  await stack?.stop();
});

const token = () =>
  new SignJWT({ role: "authenticated" })
    .setProtectedHeader({ alg: "HS256" })
    .setSubject(crypto.randomUUID())
    .setExpirationTime("1h")
    .sign(new TextEncoder().encode(stack.env.SUPABASE_JWT_SECRET!));

const path = () => `/realtime/v1/websocket?apikey=${stack.env.SUPABASE_PUBLISHABLE_KEY}&vsn=2.0.0`;

/** A client that holds to no protocol of supabase-js. */
async function open() {
  const socket = new WebSocket(stack.url.replace("http", "ws") + path());
  const replies: { ref: string; status: string; reason?: string }[] = [];
  let closed: { code: number; reason: string } | undefined;
  socket.addEventListener("close", ({ code, reason }) => (closed = { code, reason }));
  socket.addEventListener("message", ({ data }) => {
    const [, ref, , event, payload] = JSON.parse(String(data)) as [0, string, string, string, any];
    if (event === "phx_reply") replies.push({ ref, status: payload.status, reason: payload.response?.reason });
  });
  await new Promise<void>((done, fail) => {
    socket.addEventListener("open", () => done());
    socket.addEventListener("error", () => fail(new Error("refused")));
  });
  let ref = 0;
  const push = (topic: string, event: string, payload: unknown = {}) => {
    const mine = String(++ref);
    socket.send(JSON.stringify(["1", mine, topic, event, payload]));
    return mine;
  };
  const reply = (of: string) => until(() => replies.find((r) => r.ref === of), { what: `the reply to ${of}` });
  return {
    socket,
    push,
    replies,
    join: async (name: string, config = {}, access_token?: string) =>
      await reply(push(`realtime:${name}`, "phx_join", { config, access_token })),
    reply,
    closed: () => until(() => closed, { what: "the server to close the socket" }),
    isOpen: () => socket.readyState === WebSocket.OPEN,
    end: async () => {
      socket.close();
      await until(() => closed, { what: "the socket to close" });
    },
  };
}

const handshake = (address: string) =>
  `GET ${path()} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n` +
  `Sec-WebSocket-Key: ${btoa("0123456789abcdef")}\r\nX-Forwarded-For: 10.0.0.1, ${address}\r\n\r\n`;

/** A connection after its handshake, as a proxy on this machine passes it on for somebody. */
const tcp = (address: string, status?: (status: number) => void): Promise<net.Socket> =>
  new Promise((resolve, reject) => {
    const socket = net.connect(stack.ports.api, "127.0.0.1");
    socket.on("error", reject);
    socket.once("data", (answer) => {
      status?.(Number(/^HTTP\/1\.1 (\d+)/.exec(String(answer))![1]));
      resolve(socket);
    });
    socket.write(handshake(address));
  });

/** A client's text of at most 125 bytes, masked with zeros. */
const textFrame = (text: string) =>
  Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);

const handshakeFor = async (address: string, hold: net.Socket[]): Promise<number> => {
  let status = 0;
  hold.push(await tcp(address, (answer) => (status = answer)));
  return status;
};

describe("messages that wait", () => {
  /** Runs `fn` while no question about a private channel is answered. */
  async function held(fn: () => Promise<void>): Promise<void> {
    await sql.begin(async (tx) => {
      await tx`lock table realtime.messages in access exclusive mode`;
      await fn();
    });
  }

  test("of one socket are few: who sends more while one is handled is cut off, and others are served", async () => {
    const jwt = await token();
    const [flooding, other] = [await open(), await open()];
    await held(async () => {
      flooding.push("realtime:team:1", "phx_join", { config: { private: true }, access_token: jwt });
      // With the join that is handled these are 21. Nothing follows the last one, so that its answer is the close and not a reset.
      for (let i = 0; i < 20; i++) flooding.push("realtime:team:1", "broadcast", { event: "x", payload: {} });
      expect(await flooding.closed()).toEqual({ code: 1008, reason: "Too many messages wait to be handled" });
      expect((await other.join("open")).status).toBe("ok");
    });
    await other.end();
  });

  test("of one socket are small together: four megabytes are too many, though no message is too large", async () => {
    const jwt = await token();
    const flooding = await open();
    await held(async () => {
      flooding.push("realtime:team:1", "phx_join", { config: { private: true }, access_token: jwt });
      for (let i = 0; i < 5; i++)
        flooding.push("realtime:team:1", "broadcast", { event: "x", payload: "x".repeat(1e6) });
      expect(await flooding.closed()).toEqual({ code: 1008, reason: "Too many messages wait to be handled" });
    });
  });

  test("of all sockets of an address share a bound, and so does what its clients have not read", async () => {
    const account = new Account(100);
    const inboxes = [1, 2].map(() => new Inbox({ frames: 10, bytes: 80 }, account));
    const { promise, resolve } = Promise.withResolvers<void>();
    expect(inboxes.map((inbox) => inbox.add(60, () => promise))).toEqual([
      null,
      "Too many messages of this address wait to be handled",
    ]);
    resolve();
    await until(() => inboxes[1]!.add(60, () => promise) === null, { what: "room after the first is handled" });
    const socket = { unsent: 0 };
    account.sockets.add(socket);
    expect([account.maySend(60), account.maySend(60)], "the first was read at once").toEqual([true, true]);
    socket.unsent = 60;
    expect(account.maySend(60)).toBe(false);
    socket.unsent = 0;
    expect(account.maySend(60)).toBe(true);
  });

  test("a burst that is handled as it comes is no flood", async () => {
    const client = await open();
    await client.join("busy", { broadcast: { ack: true } });
    let last = "";
    for (let i = 0; i < 15; i++) last = client.push("realtime:busy", "broadcast", { event: "x", payload: { i } });
    expect((await client.reply(last)).status).toBe("ok");
    await client.end();
  });
});

test("a reference or a name that would be kept with the channel is short", async () => {
  const client = await open();
  client.socket.send(JSON.stringify(["x".repeat(2_000_000), "1", "realtime:a", "phx_join", {}]));
  expect(await client.closed()).toEqual({ code: 1008, reason: "A topic, an event or a reference is too long." });
});

test("what a client shows as presence is bounded over all its channels", async () => {
  const client = await open();
  for (const name of ["p1", "p2"]) await client.join(name, { presence: { enabled: true } });
  const track = (name: string, size: number) =>
    client.reply(
      client.push(`realtime:${name}`, "presence", {
        type: "presence",
        event: "track",
        payload: { x: "x".repeat(size) },
      }),
    );
  expect((await track("p1", 40_000)).status).toBe("ok");
  expect(await track("p2", 40_000)).toMatchObject({ status: "error", reason: expect.stringContaining("64000 bytes") });
  expect((await track("p2", 10_000)).status).toBe("ok");
  await client.end();
});

test("a socket joins so many channels, a topic has so many members; what leaves makes room", async () => {
  const first = await open();
  for (const name of ["a", "b", "c", "d"]) expect((await first.join(name)).status).toBe("ok");
  expect(await first.join("e")).toMatchObject({
    status: "error",
    reason: expect.stringContaining("Too many channels"),
  });
  const more = [await open(), await open(), await open()];
  const joins = [];
  for (const client of more) joins.push(await client.join("a"));
  expect(joins.map((j) => j.status)).toEqual(["ok", "ok", "error"]);
  expect(joins[2]!.reason).toContain("Too many connected users");
  expect((await more[2]!.join("elsewhere")).status).toBe("ok");
  await first.end();
  expect((await more[2]!.join("a")).status).toBe("ok");
  await Promise.all(more.map((client) => client.end()));
});

test("a client that does not read is cut off, and those who read hear everything", async () => {
  const slow = await tcp("192.0.2.9");
  slow.write(textFrame(JSON.stringify(["1", "1", "realtime:loud", "phx_join", {}])));
  slow.pause();
  const [reader, sender, third] = [await open(), await open(), await open()];
  let heard = 0;
  reader.socket.addEventListener("message", ({ data }) => (heard += String(data).includes('"loud"') ? 1 : 0));
  expect((await reader.join("loud")).status).toBe("ok");
  await sender.join("loud", { broadcast: { ack: true } });
  expect(await third.join("loud"), "three are there").toMatchObject({ status: "error" });
  for (let n = 0; n < 40; n++) {
    const payload = { event: "loud", payload: "x".repeat(500_000) };
    expect((await sender.reply(sender.push("realtime:loud", "broadcast", payload))).status).toBe("ok");
  }
  await until(() => heard === 40, { what: "the reader to hear all" });
  const next = await open();
  expect((await next.join("loud")).status, "the place of the slow one is free").toBe("ok");
  slow.destroy();
  await Promise.all([reader, sender, third, next].map((client) => client.end()));
});

test("an address has so many sockets; another address has its own, and a closed one makes room", async () => {
  const hold: net.Socket[] = [];
  try {
    for (let i = 0; i < 6; i++) expect(await handshakeFor("192.0.2.7", hold)).toBe(101);
    expect(await handshakeFor("192.0.2.7", hold)).toBe(429);
    expect(await handshakeFor("192.0.2.8", hold)).toBe(101);
    hold[0]!.destroy();
    await until(async () => (await handshakeFor("192.0.2.7", hold)) === 101, { what: "room for one more" });
  } finally {
    for (const socket of hold) socket.destroy();
  }
});

test("a socket that joins nothing is closed; one with a channel stays, and has as long again after leaving it", async () => {
  const [silent, joined] = [await open(), await open()];
  const since = performance.now();
  await joined.join("a");
  for (const client of [silent])
    expect(await client.closed()).toEqual({ code: 1008, reason: "No channel was joined in time" });
  expect(performance.now() - since).toBeGreaterThan(1_500);
  expect((await joined.reply(joined.push("phoenix", "heartbeat"))).status).toBe("ok");
  await joined.reply(joined.push("realtime:a", "phx_leave"));
  expect((await joined.closed()).code).toBe(1008);
});

test("limits that are no numbers are refused with the name of the key", () => {
  expect(() => realtimeLimits({ OVERTURE_REALTIME_FRAMES: "many", OVERTURE_REALTIME_BYTES: "-1" })).toThrow(
    "OVERTURE_REALTIME_FRAMES must be a whole number above 0. OVERTURE_REALTIME_BYTES must be a whole number above 0.",
  );
  expect(realtimeLimits({ OVERTURE_REALTIME_SOCKETS: "" })).toMatchObject({ sockets: 2_000, joinMs: 30_000 });
});
