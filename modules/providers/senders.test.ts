import { beforeAll, describe, expect, test } from "vitest";
import { testKernel, type TestTenant } from "../../tests/support/kernel.ts";
import { sentMessage } from "../../tests/support/sent-message.ts";

const k = testKernel();
let t: TestTenant;
let connection: string;

beforeAll(async () => {
  t = await k.tenant();
  const made = await t.api("POST", "/connections", {
    provider: "postmark",
    name: "P",
    credentials: { server_token: "token-123456" },
  });
  connection = made.body.id;
});

const make = (over: Record<string, unknown> = {}) =>
  t.api("POST", "/senders", {
    connection_id: connection,
    from_email: `a-${crypto.randomUUID()}@example.com`,
    from_name: "Ada",
    ...over,
  });

describe("senders", () => {
  test("are made, listed, changed and removed", async () => {
    const made = await make({
      from_email: `Ada.${crypto.randomUUID()}@Example.com`,
      reply_to: "Replies@Example.com",
      daily_cap: 20,
      time_zone: "Europe/Berlin",
    });
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({
      reply_to: "replies@example.com",
      daily_cap: 20,
      sent_today: 0,
      status: "active",
      time_zone: "Europe/Berlin",
    });
    expect(made.body.from_email).toBe(made.body.from_email.toLowerCase());
    const { id } = made.body;
    expect((await t.api("PATCH", `/senders/${id}`, { status: "paused", reply_to: null })).body).toMatchObject({
      status: "paused",
      reply_to: null,
      daily_cap: 20,
    });
    expect(
      (await t.api("GET", `/senders?connection_id=${connection}`)).body.data.map((s: { id: string }) => s.id),
    ).toContain(id);
    expect((await t.api("DELETE", `/senders/${id}`)).status).toBe(204);
    expect((await t.api("PATCH", `/senders/${id}`, { daily_cap: 1 })).status).toBe(404);
  });

  test.each([
    ["from_name", "Ada\r\nBcc: victim@example.com"],
    ["from_name", "Ada\u2028x"],
    ["from_email", "ada@example.com\nBcc: x@y.z"],
    ["from_email", "Ada <ada@example.com>"],
    ["reply_to", "a@example.com, b@example.com"],
    ["time_zone", "Mars/Olympus"],
    ["time_zone", "+02:00"],
    ["daily_cap", -1],
    ["daily_cap", 1.5],
  ])("422 for %s %j", async (field, value) => {
    const { status, body } = await make({ [field]: value });
    expect([status, body.errors?.[0].pointer]).toEqual([422, `/${field}`]);
  });

  test("409 for the same address twice on a connection", async () => {
    const { body } = await make();
    const again = await make({ from_email: body.from_email.toUpperCase() });
    expect([again.status, again.body.errors[0].pointer]).toEqual([409, "/from_email"]);
  });

  test("a connection of another team is no connection", async () => {
    const other = await k.tenant();
    const { status, body } = await other.api("POST", "/senders", {
      connection_id: connection,
      from_email: "a@example.com",
    });
    expect([status, body.errors[0].pointer]).toEqual([422, "/connection_id"]);
  });

  test("sent_today counts the day of the sender's own zone", async () => {
    // Between them these two zones never share a date.
    const east = (await make({ time_zone: "Pacific/Kiritimati" })).body.id;
    const west = (await make({ time_zone: "Pacific/Pago_Pago" })).body.id;
    for (const id of [east, west]) {
      await k.sql`
        insert into public.sender_usage (tenant_id, sender_id, day, reserved)
        values (${t.id}, ${id}, (now() at time zone 'Pacific/Kiritimati')::date, 7), (${t.id}, ${id}, (now() at time zone 'Pacific/Kiritimati')::date - 3, 9)`;
    }
    const { body } = await t.api("GET", "/senders?limit=100");
    const sent = (id: string) => body.data.find((s: { id: string }) => s.id === id).sent_today;
    expect([sent(east), sent(west)]).toEqual([7, 0]);
  });

  test("a sender a campaign uses is not removed and the campaign is named", async () => {
    const m = await sentMessage(k, t, connection);
    const [row] = await k.sql`select sender_id from public.messages where id = ${m.id}`;
    const { status, body } = await t.api("DELETE", `/senders/${row!.sender_id}`);
    expect(status).toBe(409);
    expect(body.detail).toContain("«Campaign ");
  });

  test("a member may look and not change", async () => {
    const member = await t.member("member");
    expect((await member.api("GET", "/senders")).status).toBe(200);
    const refused = await member.api("POST", "/senders", { connection_id: connection, from_email: "m@example.com" });
    expect(refused.status).toBe(403);
  });
});
