import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { appendFileSync, cpSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { nativePostgres } from "../../supabase/embedded/binaries.ts";
import { freePortBase } from "../../supabase/embedded/home.ts";
import { startStack } from "../../supabase/embedded/stack.ts";
import { chooseLaunch } from "../../supabase/embedded/unprivileged.ts";
import { testKernel } from "../support/kernel.ts";
import { until } from "../support/until.ts";

// A second Postgres in streaming replication of the first; reads marked for it go there, and nowhere else when it cannot.

const folder = mkdtempSync(join(tmpdir(), "overture-replica-test-"));
let standby: ChildProcess;
let start: () => Promise<void>;
const port = (await freePortBase()) + 2;
const stack = await startStack({ gateway: false, services: { cron: false } });
const replicaUrl = stack.env.OVERTURE_DB_URL!.replace(/:\d+\/postgres$/, `:${port}/postgres`);
const t = testKernel({ ...stack.env, OVERTURE_REPLICA_URL: replicaUrl, LOG_LEVEL: "silent" });
const admin = postgres(stack.adminDbUrl, { max: 2, onnotice: () => {} });

beforeAll(async () => {
  const data = join(folder, "pg");
  const own = join(stack.home, "pg");
  const backup = await admin.reserve();
  await backup`select pg_backup_start('replica', true)`;
  cpSync(own, data, {
    recursive: true,
    verbatimSymlinks: true,
    filter: (path) => !/postmaster\.(pid|opts)$/.test(path),
  });
  const [label] = await backup<{ labelfile: string }[]>`select labelfile from pg_backup_stop(false)`;
  backup.release();
  writeFileSync(join(data, "backup_label"), label!.labelfile);
  writeFileSync(join(data, "standby.signal"), "");
  const { hostname, port: from, username, password } = new URL(stack.adminDbUrl);
  appendFileSync(
    join(data, "postgresql.auto.conf"),
    `\nprimary_conninfo = 'host=${hostname} port=${from} user=${username} password=${decodeURIComponent(password)}'\n`,
  );
  const native = nativePostgres(stack.home);
  const launch = chooseLaunch(data, native);
  const { uid, gid } = statSync(own);
  spawnSync("chmod", ["711", folder]);
  spawnSync("chown", ["-R", `${uid}:${gid}`, data]);
  start = async () => {
    const [command, ...rest] = [
      ...launch.prefix,
      join(native, "bin", "postgres"),
      ...["-D", data, "-p", String(port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="],
      ...["-c", "fsync=off", "-c", "hot_standby=on"],
    ];
    standby = spawn(command!, rest, { uid: launch.uid, gid: launch.gid, cwd: "/", stdio: "ignore" });
    const sql = postgres(stack.adminDbUrl.replace(/:\d+\/postgres$/, `:${port}/postgres`), {
      max: 1,
      onnotice: () => {},
    });
    try {
      const caughtUp = async () => {
        await admin`select pg_logical_emit_message(true, 'test', 'news')`;
        return (await sql`select pg_last_xact_replay_timestamp() is not null as yes`)[0]!.yes;
      };
      await until(caughtUp, {
        what: "the replica to follow",
        timeoutMs: 60_000,
        everyMs: 200,
      });
    } finally {
      await sql.end({ timeout: 5 });
    }
  };
  await start();
}, 120_000);
afterAll(async () => {
  standby?.kill("SIGQUIT");
  await admin.end({ timeout: 5 });
  await t.kernel.close();
  await stack.stop();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});

const reads = async () =>
  Object.fromEntries(
    [...(await t.kernel.metrics.render()).matchAll(/overture_replica_reads_total\{from="(\w+)"\} (\d+)/g)].map((m) => [
      m[1],
      Number(m[2]),
    ]),
  );
const where = (of: "read" | "tx", tenantId: string) =>
  t.kernel.database[of](
    { role: "overture_worker", tenantId },
    async (tx) => (await tx`select pg_is_in_recovery() as replica`)[0]!.replica,
  );

test("the dashboard is read from the replica, with the tenant wall up; what one writes is read where it was written", async () => {
  const [mine, theirs] = [await t.tenant(), await t.tenant()];
  await mine.api("POST", "/contacts", { email: "ada@example.com" });
  // At once, without a replica's delay.
  expect((await mine.api("GET", "/contacts")).body.data).toHaveLength(1);
  expect(await where("tx", mine.id)).toBe(false);
  const contacts = async (team: typeof mine) => (await team.api("GET", "/dashboard")).body.counters?.contacts;
  await until(async () => (await contacts(mine)) === 1, { what: "the contact to arrive at the replica" });
  expect(await contacts(theirs)).toBe(0);
  expect((await reads()).replica).toBeGreaterThan(1);
  expect(await where("read", mine.id)).toBe(true);
});

test("a reader that wants to write is served by the primary, and nobody sees more rows on the replica than on the primary", async () => {
  const [mine, theirs] = [await t.tenant(), await t.tenant()];
  await theirs.api("POST", "/lists", { name: "Not yours" });
  const seen = await t.kernel.database.read(
    { role: "overture_worker", tenantId: mine.id },
    (tx) => tx`select 1 from public.lists where tenant_id = ${theirs.id}`,
  );
  expect(seen).toHaveLength(0);
  const written = await t.kernel.database.read(
    { role: "overture_worker", tenantId: mine.id },
    (tx) =>
      tx`insert into public.lists (tenant_id, name) values (${mine.id}, 'Written') returning pg_is_in_recovery() as replica`,
  );
  expect(written[0]!.replica).toBe(false);
});

test("without the replica everything is answered by the primary; once it is back it is asked again", async () => {
  const team = await t.tenant();
  standby.kill("SIGINT");
  await new Promise((done) => standby.once("exit", done));
  const before = (await reads()).primary ?? 0;
  for (let i = 0; i < 3; i++) expect((await team.api("GET", "/dashboard")).status).toBe(200);
  expect((await reads()).primary).toBe(before + 3);
  await start();
  await until(() => where("read", team.id), { what: "the replica to be asked again", timeoutMs: 40_000, everyMs: 500 });
}, 90_000);

test("a replica that stands still is not asked", async () => {
  const strict = testKernel({
    ...stack.env,
    OVERTURE_REPLICA_URL: replicaUrl,
    OVERTURE_REPLICA_LAG: "2",
    LOG_LEVEL: "silent",
  });
  const replica = postgres(stack.adminDbUrl.replace(/:\d+\/postgres$/, `:${port}/postgres`), {
    max: 1,
    onnotice: () => {},
  });
  const asked = () =>
    strict.kernel.database.read(
      { role: "overture_worker", tenantId: null },
      async (tx) => (await tx`select pg_is_in_recovery() as replica`)[0]!.replica as boolean,
    );
  try {
    const news = async () => {
      await admin`select pg_logical_emit_message(true, 'test', 'news')`;
    };
    await until(async () => (await news(), await asked()), {
      what: "the replica to be asked",
      timeoutMs: 40_000,
      everyMs: 500,
    });
    await replica`select pg_wal_replay_pause()`;
    await until(async () => (await news(), !(await asked())), {
      what: "the paused replica to be left alone",
      everyMs: 200,
    });
  } finally {
    await replica`select pg_wal_replay_resume()`;
    await replica.end({ timeout: 5 });
    await strict.kernel.close();
  }
}, 90_000);
