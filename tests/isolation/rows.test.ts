import postgres, { type Sql, type TransactionSql } from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { uuid7 } from "../../modules/kernel/database/ids.ts";
import { testKernel, type TestTenant } from "../support/kernel.ts";
import { fillTenant, type Table, tenantTables } from "./rows.ts";

// Every table, every kind of caller: nothing read, nothing written, nothing moved across. Statements are made from the
// catalog and run under the roles that REST, the API and the jobs use; the referee is the owner's own look at the rows.

const t = testKernel();
let tables: Table[];
/** The attacker's team and the one that must not be touched. */
let mine: TestTenant;
let theirs: TestTenant;
let myViewer: string;
let theirViewer: string;
let holding: postgres.ReservedSql;

type Actor = { role: string; userId?: string; tenantId?: string };

/** What each actor is; the tenants exist only once the tests run. */
const strangers: Record<string, () => Actor> = {
  "anon over REST": () => ({ role: "anon" }),
  "a member of another team over REST": () => ({ role: "authenticated", userId: mine.owner.userId }),
  "a person without any team over REST": () => ({ role: "authenticated", userId: uuid7() }),
  "an owner of another team through the API": () => ({
    role: "overture_user",
    userId: mine.owner.userId,
    tenantId: mine.id,
  }),
  "a viewer of another team through the API": () => ({ role: "overture_user", userId: myViewer, tenantId: mine.id }),
  "an owner of another team in a transaction that names this one": () => ({
    role: "overture_user",
    userId: mine.owner.userId,
    tenantId: theirs.id,
  }),
  "a transaction that names this team, of nobody": () => ({ role: "overture_user", tenantId: theirs.id }),
  "a worker without a tenant": () => ({ role: "overture_worker" }),
  "a worker of another team": () => ({ role: "overture_worker", tenantId: mine.id }),
};

const as = <T>(actor: Actor, fn: (tx: TransactionSql) => Promise<T>): Promise<T> =>
  t.sql.begin(async (tx) => {
    const claims = actor.userId ? JSON.stringify({ sub: actor.userId, role: "authenticated" }) : "";
    await tx`select set_config('request.jwt.claims', ${claims}, true), set_config('app.tenant_id', ${actor.tenantId ?? ""}, true), set_config('role', ${actor.role}, true)`;
    return await fn(tx);
  }) as Promise<T>;

/** The number of rows a statement touched; a refusal for want of rights (42501) is 0. Any other error is a fault of the test. */
async function touched(actor: Actor, statement: (tx: TransactionSql) => Promise<{ count: number }>): Promise<number> {
  try {
    return (await as(actor, statement)).count;
  } catch (error) {
    if ((error as postgres.PostgresError).code === "42501") return 0;
    throw error;
  }
}

/** All rows of a tenant, table by table, as text. */
async function snapshot(sql: Sql, tenantId: string): Promise<Record<string, string[]>> {
  const all: Record<string, string[]> = {};
  for (const { name, key } of tables) {
    const rows = await sql<
      { row: string }[]
    >`select to_jsonb(x)::text as row from public.${sql(name)} x where x.${sql(key)} = ${tenantId} order by 1`;
    all[name] = rows.map((r) => r.row);
  }
  return all;
}

/** A copy of one of the tenant's rows under fresh keys, ready to be inserted: nothing but the wall stands in its way. */
async function copyOf(table: Table, tenantId: string): Promise<Record<string, unknown>> {
  const [row] = await t.sql<
    { row: Record<string, unknown> }[]
  >`select to_jsonb(x) as row from public.${t.sql(table.name)} x where x.${t.sql(table.key)} = ${tenantId} limit 1`;
  const copy = Object.fromEntries(table.columns.map((c) => [c, row!.row[c]]));
  if ("id" in copy) copy.id = uuid7();
  return copy;
}

const insert = (tx: TransactionSql, table: Table, row: Record<string, unknown>) =>
  tx.unsafe(
    `insert into public."${table.name}" (${table.columns.map((c) => `"${c}"`).join(", ")}) select ${table.columns.map((c) => `x."${c}"`).join(", ")} from jsonb_populate_record(null::public."${table.name}", $1::jsonb) x`,
    [row as never],
  );

