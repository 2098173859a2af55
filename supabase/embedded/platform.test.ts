import postgres, { type Sql } from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { applyPlatform } from "./platform.ts";
import type { Stack } from "./stack.ts";
import { fixtureStack } from "./testing.ts";

let stack: Stack;
let sql: Sql;
let admin: Sql;
beforeAll(async () => {
  stack = await fixtureStack("create table public.plain (id int);", { gateway: false });
  sql = postgres(stack.dbUrl, { max: 1, onnotice: () => {} });
  admin = postgres(stack.adminDbUrl, { max: 1, onnotice: () => {} });
});
afterAll(async () => {
  await Promise.all([sql?.end(), admin?.end()]);
  await stack?.stop();
});

describe("what migrations find", () => {
  test("postgres is no superuser, yet creates extensions, queues, roles and policies on realtime.messages", async () => {
    const [me] = await sql`select rolsuper, rolbypassrls, rolcreaterole from pg_roles where rolname = current_user`;
    expect(me).toEqual({ rolsuper: false, rolbypassrls: true, rolcreaterole: true });
    await sql
      .unsafe(
        `
      create extension if not exists pgmq; create extension if not exists pg_cron; create extension if not exists pg_net;
      create extension if not exists pg_trgm with schema extensions;
      select pgmq.create('emails'); select pgmq.send('emails', '{"a":1}');
      create role reporting nologin; grant reporting to authenticator;
      create policy probe on realtime.messages for select to authenticated using (false);
    `,
      )
      .simple();
    const [message] = await sql`select msg_id, read_ct, message from pgmq.read('emails', 30, 1)`;
    expect(message).toMatchObject({ read_ct: 1, message: { a: 1 } });
  });

  test("new tables are exposed to nobody", async () => {
    const grants = await sql`select grantee from information_schema.role_table_grants
      where table_schema = 'public' and table_name = 'plain' and grantee <> 'postgres'`;
    expect(grants).toEqual([]);
  });

  test("upper and lower case and sorting know Unicode on every platform", async () => {
    const [row] = await sql`select lower('ÄÖÜ') as lower, 'müller' ilike 'MÜLLER' as alike`;
    expect(row).toEqual({ lower: "äöü", alike: true });
  });

  test("auth functions read the claims however they are set", async () => {
    const id = crypto.randomUUID();
    await sql.begin(async (tx) => {
      await tx`select set_config('request.jwt.claims', ${JSON.stringify({ sub: id, role: "authenticated", email: "a@b.c" })}, true)`;
      expect(
        await tx`select auth.uid() as uid, auth.role() as role, auth.email() as email, auth.jwt() ->> 'sub' as sub`,
      ).toEqual([{ uid: id, role: "authenticated", email: "a@b.c", sub: id }]);
    });
  });

  test("the platform can be applied again without changing anything", async () => {
    const state = () => admin`
      with platform as (select oid from pg_namespace where nspname in ('auth', 'cron', 'net', 'realtime', 'public', 'pgmq'))
      select oid::regprocedure::text as name, proacl::text as acl, proowner::regrole::text as owner
      from pg_proc where pronamespace in (select oid from platform)
      union all
      select oid::regclass::text, relacl::text, relowner::regrole::text from pg_class where relnamespace in (select oid from platform)
      order by 1`;
    const before = await state();
    await applyPlatform({ url: stack.adminDbUrl });
    expect(await state()).toEqual(before);
  });
});

describe("cron's functions", () => {
  test.each([
    ["* * * * *", true],
    ["*/5 1-3,7 1 jan mon-fri", true],
    ["0 0 $ * *", true],
    ["@daily", true],
    ["30 seconds", true],
    ["0 seconds", false],
    ["60 seconds", false],
    ["61 * * * *", false],
    ["* * * *", false],
    ["* 24 * * *", false],
    ["*/0 * * * *", false],
    ["every day", false],
  ])("schedule %s is accepted: %s", async (schedule, accepted) => {
    const attempt = sql.begin(async (tx) => {
      await tx`select cron.schedule('check', ${schedule}, 'select 1')`;
      throw new Error("accepted");
    });
    await expect(attempt).rejects.toThrow(accepted ? "accepted" : `invalid schedule: ${schedule}`);
  });

  test("the same name replaces the job, alter_job changes parts of it, unschedule removes it", async () => {
    const [first] = await sql`select cron.schedule('report', '0 1 * * *', 'select 1') as id`;
    const [second] = await sql`select cron.schedule('report', '0 2 * * *', 'select 2') as id`;
    expect(second!.id).toBe(first!.id);
    await sql`select cron.alter_job(${first!.id}, active := false)`;
    const jobs = await sql`select schedule, command, active, username from cron.job where jobname = 'report'`;
    expect(jobs).toEqual([{ schedule: "0 2 * * *", command: "select 2", active: false, username: "postgres" }]);
    expect(await sql`select cron.unschedule('report') as done`).toEqual([{ done: true }]);
    await expect(sql`select cron.unschedule('report')`).rejects.toThrow("could not find valid entry for job 'report'");
  });

  test("nobody can have a job run as a role they are not", async () => {
    const attempt = sql`insert into cron.job (schedule, command, username) values ('* * * * *', 'select 1', 'supabase_admin')`;
    await expect(attempt).rejects.toThrow(/another role/);
  });
});

describe("realtime's functions", () => {
  test("send writes a message with an id, broadcast_changes the changed row, topic() the setting", async () => {
    await sql`select realtime.send('{"a":1}'::jsonb, 'made', 'room:1', true)`;
    await sql`select realtime.broadcast_changes('room:2', 'UPDATE', 'UPDATE', 'plain', 'public', row(2)::public.plain, row(1)::public.plain)`;
    const rows =
      await sql`select topic, event, private, extension, payload from realtime.messages order by inserted_at, topic`;
    expect(rows).toMatchObject([
      {
        topic: "room:1",
        event: "made",
        private: true,
        extension: "broadcast",
        payload: { a: 1, id: expect.any(String) },
      },
      {
        topic: "room:2",
        payload: { operation: "UPDATE", schema: "public", table: "plain", record: { id: 2 }, old_record: { id: 1 } },
      },
    ]);
  });

  test("a message that may not be written is a warning, not a failed transaction", async () => {
    await sql.begin(async (tx) => {
      await tx`set local role authenticated`;
      await tx`select realtime.send('{}'::jsonb, 'made', 'room:forbidden')`;
      await tx`reset role`;
      expect(await tx`select 1 as alive`).toEqual([{ alive: 1 }]);
    });
    expect(await sql`select from realtime.messages where topic = 'room:forbidden'`).toHaveLength(0);
  });
});
