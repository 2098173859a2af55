import { expect, test } from "vitest";
import { testKernel, type TestTenant } from "../../tests/support/kernel.ts";
import { uuid7 } from "../kernel/database/ids.ts";

const t = testKernel();

/** Messages of one connection as a claim leaves them: sending, with an attempt that began so long ago. */
async function claimed(team: TestTenant, count: number, begun = "0 seconds") {
  const made = await team.api("POST", "/connections", {
    provider: "postmark",
    name: `Sandbox ${uuid7()}`,
    credentials: { server_token: crypto.randomUUID() },
    base_url: `${t.env.OVERTURE_SANDBOX_URL}/postmark`,
  });
  const connection = made.body.id as string;
  await t.sql`update public.connections set status = 'active' where id = ${connection}`;
  const ids = Array.from({ length: count }, () => uuid7());
  await t.sql`
    insert into public.messages (tenant_id, id, direction, channel, action, status, lease_until, attempts, connection_id, from_address, to_address, subject, thread_id)
    select ${team.id}::uuid, x, 'out', 'email', 'email.send', 'sending', now() + interval '1 hour', 1, ${connection}::uuid, 'me@example.com', 'you-' || x || '@example.com', 'Hi', x
    from unnest(${ids}::uuid[]) x`;
  await t.sql`
    insert into public.attempts (tenant_id, message_id, number, started_at)
    select ${team.id}::uuid, x, 1, clock_timestamp() - ${begun}::text::interval from unnest(${ids}::uuid[]) x`;
  return { connection, ids };
}

const settle = (team: TestTenant, ids: string[], outcome: Record<string, unknown>) =>
  team.run(
    (ctx) => ctx.db`select private.settle_messages(${ctx.db.json(ids.map((id) => ({ id, ...outcome })) as never)})`,
  );
const suppressed = (team: TestTenant) =>
  t.sql<
    { address: string; reason: string }[]
  >`select address, reason from public.suppressions where tenant_id = ${team.id} order by address`;
const statuses = async (ids: string[]) => [
  ...new Set(
    (await t.sql<{ status: string }[]>`select status from public.messages where id = any(${ids}::uuid[])`).map(
      (r) => r.status,
    ),
  ),
];
const stateOf = async (connection: string) =>
  (await t.sql<{ status: string }[]>`select status from public.connections where id = ${connection}`)[0]!.status;

test("a message that may still be taken is tried again for a day, however often, and then given up", async () => {
  const team = await t.tenant();
  const retry = { outcome: "retry", code: "rate_limited", detail: "later" };
  const young = await claimed(team, 1, "23 hours");
  await t.sql`update public.messages set attempts = 40 where id = any(${young.ids}::uuid[])`;
  await settle(team, young.ids, retry);
  expect(await statuses(young.ids)).toEqual(["queued"]);
  const old = await claimed(team, 1, "25 hours");
  await settle(team, old.ids, retry);
  expect(await statuses(old.ids)).toEqual(["failed"]);
});

test("a provider that refuses fifty messages in a row waits for a person; one taken in between starts the count again", async () => {
  const team = await t.tenant();
  const rejected = { outcome: "rejected", code: "300", detail: "Invalid 'From' address." };
  const first = await claimed(team, 60);
  await settle(team, first.ids.slice(0, 49), rejected);
  expect(await stateOf(first.connection)).toBe("active");
  await settle(team, first.ids.slice(49, 50), { outcome: "sent", provider_message_id: "x" });
  await settle(team, first.ids.slice(50, 52), rejected);
  expect(await stateOf(first.connection)).toBe("active");
  const second = await claimed(team, 50);
  await settle(team, second.ids, rejected);
  expect(await stateOf(second.connection)).toBe("issue");
});

test("a refusal for the recipient's sake suppresses them at once and says nothing about the connection", async () => {
  const team = await t.tenant();
  const { connection, ids } = await claimed(team, 122);
  const [left, unknown] = [ids[120]!, ids[121]!];
  const refusal = { outcome: "rejected", code: "inactive_recipient", detail: "The address is inactive." };
  await settle(team, ids.slice(0, 60), { ...refusal, recipient: "gone" });
  await settle(team, ids.slice(60, 120), { ...refusal, recipient: "gone" });
  await settle(team, [left], { ...refusal, recipient: "opted_out" });
  // The same words from an attempt that is over, and in an answer nobody can rely on.
  await settle(team, [unknown], { ...refusal, recipient: "gone", attempt: 7 });
  await settle(team, [unknown], { ...refusal, outcome: "unknown", recipient: "gone" });

  const rows = await suppressed(team);
  expect(rows.map((r) => r.address).sort()).toEqual(
    ids
      .slice(0, 121)
      .map((id) => `you-${id}@example.com`)
      .sort(),
  );
  expect(rows.filter((r) => r.reason !== "bounce")).toEqual([
    { address: `you-${left}@example.com`, reason: "unsubscribe" },
  ]);
  const [row] =
    await t.sql`select status, last_error, consecutive_rejections from public.connections where id = ${connection}`;
  expect(row).toMatchObject({ status: "active", consecutive_rejections: 0 });
});

test("a refusal for another reason suppresses nobody", async () => {
  const team = await t.tenant();
  const { ids } = await claimed(team, 2);
  await settle(team, ids, { outcome: "rejected", code: "300", detail: "Invalid 'From' address." });
  expect(await suppressed(team)).toEqual([]);
});

test("an unknown outcome is asked about for a day after its attempt, whatever the date was when it became unknown", async () => {
  const wakes = async (team: TestTenant) => {
    await t.sql`select private.wake_reconciling()`;
    const rows =
      await t.sql`delete from pgmq.q_messaging_reconcile where message ->> 'tenant_id' = ${team.id} returning 1`;
    return rows.length;
  };
  const unknown = { outcome: "unknown", code: "500", detail: "No answer." };
  const [young, old] = [await t.tenant(), await t.tenant()];
  const { ids } = await claimed(young, 1, "1 hour");
  await settle(young, ids, unknown);
  // As a date that was five days back writes it.
  await t.sql`update public.messages set updated_at = now() - interval '5 days' where id = any(${ids}::uuid[])`;
  await settle(old, (await claimed(old, 1, "25 hours")).ids, unknown);
  expect([await wakes(young), await wakes(old)]).toEqual([1, 0]);
});

test("a connection whose rest ends in days, by a date that was set back since, sends at once", async () => {
  const claimable = async (until: string) => {
    const team = await t.tenant();
    const { connection, ids } = await claimed(team, 1);
    const [sender] = await t.sql<{ id: string }[]>`
      insert into public.senders (tenant_id, channel, connection_id, address) values (${team.id}, 'email', ${connection}, 'me@example.com') returning id`;
    await t.sql`update public.connections set circuit_open_until = now() + ${until}::text::interval where id = ${connection}`;
    await t.sql`
      update public.messages set status = 'queued', attempts = 0, lease_until = null, due_at = now(), sender_id = ${sender!.id}
      where id = any(${ids}::uuid[])`;
    await t.sql`delete from public.attempts where message_id = any(${ids}::uuid[])`;
    const rows = await team.run((ctx) => ctx.db`select id from private.claim_messages(10, 60, ${connection})`);
    return rows.length;
  };
  expect([await claimable("50 seconds"), await claimable("3 days"), await claimable("-1 second")]).toEqual([0, 1, 1]);
});