beforeAll(async () => {
  tables = await tenantTables(t.sql);
  [mine, theirs] = [await t.tenant("Attackers"), await t.tenant("Victims")];
  await fillTenant(t.sql, mine.id);
  await fillTenant(t.sql, theirs.id);
  // Other tests fold deltas of all teams at the same time; these are held until the end.
  holding = await t.sql.reserve();
  await holding`begin`;
  await holding`select from public.counter_deltas where tenant_id in (${mine.id}, ${theirs.id}) for update`;
  myViewer = (await mine.member("viewer")).userId;
  theirViewer = (await theirs.member("viewer")).userId;
});

afterAll(async () => {
  await holding`rollback`;
  holding.release();
});

test("every table has rows of both teams, so that none goes untested", async () => {
  for (const tenant of [mine, theirs]) {
    const empty = Object.entries(await snapshot(t.sql, tenant.id)).filter(([, rows]) => rows.length === 0);
    expect(
      empty.map(([name]) => name),
      "add these tables to tests/isolation/rows.ts",
    ).toEqual([]);
  }
});

test("each caller does see what is its own, so that seeing nothing elsewhere means something", async () => {
  const seen = async (actor: Actor) => {
    const names: string[] = [];
    for (const { name, key } of tables) {
      if (
        (await touched(actor, async (tx) => ({
          count: Number(
            (await tx.unsafe(`select count(*) as n from public."${name}" where "${key}" = $1`, [theirs.id]))[0]!.n,
          ),
        }))) > 0
      )
        names.push(name);
    }
    return names;
  };
  const all = tables.map((x) => x.name);
  expect(await seen({ role: "overture_worker", tenantId: theirs.id })).toEqual(all);
  expect(await seen({ role: "overture_user", userId: theirs.owner.userId, tenantId: theirs.id })).toEqual(all);
  expect(await seen({ role: "authenticated", userId: theirs.owner.userId })).toEqual(all);
  // For admins, and (what was uploaded, and what operations:read shows) for members.
  const notForViewers = [
    "alerts",
    "api_keys",
    "audit_log",
    "invitations",
    "webhook_deliveries",
    "import_chunks",
    "import_errors",
    "enrichment_cache",
    "model_cache",
  ];
  expect(await seen({ role: "overture_user", userId: theirViewer, tenantId: theirs.id })).toEqual(
    all.filter((n) => !notForViewers.includes(n)),
  );
});

describe.each(Object.keys(strangers))("%s", (who) => {
  const actor = () => strangers[who]!();

  test("reads no row of the team in any table, also not by leaving the tenant out of the question", async () => {
    const read: string[] = [];
    for (const { name, key } of tables) {
      const n = await touched(actor(), async (tx) => {
        const rows = await tx.unsafe(`select "${key}" as tenant from public."${name}"`);
        return { count: rows.filter((r) => r.tenant === theirs.id).length };
      });
      if (n > 0) read.push(`${name}: ${n}`);
    }
    expect(read).toEqual([]);
  });

  test("changes, deletes, adds and moves no row of the team", async () => {
    const before = await snapshot(t.sql, theirs.id);
    const done: string[] = [];
    for (const table of tables) {
      const { name, key } = table;
      const attempts: Record<string, (tx: TransactionSql) => Promise<{ count: number }>> = {
        update: (tx) => tx.unsafe(`update public."${name}" set "${key}" = "${key}" where "${key}" = $1`, [theirs.id]),
        delete: (tx) => tx.unsafe(`delete from public."${name}" where "${key}" = $1`, [theirs.id]),
        "move out": (tx) =>
          tx.unsafe(`update public."${name}" set "${key}" = $1 where "${key}" = $2`, [mine.id, theirs.id]),
        "move in": (tx) =>
          tx.unsafe(`update public."${name}" set "${key}" = $1 where "${key}" = $2`, [theirs.id, mine.id]),
      };
      const row = await copyOf(table, theirs.id);
      attempts.insert = (tx) => insert(tx, table, row);
      for (const [what, statement] of Object.entries(attempts))
        if ((await touched(actor(), statement)) > 0) done.push(`${what} ${name}`);
    }
    expect(done).toEqual([]);
    expect(await snapshot(t.sql, theirs.id)).toEqual(before);
  });
});

