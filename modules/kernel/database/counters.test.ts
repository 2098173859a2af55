import { expect, test } from "vitest";
import { testKernel, type TestTenant } from "../../../tests/support/kernel.ts";

const t = testKernel();

const namesAndCounts = (rows: readonly { name: string; n: bigint }[]) =>
  Object.fromEntries(rows.map((r) => [r.name, Number(r.n)]));

/** The tenant's counters by name, folded and not. */
const counted = async (tenant: TestTenant, sql = t.sql) =>
  namesAndCounts(
    await sql<{ name: string; n: bigint }[]>`
      select concat_ws(' ', metric, scope, scope_id, bucket) as name, sum(n)::bigint as n from (
        select metric, scope, scope_id, bucket, n from public.counters where tenant_id = ${tenant.id}
        union all select metric, scope, scope_id, bucket, n from public.counter_deltas where tenant_id = ${tenant.id}) x
      group by 1 having sum(n) <> 0 order by 1`,
  );

const fold = () => t.sql`select kernel.fold_counters()`;

test("whatever happens to people, lists, campaigns and messages, the counters say what counting says", async () => {
  const tenant = await t.tenant();
  const id = tenant.id;
  const [list] = await t.sql<
    { id: string }[]
  >`insert into public.lists (tenant_id, name) values (${id}, 'L') returning id`;
  const [other] = await t.sql<{ id: string }[]>`
    insert into public.lists (tenant_id, name) values (${id}, 'M') returning id`;
  const campaigns = await t.sql<{ id: string }[]>`
    insert into public.campaigns (tenant_id, name) values (${id}, 'A'), (${id}, 'B') returning id`;
  const [a, b] = campaigns.map((c) => c.id) as [string, string];
  const steps = await t.sql<{ id: string; campaign_id: string }[]>`
    insert into public.campaign_steps (tenant_id, campaign_id)
    select ${id}, c from unnest(${[a, b]}::uuid[]) c, generate_series(1, 2) returning id, campaign_id`;
  const first = [a, b].map((campaign) => steps.find((s) => s.campaign_id === campaign)!.id);
  const acts: (() => Promise<unknown>)[] = [
    () => t.sql`
      insert into public.contacts (tenant_id, email, tags)
      select ${id}, 'p' || n || '@example.com', array['t' || n % 3, 'all', 'all'] from generate_series(1, 60) n`,
    () => t.sql`
      insert into public.list_contacts (tenant_id, list_id, contact_id) select ${id}, ${list!.id}, id from public.contacts where tenant_id = ${id} limit 40`,
    () => t.sql`
      insert into public.enrollments (tenant_id, campaign_id, contact_id, next_at)
      select ${id}, c, p.id, kernel.now() from public.contacts p, unnest(${[a, b]}::uuid[]) c where p.tenant_id = ${id}`,
    () => t.sql`
      insert into public.messages (tenant_id, direction, channel, action, status, due_at, from_address, to_address, thread_id, contact_id,
        campaign_id, enrollment_id, step_id)
      select ${id}, 'out', 'email', 'email.send', 'queued', kernel.now(), 'sam@x.test', 'p@x.test', kernel.uuid7(), e.contact_id,
        e.campaign_id, e.id, s.id
      from public.enrollments e join public.campaign_steps s on s.tenant_id = e.tenant_id and s.campaign_id = e.campaign_id where e.tenant_id = ${id}`,
    fold,
    () => t.sql`update public.contacts set title = 'x' where tenant_id = ${id}`,
    () => t.sql`update public.contacts set tags = tags || array['late'] where tenant_id = ${id} and email like 'p1%'`,
    () => t.sql`update public.contacts set tags = '{}' where tenant_id = ${id} and email like 'p2%'`,
    () =>
      t.sql`update public.messages set status = 'sending', due_at = null, lease_until = now() where tenant_id = ${id} and step_id = any(${first}::uuid[])`,
    () => t.sql`
      update public.messages set status = 'sent', lease_until = null, sent_at = kernel.now() - interval '20 hours' where tenant_id = ${id} and step_id = any(${first}::uuid[])`,
    () =>
      t.sql`update public.messages set delivered_at = kernel.now(), opened_at = kernel.now() where tenant_id = ${id} and sent_at is not null and campaign_id = ${a}`,
    () =>
      t.sql`update public.messages set status = 'failed', due_at = null where id in (select id from public.messages where tenant_id = ${id} and status = 'queued' limit 7)`,
    () =>
      t.sql`update public.messages set status = 'unknown', due_at = null where id in (select id from public.messages where tenant_id = ${id} and status = 'queued' limit 5)`,
    () =>
      t.sql`update public.enrollments set status = 'replied', next_at = null where id in (select id from public.enrollments where tenant_id = ${id} limit 9)`,
    fold,
    () =>
      t.sql`update public.messages set status = 'sent', sent_at = kernel.now() where tenant_id = ${id} and status = 'unknown'`,
    () => t.sql`delete from public.messages where tenant_id = ${id} and status = 'queued' and campaign_id = ${b}`,
    () =>
      t.sql`delete from public.list_contacts where contact_id in (select contact_id from public.list_contacts where tenant_id = ${id} limit 3)`,
    () => t.sql`delete from public.contacts where tenant_id = ${id} and email like 'p3%'`,
    () => t.sql`delete from public.campaign_steps where tenant_id = ${id} and id = ${steps[1]!.id}`,
    () => t.sql`delete from public.campaigns where tenant_id = ${id} and id = ${b}`,
    () =>
      t.sql`update public.messages set sent_at = null, status = 'unknown' where id in (select id from public.messages where tenant_id = ${id} and status = 'sent' limit 4)`,
    () =>
      t.sql`update public.list_contacts set list_id = ${other!.id} where contact_id in (select contact_id from public.list_contacts where tenant_id = ${id} limit 2)`,
    fold,
    () => t.sql`select kernel.prune_counters()`,
    () => t.sql`delete from public.lists where tenant_id = ${id}`,
  ];
  for (const [n, act] of acts.entries()) {
    await act();
    const kept = await counted(tenant);
    if (n === 0)
      expect(kept).toMatchObject({
        [`tagged_contacts tenant ${id} all`]: 60,
        [`tagged_contacts tenant ${id} t0`]: 20,
      });
    // Counted anew and taken back, so that what was kept goes on being tried.
    let anew = {};
    const undo = new Error("undo");
    await t.sql
      .begin(async (sql) => {
        // All locks at once, so that no other writer holds one of the tables and waits for another.
        await sql`lock table public.messages, public.enrollments, public.contacts, public.list_contacts in share row exclusive mode`;
        await sql`select private.recount_contacts(${id}), private.recount_enrollments(${id}), private.recount_messages(${id})`;
        anew = await counted(tenant, sql as never);
        throw undo;
      })
      .catch((error: unknown) => {
        if (error !== undo) throw error;
      });
    expect(kept, `after act ${n}`).toEqual(anew);
  }
});

