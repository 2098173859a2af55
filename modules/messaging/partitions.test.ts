import type { TransactionSql } from "postgres";
import { describe, expect, test } from "vitest";
import { testKernel, type TestTenant } from "../../tests/support/kernel.ts";
import { uuid7 } from "../kernel/database/ids.ts";

const t = testKernel();

async function message(tenant: TestTenant): Promise<string> {
  const id = uuid7();
  await t.sql`
    insert into public.messages (tenant_id, id, direction, channel, action, status, from_address, to_address, thread_id, sent_at)
    values (${tenant.id}, ${id}, 'out', 'email', 'email.send', 'sent', 'sam@us.test', ${`p-${id}@x.test`}, ${id}, kernel.now())`;
  return id;
}

/** Tells an event as a webhook would. */
const tell = (tenant: TestTenant, messageId: string, kind: string, key: string, at: string) =>
  tenant.run(
    (ctx) =>
      ctx.db`select private.apply_events(null, ${ctx.db.json([{ kind, event_key: key, message_id: messageId, at }])})`,
  );

const eventsOf = (messageId: string, sql: TransactionSql | typeof t.sql = t.sql) =>
  sql<{ part: string; month: string; kind: string }[]>`
    select tableoid::regclass::text as part, month::text, kind from public.message_events where message_id = ${messageId} order by at`;

const now = new Date();
const monthName = (offset: number) => {
  const d = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + offset, 1));
  return `private.message_events_${d.getUTCFullYear()}_${String(d.getUTCMonth() + 1).padStart(2, "0")}`;
};

/** Runs `fn` and undoes everything it did: partitions belong to all suites. */
async function undone(fn: (tx: TransactionSql) => Promise<void>): Promise<void> {
  const undo = new Error("undo");
  await t.sql
    .begin(async (tx) => {
      await fn(tx);
      throw undo;
    })
    .catch((error: unknown) => {
      if (error !== undo) throw error;
    });
}

describe("events by month", () => {
  test("this month and the next two stand ready, and making them again makes none", async () => {
    const parts =
      await t.sql`select i.inhrelid::regclass::text as name from pg_inherits i where i.inhparent = 'public.message_events'::regclass`;
    expect(parts.map((p) => p.name)).toEqual(
      expect.arrayContaining([monthName(0), monthName(1), monthName(2), "private.message_events_default"]),
    );
    // One snapshot for both calls: what other suites add meanwhile is none of this test's business.
    await t.sql.begin("isolation level repeatable read", async (tx) => {
      await tx`select private.ensure_partitions()`;
      expect(await tx`select private.ensure_partitions() as made`).toEqual([{ made: 0 }]);
    });
  });

  test("an event lands in its month; one of a month without a partition is kept all the same", async () => {
    const tenant = await t.tenant();
    const id = await message(tenant);
    await tell(tenant, id, "opened", `o-${id}`, now.toISOString());
    await tell(tenant, id, "delivered", `d-${id}`, "2001-02-28T23:59:59.999Z");
    expect(await eventsOf(id)).toEqual([
      { part: "private.message_events_default", month: "2001-02-01", kind: "delivered" },
      { part: monthName(0), month: `${monthName(0).slice(-7).replace("_", "-")}-01`, kind: "opened" },
    ]);
  });

  test("a fact told again is one row, also when it is told with the moment of its telling in another month", async () => {
    const tenant = await t.tenant();
    const id = await message(tenant);
    for (const at of ["2001-02-03T00:00:00Z", "2001-02-03T00:00:00Z", now.toISOString()])
      await tell(tenant, id, "unsubscribed", `u-${id}`, at);
    expect(await eventsOf(id)).toHaveLength(1);
  });

  test("a month that does not fit its moment is refused", async () => {
    const tenant = await t.tenant();
    const id = await message(tenant);
    const write = t.sql`
      insert into public.message_events (tenant_id, message_id, kind, event_key, at, month)
      values (${tenant.id}, ${id}, 'opened', 'x', '2026-01-31T23:00:00-05:00', '2026-01-01')`;
    await expect(write).rejects.toThrow(/message_events_month_check|message_events_check/);
  });

  test("events go with their message, from whichever partition", async () => {
    const tenant = await t.tenant();
    const id = await message(tenant);
    await tell(tenant, id, "opened", `o-${id}`, now.toISOString());
    await tell(tenant, id, "delivered", `d-${id}`, "2001-02-01T00:00:00Z");
    await t.sql`delete from public.messages where tenant_id = ${tenant.id} and id = ${id}`;
    expect(await eventsOf(id)).toEqual([]);
  });
});