describe("a viewer of the team itself", () => {
  const viewer = (): Actor => ({ role: "overture_user", userId: theirViewer, tenantId: theirs.id });
  const over = (actor: Actor): Actor => ({ role: "authenticated", userId: actor.userId });

  test("writes nothing, through the API's role or over REST; only its own leaving and its own audit rows are its to write", async () => {
    const before = await snapshot(t.sql, theirs.id);
    const done: string[] = [];
    for (const actor of [viewer(), over(viewer())]) {
      for (const table of tables) {
        const { name, key } = table;
        const row = await copyOf(table, theirs.id);
        const others = name === "members" ? ` and user_id <> '${theirViewer}'` : "";
        const attempts: Record<string, (tx: TransactionSql) => Promise<{ count: number }>> = {
          update: (tx) =>
            tx.unsafe(
              `update public."${name}" set ${name === "members" ? "role = 'owner'" : `"${key}" = "${key}"`} where "${key}" = $1`,
              [theirs.id],
            ),
          delete: (tx) => tx.unsafe(`delete from public."${name}" where "${key}" = $1${others}`, [theirs.id]),
          insert: (tx) => insert(tx, table, row),
        };
        if (name === "audit_log") delete attempts.insert;
        for (const [what, statement] of Object.entries(attempts))
          if ((await touched(actor, statement)) > 0) done.push(`${actor.role}: ${what} ${name}`);
      }
    }
    expect(done).toEqual([]);
    expect(await snapshot(t.sql, theirs.id)).toEqual(before);
  });
});

describe("queues and realtime", () => {
  const everybody = ["anon", "authenticated", "overture_user", "overture_worker"];

  test("nobody touches pgmq: not its tables, not its functions", async () => {
    const queues = await t.sql<{ name: string }[]>`select name from kernel.queues order by name`;
    const reached: string[] = [];
    for (const role of everybody) {
      const actor: Actor = { role, userId: mine.owner.userId, tenantId: mine.id };
      for (const { name } of queues) {
        for (const statement of [
          `select from pgmq.q_${name}`,
          `select from pgmq.a_${name}`,
          `insert into pgmq.q_${name} (vt, message) values (now(), '{}')`,
          `delete from pgmq.q_${name}`,
          `select pgmq.send('${name}', '{}'::jsonb)`,
          `select msg_id from pgmq.read('${name}', 0, 1)`,
          `select pgmq.purge_queue('${name}')`,
        ]) {
          const refused = await as(actor, (tx) => tx.unsafe(statement)).then(
            () => false,
            (error: postgres.PostgresError) => error.code === "42501",
          );
          if (!refused) reached.push(`${role}: ${statement}`);
        }
      }
    }
    expect(queues.length).toBeGreaterThan(3);
    expect(reached).toEqual([]);
  });

  test("a message for another team cannot be put on a queue", async () => {
    const [queue] = await t.sql<{ name: string }[]>`select name from kernel.queues limit 1`;
    for (const actor of [
      strangers["a worker of another team"]!(),
      strangers["an owner of another team through the API"]!(),
    ]) {
      await expect(
        as(
          actor,
          (tx) => tx`select kernel.enqueue(${queue!.name}, array[${tx.json({ tenant_id: theirs.id })}]::jsonb[])`,
        ),
      ).rejects.toMatchObject({ code: "42501" });
    }
  });

  test("only a member listens to the team's topic, and nobody but the database sends on it", async () => {
    const topic = `tenant:${theirs.id}`;
    await t.sql`select realtime.send('{"x":1}'::jsonb, 'contacts', ${topic}, true)`;
    const heard = (actor: Actor, asked = topic) =>
      touched(actor, async (tx) => {
        await tx`select set_config('realtime.topic', ${asked}, true)`;
        return await tx`select 1 from realtime.messages where topic = ${topic} and extension = 'broadcast'`;
      });
    expect(await heard({ role: "authenticated", userId: theirViewer })).toBeGreaterThan(0);
    expect(await heard({ role: "authenticated", userId: mine.owner.userId })).toBe(0);
    expect(await heard({ role: "anon" })).toBe(0);
    for (const userId of [theirViewer, mine.owner.userId]) {
      const sent = await touched({ role: "authenticated", userId }, async (tx) => {
        await tx`select set_config('realtime.topic', ${topic}, true)`;
        return await tx`insert into realtime.messages (topic, extension, payload, event, private) values (${topic}, 'broadcast', '{}', 'contacts', true)`;
      });
      expect(sent).toBe(0);
    }
  });
});

describe("an API user's transaction", () => {
  test("cannot become the owner of the database or another role", async () => {
    for (const role of ["postgres", "service_role", "supabase_admin", "overture_worker", "authenticated"]) {
      // The session itself belongs to the installation's login; what is tested is that nothing but its own code can choose.
      const [row] = await t.sql`select pg_has_role('overture_user', ${role}, 'member') as can`;
      expect(row!.can, role).toBe(false);
    }
  });
});
