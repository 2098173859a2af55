import postgres from "postgres";
import { describe, expect, test } from "vitest";
import { type Answer, testKernel, type TestTenant } from "../../tests/support/kernel.ts";

const t = testKernel();

type Campaign = { id: string; connectionId: string; senderId: string };

async function campaign(tenant: TestTenant, name: string, status = "running", daysAgo = 0): Promise<Campaign> {
  const [connection] = await t.sql`
    insert into public.connections (tenant_id, provider, category, name, status, credentials) values (${tenant.id}, 'smtp', 'email', ${`C ${name}`}, 'active', 'v1.test') returning id`;
  const [sender] = await t.sql`
    insert into public.senders (tenant_id, channel, connection_id, address) values (${tenant.id}, 'email', ${connection!.id}, 'me@example.com') returning id`;
  const [row] = await t.sql`
    insert into public.campaigns (tenant_id, name, status, updated_at)
    values (${tenant.id}, ${name}, ${status}, kernel.now() - make_interval(days => ${daysAgo})) returning id`;
  await t.sql`
    insert into public.campaign_senders (tenant_id, campaign_id, sender_id, position, connection_id)
    values (${tenant.id}, ${row!.id}, ${sender!.id}, 1, ${connection!.id})`;
  return { id: row!.id, connectionId: connection!.id, senderId: sender!.id };
}

/** `n` messages on their way out, sent `daysAgo`; returns their ids. */
async function send(tenant: TestTenant, n: number, daysAgo = 0, campaignId: string | null = null): Promise<string[]> {
  const rows = await t.sql<{ id: string }[]>`
    insert into public.messages (tenant_id, direction, channel, action, status, from_address, to_address, subject, thread_id, campaign_id, sent_at)
    select ${tenant.id}, 'out', 'email', 'email.send', 'sent', 'me@example.com', 'p' || i || '@example.com', 'Hello', kernel.uuid7(), ${campaignId},
      kernel.now() - make_interval(days => ${daysAgo})
    from generate_series(1, ${n}) i returning id`;
  return rows.map((r) => r.id);
}
const dashboard = async (tenant: TestTenant) => {
  const { status, body } = await tenant.api("GET", "/dashboard");
  expect([status, body.detail]).toEqual([200, undefined]);
  return body;
};
const fold = (sql = t.sql) => sql`select kernel.fold_counters()`;

describe("dashboard numbers", () => {
  test("are the same before and after folding, and equal a count over the messages", async () => {
    const tenant = await t.tenant();
    const today = await send(tenant, 10);
    await send(tenant, 5, 3);
    await send(tenant, 4, 9);
    await send(tenant, 100, 30);
    await t.sql`update public.messages set delivered_at = kernel.now() where tenant_id = ${tenant.id} and id = any(${today.slice(0, 8)})`;
    await t.sql`update public.messages set opened_at = kernel.now(), clicked_at = kernel.now() where tenant_id = ${tenant.id} and id = any(${today.slice(0, 3)})`;
    const before = await dashboard(tenant);
    expect(before.counters).toMatchObject({
      sent_today: 10,
      sent_7d: 15,
      delivered: 8,
      opened: 3,
      clicked: 3,
      replied: 0,
      bounced: 0,
    });
    expect(before.series).toHaveLength(14);
    expect(before.series.map((s: { sent: number }) => s.sent)).toEqual([0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 5, 0, 0, 10]);
    await fold();
    expect(await t.sql`select 1 from public.counter_deltas where tenant_id = ${tenant.id}`).toHaveLength(0);
    expect(await dashboard(tenant)).toEqual(before);
    // Folding twice adds nothing twice.
    await fold();
    expect(await dashboard(tenant)).toEqual(before);
  });

  test("count a message once per kind, however often it is touched", async () => {
    const tenant = await t.tenant();
    const [id] = await send(tenant, 1);
    for (let i = 0; i < 3; i++) {
      await t.sql`update public.messages set opened_at = coalesce(opened_at, kernel.now()), error = ${String(i)} where tenant_id = ${tenant.id} and id = ${id!}`;
    }
    expect((await dashboard(tenant)).counters).toMatchObject({ sent_7d: 1, opened: 1 });
  });

  test("stay exact while writers and folding run at the same time", async () => {
    const tenant = await t.tenant();
    const written = new AbortController();
    const folds = (async () => {
      while (!written.signal.aborted) await fold();
    })();
    await Promise.all(
      Array.from({ length: 20 }, () =>
        tenant.run(async (ctx) => {
          await ctx.db`
        insert into public.messages (tenant_id, direction, channel, action, status, from_address, to_address, thread_id, sent_at)
        select ${tenant.id}, 'out', 'email', 'email.send', 'sent', 'me@example.com', 'x@example.com', kernel.uuid7(), kernel.now() from generate_series(1, 7)`;
        }),
      ),
    );
    written.abort();
    await folds;
    expect((await dashboard(tenant)).counters.sent_today).toBe(140);
  });

  test("are one team's own", async () => {
    const [mine, theirs] = [await t.tenant(), await t.tenant()];
    await send(mine, 3);
    await fold();
    await send(mine, 2);
    expect((await dashboard(theirs)).counters.sent_7d).toBe(0);
    expect((await dashboard(mine)).counters.sent_7d).toBe(5);
    const viewer = await mine.member("viewer");
    expect((await viewer.api("GET", "/dashboard")).body.counters.sent_7d).toBe(5);
  });
});