test("writers at the same moment never wait for each other's counts", async () => {
  const tenant = await t.tenant();
  const [list] = await t.sql<
    { id: string }[]
  >`insert into public.lists (tenant_id, name) values (${tenant.id}, 'L') returning id`;
  const people = await t.sql<{ id: string }[]>`
    insert into public.contacts (tenant_id, email) select ${tenant.id}, 'p' || n || '@example.com' from generate_series(1, 2) n returning id`;
  const add = (sql: typeof t.sql, contact: string) =>
    sql`insert into public.list_contacts (tenant_id, list_id, contact_id) values (${tenant.id}, ${list!.id}, ${contact})`;
  // The first has counted and not committed; the second would wait for a shared row until its time ran out.
  await t.sql.begin(async (first) => {
    await add(first as never, people[0]!.id);
    await t.sql.begin(async (second) => {
      await second`set local lock_timeout = '1s'`;
      await add(second as never, people[1]!.id);
    });
  });
  expect((await tenant.api("GET", `/lists/${list!.id}`)).body.contact_count).toBe(2);
});

test("a team that is deleted takes its counts along", async () => {
  const tenant = await t.tenant();
  await t.sql`insert into public.contacts (tenant_id, email, tags) values (${tenant.id}, 'p@example.com', array['x'])`;
  await t.sql`delete from public.tenants where id = ${tenant.id}`;
  await fold();
  expect(await counted(tenant)).toEqual({});
});

test("what counted down to nothing and hours of more than three days ago are forgotten, days and tags are not", async () => {
  const tenant = await t.tenant();
  const campaign = crypto.randomUUID();
  await t.sql`
    insert into public.counters (tenant_id, metric, scope, scope_id, bucket, n)
    select ${tenant.id}, x.metric, 'campaign', ${campaign}, x.bucket, x.n from (values
      ('hourly_sent', to_char((kernel.now() - interval '73 hours') at time zone 'UTC', 'YYYY-MM-DD"T"HH24'), 1),
      ('hourly_sent', to_char((kernel.now() - interval '71 hours') at time zone 'UTC', 'YYYY-MM-DD"T"HH24'), 2),
      ('daily_sent', '2020-01-01', 3), ('tagged_contacts', '2020-01-01T08', 4), ('enrollments', 'waiting', 0)) x (metric, bucket, n)`;
  await t.sql`select kernel.prune_counters()`;
  const rows = await t.sql<{ n: bigint }[]>`select n from public.counters where tenant_id = ${tenant.id} order by n`;
  expect(rows.map((r) => Number(r.n))).toEqual([2, 3, 4]);
});

test("folding waits neither for a writer, nor for a reader's lock, nor for a tenant that is being deleted", async () => {
  const [held, deleted, free] = [await t.tenant(), await t.tenant(), await t.tenant()];
  for (const { id } of [held, deleted, free])
    await t.sql`insert into public.contacts (tenant_id, email, tags) values (${id}, 'p@example.com', array['x'])`;
  const unfolded = async ({ id }: TestTenant) =>
    (await t.sql`select 1 from public.counter_deltas where tenant_id = ${id}`).length;
  const undo = new Error("undo");
  await t.sql
    .begin(async (first) => {
      await first`select from public.counter_deltas where tenant_id = ${held.id} for update`;
      await first`select from public.tenants where id = ${deleted.id} for update`;
      await t.sql.begin(async (second) => {
        await second`set local lock_timeout = '1s'`;
        await second`select kernel.fold_counters()`;
      });
      expect([await unfolded(free)]).toEqual([0]);
      throw undo;
    })
    .catch((error: unknown) => {
      if (error !== undo) throw error;
    });
  await fold();
  for (const tenant of [held, deleted, free]) {
    expect(await unfolded(tenant)).toBe(0);
    expect(await counted(tenant)).toEqual({ [`tagged_contacts tenant ${tenant.id} x`]: 1 });
  }
});