describe("partitions", () => {
  test("are closed: row-level security is forced on each and no role has a right on any", async () => {
    const parts = await t.sql<{ name: string; walled: boolean; open: boolean }[]>`
      select c.oid::regclass::text as name, c.relrowsecurity and c.relforcerowsecurity as walled,
        exists (select from aclexplode(c.relacl) g where g.grantee <> c.relowner) as open
      from pg_class c where c.relispartition and c.relkind = 'r'`;
    expect(parts.length).toBeGreaterThanOrEqual(4);
    expect(parts.filter((p) => !p.walled || p.open)).toEqual([]);
    const tenant = await t.tenant();
    const direct = (name: string) => tenant.run((ctx) => ctx.db.unsafe(`select 1 from ${name}`));
    for (const { name } of parts) await expect(direct(name), name).rejects.toThrow(/permission denied/);
  });

  test("a month the default partition filled up becomes one of its own, with every row, and old months go with the retention", async () => {
    const tenant = await t.tenant();
    const id = await message(tenant);
    await tell(tenant, id, "delivered", `d-${id}`, "2001-02-14T00:00:00Z");
    await tell(tenant, id, "opened", `o-${id}`, now.toISOString());
    await undone(async (tx) => {
      // Out of the retention: not worth a partition.
      await tx`select private.ensure_partitions()`;
      expect((await eventsOf(id, tx))[0]!.part).toBe("private.message_events_default");
      await tx`insert into kernel.settings (key, value) values ('events_keep_months', '600') on conflict (key) do update set value = excluded.value`;
      await tx`select private.ensure_partitions()`;
      expect((await eventsOf(id, tx))[0]!.part).toBe("private.message_events_2001_02");
      const [wall] =
        await tx`select relrowsecurity and relforcerowsecurity as walled from pg_class where oid = 'private.message_events_2001_02'::regclass`;
      expect(wall).toEqual({ walled: true });
      expect((await tx`select private.drop_partitions() as n`)[0]).toEqual({ n: 0 });
      await tx`delete from kernel.settings where key = 'events_keep_months'`;
      expect((await tx`select private.drop_partitions() as n`)[0]!.n).toBeGreaterThanOrEqual(1);
      expect((await eventsOf(id, tx)).map((e) => e.kind)).toEqual(["opened"]);
    });
    expect(await eventsOf(id)).toHaveLength(2);
  });

  test("the retention also clears what the default partition holds, and refuses to keep nothing", async () => {
    const tenant = await t.tenant();
    const id = await message(tenant);
    await tell(tenant, id, "delivered", `d-${id}`, "2001-02-14T00:00:00Z");
    await undone(async (tx) => {
      await tx`select private.drop_partitions(24)`;
      expect(await eventsOf(id, tx)).toEqual([]);
    });
    await expect(t.sql`select private.drop_partitions(0)`).rejects.toThrow(/keep_months must be at least 1/);
  });
});

test("making and dropping a month while events and settlements go on costs nobody an error", async () => {
  const tenant = await t.tenant();
  const ids = await Promise.all(Array.from({ length: 4 }, () => message(tenant)));
  const over = new AbortController();
  const faults: unknown[] = [];
  // One side writes events and then messages, the other messages and then events.
  const work = ids.map(async (id, lane) => {
    for (let n = 0; !over.signal.aborted; n++) {
      const act =
        lane % 2 === 0
          ? tell(tenant, id, "opened", `open-${id}-${n}`, now.toISOString())
          : tenant.run(async (ctx) => {
              await ctx.db`update public.messages set error = ${String(n)} where tenant_id = ${tenant.id} and id = ${id}`;
              await ctx.db`select count(*) from public.message_events where tenant_id = ${tenant.id} and message_id = ${id}`;
            });
      await act.catch((error: unknown) => faults.push(error));
    }
  });
  const far = ids[0]!;
  await tell(tenant, far, "delivered", `far-${far}`, "2002-02-14T00:00:00Z");
  let made = 0;
  try {
    for (let round = 0; round < 5; round++) {
      await undone(async (tx) => {
        await tx`insert into kernel.settings (key, value) values ('events_keep_months', '600') on conflict (key) do update set value = excluded.value`;
        made += (await tx`select private.ensure_partitions() as n`)[0]!.n;
        await tx`select private.drop_partitions(24)`;
      });
    }
  } finally {
    over.abort();
    await Promise.all(work);
  }
  expect(made).toBeGreaterThanOrEqual(5);
  expect(faults).toEqual([]);
}, 60_000);