test("attention names what wants a person, and nothing in a healthy team", async () => {
  const tenant = await t.tenant();
  const healthy = await campaign(tenant, "Healthy");
  expect((await dashboard(tenant)).attention).toEqual([]);

  const broken = await campaign(tenant, "Broken");
  await t.sql`update public.connections set status = 'issue', last_error = 'bad key' where id = ${broken.connectionId}`;
  await campaign(tenant, "Forgotten", "paused", 3);
  await campaign(tenant, "Just paused", "paused", 1);
  const [contact] =
    await t.sql`insert into public.contacts (tenant_id, email) values (${tenant.id}, 'blocked@example.com') returning id`;
  await t.sql`
    with version as (
      insert into public.sequence_versions (tenant_id, campaign_id, number) values (${tenant.id}, ${healthy.id}, 1) returning id
    ), step as (
      insert into public.campaign_steps (tenant_id, campaign_id) values (${tenant.id}, ${healthy.id}) returning id
    ), node as (
      insert into public.sequence_nodes (tenant_id, version_id, step_id, kind, action, position)
      select ${tenant.id}, v.id, s.id, 'email', 'email.send', 1 from version v, step s returning id, version_id
    )
    insert into public.enrollments (tenant_id, campaign_id, contact_id, status, version_id, node_id)
    select ${tenant.id}, ${healthy.id}, ${contact!.id}, 'blocked', n.version_id, n.id from node n`;
  // The last one's outcome turns unknown: 100 were sent.
  const ids = await send(tenant, 101, 0, healthy.id);
  await t.sql`update public.messages set bounced_at = kernel.now() where tenant_id = ${tenant.id} and id = any(${ids.slice(0, 8)})`;
  await t.sql`update public.messages set status = 'unknown', sent_at = null where tenant_id = ${tenant.id} and id = ${ids[100]!}`;
  await t.sql`insert into kernel.dead_letters (tenant_id, queue, message, reason, attempts, enqueued_at)
    select ${tenant.id}, queue, '{}', 'boom', 5, now() from unnest(array['contacts_import', 'messaging_send', 'messaging_send']) queue`;

  const items = (await dashboard(tenant)).attention as { kind: string; detail: string; href: string }[];
  expect(items.map((i) => i.kind)).toEqual([
    "connection_issue",
    "unknown_outcomes",
    "campaign_stalled",
    "campaign_blocked",
    "campaign_paused",
    "bounce_rate",
    "dead_letters",
  ]);
  expect(items[0]!.detail).toContain("bad key");
  expect(items[2]!.href).toBe(`/campaigns/${broken.id}`);
  expect(items[5]!.detail).toMatch(/^8 %/);
  expect(items[6]!.detail).toBe("3 queue messages have failed permanently.");
});

test("activity is newest first, in pages that repeat and skip nothing even within one instant, without machines' opens", async () => {
  const tenant = await t.tenant();
  const { id: campaignId } = await campaign(tenant, "K");
  const [contact] =
    await t.sql`insert into public.contacts (tenant_id, email, first_name) values (${tenant.id}, 'p1@example.com', 'Pia') returning id`;
  const instant = "2026-01-05T10:00:00.123456Z";
  const [message] = await send(tenant, 3, 0, campaignId);
  await t.sql`update public.messages set contact_id = ${contact!.id}, sent_at = ${instant}::text::timestamptz where tenant_id = ${tenant.id}`;
  const event = (kind: string, key: string, detail: object, bot = false) => t.sql`
    insert into public.message_events (tenant_id, message_id, kind, event_key, at, month, is_bot, detail)
    values (${tenant.id}, ${message!}, ${kind}, ${key}, ${instant}::text::timestamptz, '2026-01-01', ${bot}, ${t.sql.json(detail as never)})`;
  for (let i = 0; i < 6; i++) await event("opened", `o${i}`, {});
  await event("opened", "bot", {}, true);
  await event("clicked", "c", { url: "https://example.com/x" });
  const all = (await tenant.api("GET", "/activity")).body.data as { id: string; kind: string }[];
  expect(all).toHaveLength(10);
  expect(all.filter((r) => r.kind === "sent")).toHaveLength(3);
  expect(all[0]).toMatchObject({
    kind: "clicked",
    detail: "https://example.com/x",
    contact: { id: contact!.id, name: "Pia", email: "p1@example.com" },
    campaign: { id: campaignId, name: "K" },
  });
  const paged: string[] = [];
  for (let cursor: string | null = ""; cursor !== null;) {
    const { status, body }: Answer = await tenant.api("GET", `/activity?limit=2${cursor ? `&cursor=${cursor}` : ""}`);
    expect(status).toBe(200);
    paged.push(...body.data.map((r: { id: string }) => r.id));
    cursor = body.next_cursor;
  }
  expect(paged).toEqual(all.map((r) => r.id));
  expect((await (await t.tenant()).api("GET", "/activity")).body.data).toEqual([]);
});

