import { expect, test } from "vitest";
import { testKernel, type TestTenant } from "../../tests/support/kernel.ts";

const t = testKernel();

const told = async (tenant: TestTenant) =>
  Object.fromEntries(
    (
      await t.sql<{ name: string; n: bigint }[]>`
        select x.kind || ' ' || x.ref || ' ' || x.key as name, sum(x.n)::bigint as n from (
          select kind, ref, key, n from public.tallies where tenant_id = ${tenant.id}
          union all select kind, ref, key, n from public.tally_deltas where tenant_id = ${tenant.id}) x
        group by 1 having sum(x.n) <> 0 order by 1`
    ).map((r) => [r.name, Number(r.n)]),
  );

test("whatever happens to people, lists, campaigns and messages, the tallies say what counting says", async () => {
  const tenant = await t.tenant();
  const id = tenant.id;
  const [list] = await t.sql<
    { id: string }[]
  >`insert into public.lists (tenant_id, name) values (${id}, 'L') returning id`;
  const campaigns = await t.sql<{ id: string }[]>`
    insert into public.campaigns (tenant_id, name) values (${id}, 'A'), (${id}, 'B') returning id`;
  const [a, b] = campaigns.map((c) => c.id) as [string, string];
  const steps = await t.sql<{ id: string }[]>`
    insert into public.campaign_steps (tenant_id, campaign_id, position, subject, body)
    select ${id}, c, p, 'Hello', 'Dear' from unnest(${[a, b]}::uuid[]) c, generate_series(1, 2) p returning id`;
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
      insert into public.messages (tenant_id, direction, status, from_email, to_email, thread_id, contact_id, campaign_id, enrollment_id, step_id, step)
      select ${id}, 'out', 'queued', 'sam@x.test', 'p@x.test', kernel.uuid7(), e.contact_id, e.campaign_id, e.id, s.id, s.position
      from public.enrollments e join public.campaign_steps s on s.tenant_id = e.tenant_id and s.campaign_id = e.campaign_id where e.tenant_id = ${id}`,
    () => t.sql`select private.fold_tallies()`,
    () => t.sql`update public.contacts set title = 'x' where tenant_id = ${id}`,
    () => t.sql`update public.contacts set tags = tags || array['late'] where tenant_id = ${id} and email like 'p1%'`,
    () => t.sql`update public.contacts set tags = '{}' where tenant_id = ${id} and email like 'p2%'`,
    () =>
      t.sql`update public.messages set status = 'sending', lease_until = now() where tenant_id = ${id} and step = 1`,
    () => t.sql`
      update public.messages set status = 'sent', lease_until = null, sent_at = kernel.now() - interval '20 hours' where tenant_id = ${id} and step = 1`,
    () =>
      t.sql`update public.messages set delivered_at = kernel.now(), opened_at = kernel.now() where tenant_id = ${id} and sent_at is not null and campaign_id = ${a}`,
    () =>
      t.sql`update public.messages set status = 'failed' where id in (select id from public.messages where tenant_id = ${id} and status = 'queued' limit 7)`,
    () =>
      t.sql`update public.messages set status = 'unknown' where id in (select id from public.messages where tenant_id = ${id} and status = 'queued' limit 5)`,
    () =>
      t.sql`update public.enrollments set status = 'replied', next_at = null where id in (select id from public.enrollments where tenant_id = ${id} limit 9)`,
    () => t.sql`select private.fold_tallies()`,
    () =>
      t.sql`update public.messages set status = 'sent', sent_at = kernel.now() where tenant_id = ${id} and status = 'unknown'`,
    () => t.sql`delete from public.messages where tenant_id = ${id} and status = 'queued' and campaign_id = ${b}`,
    () =>
      t.sql`delete from public.list_contacts where contact_id in (select contact_id from public.list_contacts where tenant_id = ${id} limit 3)`,
    () => t.sql`delete from public.contacts where tenant_id = ${id} and email like 'p3%'`,
    () => t.sql`delete from public.campaign_steps where tenant_id = ${id} and id = ${steps[1]!.id}`,
    () => t.sql`delete from public.campaigns where tenant_id = ${id} and id = ${b}`,
    () => t.sql`select private.fold_tallies()`,
    () => t.sql`select private.prune_tallies()`,
    () => t.sql`delete from public.lists where tenant_id = ${id}`,
  ];
  for (const [n, act] of acts.entries()) {
    await act();
    const kept = await told(tenant);
    if (n === 0)
      expect(Object.entries(kept).map(([k, v]) => [k.split(" ")[2], v])).toEqual(
        expect.arrayContaining([
          ["all", 60],
          ["t0", 20],
        ]),
      );
    // Counted anew and taken back, so that what was kept goes on being tried.
    let counted = {};
    const undo = new Error("undo");
    await t.sql
      .begin(async (sql) => {
        await sql`select private.recount(${id})`;
        const rows = await sql<{ name: string; n: bigint }[]>`
          select kind || ' ' || ref || ' ' || key as name, n from public.tallies where tenant_id = ${id} order by 1`;
        counted = Object.fromEntries(rows.map((r) => [r.name, Number(r.n)]));
        throw undo;
      })
      .catch((error: unknown) => {
        if (error !== undo) throw error;
      });
    expect(kept, `after act ${n}`).toEqual(counted);
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
  await t.sql`select private.fold_tallies()`;
  expect(await told(tenant)).toEqual({});
});
