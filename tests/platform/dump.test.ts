import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ROOT } from "../../supabase/embedded/home.ts";
import { migrate } from "../../supabase/embedded/migrate.ts";
import { pg15Bin, type Postgres15, startPostgres15 } from "../support/postgres15.ts";
import { contentOf } from "../upgrade/content.ts";
import { fillForBackup } from "../upgrade/fill.ts";

// The scripts for a Supabase of one's own, between two real clusters with the real pg_cron. As the role postgres, which is no superuser.

describe.runIf(pg15Bin)("dump.sh and restore.sh", () => {
  const folder = mkdtempSync(join(tmpdir(), "overture-dump-test-"));
  let [from, to]: Postgres15[] = [];
  const opened: postgres.Sql[] = [];
  const connect = (url: string) => {
    const sql = postgres(url, { max: 2, onnotice: () => {} });
    opened.push(sql);
    return sql;
  };
  const run = (script: string, env: Record<string, string>, ...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(join(ROOT, "supabase", "deploy", "backup", script), args, {
      encoding: "utf8",
      cwd: folder,
      env: { ...process.env, PATH: `${pg15Bin}:${process.env.PATH}`, ...env },
    });
    return { status, out: stdout + stderr, last: stdout.trim().split("\n").at(-1)! };
  };

  beforeAll(async () => {
    [from, to] = [await startPostgres15(pg15Bin!), await startPostgres15(pg15Bin!)];
    for (const { dbUrl } of [from, to]) await migrate({ url: dbUrl, yes: true });
    await fillForBackup(connect(from.adminDbUrl));
    // Supabase's images let the role postgres do so (supautils.privileged_role_allowed_configs).
    await connect(to.adminDbUrl)`grant set on parameter session_replication_role to postgres`;
  }, 120_000);
  afterAll(async () => {
    await Promise.all(opened.map((sql) => sql.end({ timeout: 5 })));
    from?.stop();
    to?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test("every row of every table of ours and of Auth comes back, and a second time it is refused", async () => {
    const dumped = run("dump.sh", { SUPABASE_DB_URL: from!.dbUrl, OVERTURE_BACKUP_DIR: folder });
    expect(dumped.status, dumped.out).toBe(0);
    const restored = run("restore.sh", { SUPABASE_DB_URL: to!.dbUrl }, dumped.last);
    expect(restored.status, restored.out).toBe(0);
    const own = async (url: string) =>
      Object.fromEntries(
        Object.entries(await contentOf(connect(url))).filter(([name]) =>
          /^(public|kernel|private|pgmq|auth)\./.test(name),
        ),
      );
    const before = await own(from!.adminDbUrl);
    expect(Object.values(before).filter((c) => !c.startsWith("0 ")).length).toBeGreaterThan(25);
    expect(await own(to!.adminDbUrl)).toEqual(before);
    // New messages get numbers that are free.
    const sql = connect(to!.dbUrl);
    await sql`select kernel.enqueue('messaging_send', array[jsonb_build_object('tenant_id', kernel.uuid7())])`;
    expect(run("restore.sh", { SUPABASE_DB_URL: to!.dbUrl }, dumped.last)).toMatchObject({
      status: 1,
      out: expect.stringMatching(/has members already/),
    });
  }, 120_000);

  test.runIf(spawnSync("age", ["--version"]).status === 0)(
    "encrypted it shows nothing, opens with the key alone, and brings the secrets along",
    () => {
      const key = join(folder, "identity");
      const made = spawnSync("age-keygen", ["-o", key], { encoding: "utf8" });
      const [, recipient] = /(age1\w+)/.exec(made.stderr)!;
      const secrets = join(folder, "installation.env");
      writeFileSync(secrets, "OVERTURE_KEYS=k1:not-in-clear\n");
      const dumped = run("dump.sh", {
        SUPABASE_DB_URL: from!.dbUrl,
        OVERTURE_BACKUP_DIR: folder,
        OVERTURE_BACKUP_RECIPIENT: recipient!,
        OVERTURE_ENV_FILE: secrets,
      });
      expect(dumped.status, dumped.out).toBe(0);
      expect(readFileSync(dumped.last).includes("not-in-clear")).toBe(false);
      expect(run("restore.sh", { SUPABASE_DB_URL: to!.dbUrl }, dumped.last).out).toMatch(/name the age identity/);
      const listed = spawnSync("sh", ["-c", 'age -d -i "$1" "$2" | tar -xOf - ./secrets.env', "sh", key, dumped.last]);
      expect(listed.stdout.toString()).toContain("k1:not-in-clear");
    },
    60_000,
  );

  test("the oldest dumps go, and nothing else", () => {
    const kept = mkdtempSync(join(folder, "kept-"));
    for (const name of ["overture-2020-01-01T00-00-00.tar", "overture-2020-01-02T00-00-00.tar.age", "mine.tar"])
      writeFileSync(join(kept, name), "");
    const dumped = run("dump.sh", {
      SUPABASE_DB_URL: from!.dbUrl,
      OVERTURE_BACKUP_DIR: kept,
      OVERTURE_BACKUP_KEEP: "2",
    });
    expect(dumped.status, dumped.out).toBe(0);
    expect(readdirSync(kept).sort()).toEqual(
      ["mine.tar", "overture-2020-01-02T00-00-00.tar.age", dumped.last.split("/").at(-1)!].sort(),
    );
  }, 60_000);

  test("a database of another version is refused, and one that cannot be reached leaves no file", async () => {
    const sql = connect(to!.dbUrl);
    const dumped = run("dump.sh", { SUPABASE_DB_URL: from!.dbUrl, OVERTURE_BACKUP_DIR: folder });
    await sql`insert into supabase_migrations.schema_migrations (version, statements, name) values ('29990101000000', '{}', 'later')`;
    expect(run("restore.sh", { SUPABASE_DB_URL: to!.dbUrl }, dumped.last)).toMatchObject({
      status: 1,
      out: expect.stringMatching(/database of 29990101000000: check out/),
    });
    const empty = mkdtempSync(join(folder, "empty-"));
    const nowhere = from!.dbUrl.replace(/:\d+\/postgres$/, ":1/postgres");
    expect(run("dump.sh", { SUPABASE_DB_URL: nowhere, OVERTURE_BACKUP_DIR: empty }).status).not.toBe(0);
    expect(readdirSync(empty)).toEqual([]);
  }, 60_000);
});