/** A fresh login role, gone afterwards. */
async function asLogin<T>(fn: (sql: postgres.Sql, role: string) => Promise<T>): Promise<T> {
  const role = `analyst_${crypto.randomUUID().slice(0, 8)}`;
  const password = crypto.randomUUID();
  await t.sql.unsafe(`create role ${role} login password '${password}'`);
  const url = new URL(t.env.SUPABASE_DB_URL!);
  url.username = role;
  url.password = password;
  const sql = postgres(url.href, { max: 1, onnotice: () => {} });
  try {
    return await fn(sql, role);
  } finally {
    await sql.end();
    await t.sql`delete from kernel.analysts where role_name = ${role}`;
    await t.sql.unsafe(`drop role ${role}`);
  }
}

describe("analysts", () => {
  test("read their tenant's views and nothing else, and can neither write nor choose another tenant", async () => {
    const [mine, theirs] = [await t.tenant(), await t.tenant()];
    await t.sql`insert into public.contacts (tenant_id, email) values (${mine.id}, 'mine@example.com'), (${theirs.id}, 'theirs@example.com')`;
    await send(mine, 3);
    await send(theirs, 5);
    // Counted for campaigns as days are, and no day: of the counters an analyst sees the days alone.
    await t.sql`insert into public.counters (tenant_id, metric, scope, scope_id, bucket, n)
      values (${mine.id}, 'hourly_sent', 'campaign', kernel.uuid7(), '2026-11-30T08', 7)`;
    await t.sql`update public.contacts set tags = array['x'] where tenant_id = ${mine.id}`;
    await fold();
    const [{ today }] = await t.sql<[{ today: string }]>`select (kernel.now() at time zone 'UTC')::date::text as today`;
    await asLogin(async (sql, role) => {
      await t.sql`select kernel.add_analyst(${role}, ${mine.id})`;
      expect(await sql`select email from analytics.contacts`).toMatchObject([{ email: "mine@example.com" }]);
      expect(await sql`select 1 from analytics.messages`).toHaveLength(3);
      expect(await sql`select day::text, kind, campaign_id, n::int from analytics.daily`).toEqual([
        { day: today, kind: "sent", campaign_id: null, n: 3 },
      ]);
      await expect(sql`select body_text from analytics.messages`).rejects.toMatchObject({ code: "42703" });
      for (const table of [
        "public.contacts",
        "public.messages",
        "public.counters",
        "public.counter_deltas",
        "kernel.analysts",
      ])
        await expect(sql.unsafe(`select 1 from ${table}`), table).rejects.toMatchObject({ code: "42501" });
      await expect(sql`delete from public.contacts`).rejects.toMatchObject({ code: /42501|25006/ });
      await expect(
        sql.begin((tx) => tx`set transaction read write`.then(() => tx`update public.contacts set title = 'x'`)),
      ).rejects.toMatchObject({ code: "42501" });
      const forged = await sql.begin(async (tx) => {
        await tx`select set_config('app.tenant_id', ${theirs.id}, true), set_config('request.jwt.claims', ${JSON.stringify({ sub: theirs.owner.userId })}, true)`;
        return await tx`select email from analytics.contacts`;
      });
      expect(forged).toMatchObject([{ email: "mine@example.com" }]);
      await expect(sql`set role overture_worker`).rejects.toMatchObject({ code: "42501" });
    });
  });

  test("a role without a mapping sees nothing, and powerful roles cannot be made analysts", async () => {
    const tenant = await t.tenant();
    await send(tenant, 1);
    await expect(t.sql`select kernel.add_analyst('postgres', ${tenant.id})`).rejects.toMatchObject({ code: "22023" });
    const seen = await asLogin(async (sql, role) => {
      await t.sql.unsafe(`grant overture_analyst to ${role}`);
      return await sql`select 1 from analytics.messages`;
    });
    expect(seen).toHaveLength(0);
  });
});
