import { join } from "node:path";
import postgres, { type Sql } from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { homesScript, readHomes } from "../../scripts/sql-homes.ts";
import { migrate } from "../../supabase/embedded/migrate.ts";
import { startStack } from "../../supabase/embedded/stack.ts";
import { catalogOf } from "../support/catalog.ts";
import { pg15Bin, startPostgres15 } from "../support/postgres15.ts";

// What a database has after all migrations is what modules/*/sql say: nothing else, nothing less, nothing changed by hand.

const ROOT = join(import.meta.dirname, "../..");
const ROLES = "public, anon, authenticated, service_role, overture_user, overture_worker, overture_analyst";
/** What kernel.protect makes for every table; the isolation suite compares them with what they should be. */
const PROTECTED = ["member_reads", "no_plans", "user_reads", "user_inserts", "user_updates", "user_deletes", "job"];
const STANDARD = ["touch", "broadcast_insert", "broadcast_update", "broadcast_delete"];

/** Guards in one, as somebody might write it by hand: nothing stops a message. */
const NO_GUARDS = `create or replace function private.guards(m public.messages) returns table (verdict text, reason text, until timestamptz)
  language sql stable as 'select null::text, null::text, null::timestamptz where false'`;

class Undo extends Error {}

/** Each object with the version of its row in the catalog: writing it again makes a new one. */
async function versions(sql: Sql): Promise<Map<string, string>> {
  const rows = await sql<{ line: string; version: string }[]>`
    with ours as (select n.oid from pg_namespace n where n.nspname in ('public', 'kernel', 'private', 'analytics'))
    select 'function ' || p.oid::regprocedure as line, p.xmin || ' ' || p.ctid::text as version from pg_proc p where p.pronamespace in (select oid from ours)
    union all select 'view ' || c.oid::regclass, r.xmin || ' ' || r.ctid::text from pg_class c join pg_rewrite r on r.ev_class = c.oid
      where c.relkind = 'v' and c.relnamespace in (select oid from ours)
    union all select 'policy ' || p.polname || ' on ' || p.polrelid::regclass, p.xmin || ' ' || p.ctid::text
      from pg_policy p join pg_class c on c.oid = p.polrelid
      where (c.relnamespace in (select oid from ours) or c.relnamespace = 'realtime'::regnamespace) and p.polname <> all(${PROTECTED})
    union all select 'trigger ' || t.tgname || ' on ' || t.tgrelid::regclass, t.xmin || ' ' || t.ctid::text
      from pg_trigger t join pg_class c on c.oid = t.tgrelid
      where not t.tgisinternal and t.tgparentid = 0 and t.tgname <> all(${STANDARD}) and c.relnamespace in (select oid from ours)`;
  return new Map(rows.map((r) => [r.line, r.version]));
}

/** Differences between a database and the homes, found by applying them in a transaction that is taken back. */
async function drift(sql: Sql): Promise<string[]> {
  const found: string[] = [];
  await sql
    .begin(async (tx) => {
      const one = tx as unknown as Sql;
      const before = new Set(await catalogOf(one));
      const written = await versions(one);
      await tx.unsafe(`revoke all on all functions in schema kernel, private from ${ROLES};
        revoke all on all tables in schema analytics from ${ROLES};`);
      const revoked = await versions(one);
      // The one function that no home holds: it is composed of the guards that the homes hold.
      await tx.unsafe(NO_GUARDS);
      await tx.unsafe(homesScript(readHomes(ROOT)));
      await tx`select kernel.compose_guards(kernel.all_guards())`;
      const after = new Set(await catalogOf(one));
      for (const line of before) if (!after.has(line)) found.push(`database: ${line}`);
      for (const line of after) if (!before.has(line)) found.push(`homes: ${line}`);
      // What the homes did not write again stands in none of them.
      const now = await versions(one);
      for (const object of written.keys())
        if (now.get(object) === revoked.get(object)) found.push(`in no home: ${object}`);
      throw new Undo();
    })
    .catch((error: Error) => {
      if (!(error instanceof Undo)) throw error;
    });
  return found;
}

/** Changes by hand, each with what must be said of it. */
const CHANGES: [change: string, said: RegExp][] = [
  [
    "create or replace function kernel.clock_step() returns interval language sql immutable parallel safe set search_path = '' as $$ select interval '16 seconds' $$",
    /database: function kernel\.clock_step/,
  ],
  ["grant execute on function kernel.tick() to overture_user", /database: function kernel\.tick.*overture_user/],
  ["revoke execute on function kernel.now() from overture_user", /homes: function kernel\.now.*overture_user/],
  ["create function private.by_hand() returns int language sql as 'select 1'", /in no home: function private\.by_hand/],
  [
    "alter policy admin_updates on public.tenants using (true)",
    /database: policy public\.tenants admin_updates UPDATE .* true /,
  ],
  [
    "create policy by_hand on public.contacts to overture_user using (true)",
    /in no home: policy by_hand on (public\.)?contacts/,
  ],
  ["drop trigger guard_owners on public.members", /homes: trigger .*guard_owners/],
  [
    "create or replace view analytics.events with (security_invoker = true) as select id, message_id, kind, at, is_bot, detail, created_at from public.message_events where is_bot",
    /database: view analytics\.events/,
  ],
  [NO_GUARDS, /database: function private\.guards/],
  ["grant insert on analytics.events to overture_analyst", /database: relation analytics\.events/],
];

function suite(version: string, start: () => Promise<{ dbUrl: string; stop(): unknown }>) {
  describe(version, () => {
    let db: Awaited<ReturnType<typeof start>>;
    let sql: Sql;
    beforeAll(async () => {
      db = await start();
      sql = postgres(db.dbUrl, { max: 1, onnotice: () => {} });
    }, 120_000);
    afterAll(async () => {
      await sql?.end();
      await db?.stop();
    });

    test("after all migrations has exactly what modules/*/sql say", async () => {
      expect(await drift(sql)).toEqual([]);
    });

    test.each(CHANGES)("tells of a change by hand: %s", async (change, said) => {
      await sql
        .begin(async (tx) => {
          await tx.unsafe(change);
          // A savepoint in place of the transaction: the change itself is taken back as well.
          const inner = Object.assign((...args: Parameters<typeof tx>) => tx(...args), {
            unsafe: tx.unsafe.bind(tx),
            begin: (fn: (t: typeof tx) => Promise<unknown>) => tx.savepoint(fn),
          }) as unknown as Sql;
          const found = await drift(inner);
          expect(found.join("\n")).toMatch(said);
          expect(found.length).toBeLessThanOrEqual(2);
          throw new Undo();
        })
        .catch((error: Error) => {
          if (!(error instanceof Undo)) throw error;
        });
    });
  });
}

suite("PostgreSQL 17", () => startStack({ gateway: false, install: false, services: { cron: false } }));
if (pg15Bin) {
  suite("PostgreSQL 15", async () => {
    const server = await startPostgres15(pg15Bin!);
    await migrate({ url: server.dbUrl });
    return server;
  });
}
