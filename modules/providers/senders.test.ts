import { beforeAll, describe, expect, test } from "vitest";
import { testKernel, type TestTenant } from "../../tests/support/kernel.ts";
import { sentMessage } from "../../tests/support/sent-message.ts";

const k = testKernel();
let t: TestTenant;
let connection: string;
const DAILY = { action: "email.send", per: "day", cap: 20 };

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
    address: `a-${crypto.randomUUID()}@example.com`,
    display_name: "Ada",
    ...over,
  });

describe("senders", () => {
  test("are made, listed, changed and removed", async () => {
    const made = await make({
      address: `Ada.${crypto.randomUUID()}@Example.com`,
      profile: { reply_to: "replies@example.com" },
      limits: [DAILY],
      time_zone: "Europe/Berlin",
    });
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({
      channel: "email",
      profile: { reply_to: "replies@example.com" },
      limits: [{ ...DAILY, used: 0 }],
      status: "active",
      time_zone: "Europe/Berlin",
    });
    expect(made.body.address).toBe(made.body.address.toLowerCase());
    const { id } = made.body;
    expect((await t.api("PATCH", `/senders/${id}`, { status: "paused", profile: {} })).body).toMatchObject({
      status: "paused",
      profile: {},
      limits: [{ ...DAILY, used: 0 }],
    });
    expect(
      (await t.api("GET", `/senders?connection_id=${connection}`)).body.data.map((s: { id: string }) => s.id),
    ).toContain(id);
    expect((await t.api("DELETE", `/senders/${id}`)).status).toBe(204);
    expect((await t.api("PATCH", `/senders/${id}`, { limits: [] })).status).toBe(404);
  });

  test.each([
    ["display_name", "Ada\r\nBcc: victim@example.com", "/display_name"],
    ["display_name", "Ada\u2028x", "/display_name"],
    ["address", "ada@example.com\nBcc: x@y.z", "/address"],
    ["address", "ada@example.com, bob@example.com", "/address"],
    ["profile", { reply_to: "a@example.com, b@example.com" }, "/profile/reply_to"],
    ["profile", { reply_to: "a@example.com\r\nBcc: x@y.z" }, "/profile/reply_to"],
    ["profile", { signature: "x" }, "/profile"],
    ["time_zone", "Mars/Olympus", "/time_zone"],
    ["time_zone", "+02:00", "/time_zone"],
    ["time_zone", "US/Pacific-New", "/time_zone"],
    ["limits", [{ ...DAILY, cap: -1 }], "/limits/0/cap"],
    ["limits", [{ ...DAILY, cap: 1.5 }], "/limits/0/cap"],
    ["limits", [{ ...DAILY, per: "year" }], "/limits/0/per"],
    ["limits", [{ ...DAILY, action: "sms.send" }], "/limits/0/action"],
    ["limits", [{ ...DAILY, action: "toString" }], "/limits/0/action"],
    ["limits", [DAILY, { ...DAILY, cap: 3 }], "/limits"],
  ])("422 for %s %j", async (field, value, pointer) => {
    const { status, body } = await make({ [field]: value });
    expect([status, body.errors?.[0].pointer]).toEqual([422, pointer]);
  });

  test("limits of several periods stand together; left out they are the channel's own, an empty list is none", async () => {
    const limits = [{ ...DAILY, per: "hour", cap: 5 }, DAILY, { ...DAILY, per: "week", cap: 60 }];
    const made = await make({ limits: limits.toReversed() });
    expect(made.body.limits).toEqual(limits.map((l) => ({ ...l, used: 0 })));
    expect((await make()).body.limits).toEqual([{ action: "email.send", per: "day", cap: 50, used: 0 }]);
    expect((await t.api("PATCH", `/senders/${made.body.id}`, { limits: [] })).body.limits).toEqual([]);
  });

  test("an address as address books write it is kept bare", async () => {
    const address = `ada-${crypto.randomUUID()}@example.com`;
    expect((await make({ address: `Ada Lovelace <${address}>` })).body).toMatchObject({ address, display_name: "Ada" });
  });

  test("409 for the same address twice on a connection", async () => {
    const { body } = await make();
    const again = await make({ address: body.address.toUpperCase() });
    expect([again.status, again.body.errors[0].pointer]).toEqual([409, "/address"]);
  });

  test("a connection of another team is no connection", async () => {
    const other = await k.tenant();
    const { status, body } = await other.api("POST", "/senders", {
      connection_id: connection,
      address: "a@example.com",
    });
    expect([status, body.errors[0].pointer]).toEqual([422, "/connection_id"]);
  });

  test("the use of a limit is that of the period in the sender's own zone", async () => {
    // Between them these two zones never share a date.
    const east = (await make({ time_zone: "Pacific/Kiritimati" })).body.id;
    const west = (await make({ time_zone: "Pacific/Pago_Pago" })).body.id;
    for (const id of [east, west]) {
      await k.sql`
        insert into public.sender_usage (tenant_id, sender_id, action, hour, day, day_reserved, week)
        values (${t.id}, ${id}, 'email.send', date_trunc('hour', now()), (now() at time zone 'Pacific/Kiritimati')::date, 7, '2026-01-05')`;
    }
    const { body } = await t.api("GET", "/senders?limit=100");
    const used = (id: string) => body.data.find((s: { id: string }) => s.id === id).limits[0].used;
    expect([used(east), used(west)]).toEqual([7, 0]);
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
    const refused = await member.api("POST", "/senders", { connection_id: connection, address: "m@example.com" });
    expect(refused.status).toBe(403);
  });
});
