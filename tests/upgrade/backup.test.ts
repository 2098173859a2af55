import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { backup } from "../../supabase/embedded/backup.ts";
import { freePortBase, loadSecrets, ROOT } from "../../supabase/embedded/home.ts";
import { restoreHome, verifyBackup } from "../../supabase/embedded/restore.ts";
import { startStack, type Stack } from "../../supabase/embedded/stack.ts";
import { migrationsFolder } from "../../supabase/embedded/testing.ts";
import { contentOf } from "./content.ts";
import { fillForBackup } from "./fill.ts";

// The drill: a home with data is backed up while it runs, and another home is made of the file.

const folder = mkdtempSync(join(tmpdir(), "overture-backup-test-"));
const [first, second] = [join(folder, "first"), join(folder, "second")];
const file = join(folder, "copy.overture");
const quiet = { gateway: false, services: { cron: false } } as const;
let portBase: number;
let stack: Stack;

const connected = async <T>(url: string, fn: (sql: postgres.Sql) => Promise<T>): Promise<T> => {
  const sql = postgres(url, { max: 2, onnotice: () => {} });
  try {
    return await fn(sql);
  } finally {
    await sql.end();
  }
};
const run = (script: string, home: string, ...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(ROOT, "scripts", script), ...args], {
    encoding: "utf8",
    env: { ...process.env, OVERTURE_HOME: home },
  });
  return { status, out: stdout + stderr };
};

beforeAll(async () => {
  portBase = await freePortBase();
  stack = await startStack({ home: first, portBase, ...quiet });
  await connected(stack.adminDbUrl, fillForBackup);
}, 90_000);
afterAll(async () => {
  await stack?.stop();
  rmSync(folder, { recursive: true, force: true });
});

test("a backup of a running home is one moment, and a home restored from it has every row of every table", async () => {
  const before = await connected(stack.adminDbUrl, contentOf);
  expect(Object.values(before).filter((c) => !c.startsWith("0 ")).length).toBeGreaterThan(25);
  // Work goes on during the backup; none of it may appear.
  const noise = connected(stack.dbUrl, async (sql) => {
    for (let i = 0; i < 50; i++)
      await sql`select kernel.enqueue('messaging_send', array[jsonb_build_object('tenant_id', kernel.uuid7())])`;
  });
  const taken = run("backup.ts", first, file);
  await noise;
  expect(taken.status, taken.out).toBe(0);
  expect(taken.out).toContain("also has the installation's keys");
  expect(statSync(file).mode & 0o777).toBe(0o600);

  const restored = run("restore.ts", second, file);
  expect(restored.status, restored.out).toBe(0);
  expect(readFileSync(join(second, "secrets.env"), "utf8")).toBe(readFileSync(join(first, "secrets.env"), "utf8"));
  expect(statSync(join(second, "secrets.env")).mode & 0o777).toBe(0o600);

  const other = await startStack({ home: second, install: false, ...quiet });
  try {
    const after = await connected(other.adminDbUrl, contentOf);
    // The queue that was busy meanwhile holds a part of what was sent.
    const calm = (content: Record<string, string>) =>
      Object.fromEntries(Object.entries(content).filter(([name]) => name !== "pgmq.q_messaging_send"));
    expect(calm(after)).toEqual(calm(before));
    await connected(other.adminDbUrl, async (sql) => {
      // New rows get new numbers, months have their partitions, and analysts can sign in with their old password.
      const [next] =
        await sql`select nextval('pgmq.q_messaging_send_msg_id_seq') > coalesce((select max(msg_id) from pgmq.q_messaging_send), 0) as fresh`;
      expect(next).toEqual({ fresh: true });
      expect(await sql`select distinct tableoid::regclass::text as part from public.message_events order by 1`).toEqual(
        [
          { part: expect.stringMatching(/^private\.message_events_\d{4}_\d{2}$/) },
          { part: expect.stringMatching(/^private\.message_events_/) },
        ],
      );
      expect(
        await sql`select count(*)::int as n from pg_class where relispartition and relkind = 'r' and relowner <> 'postgres'::regrole`,
      ).toEqual([{ n: 0 }]);
    });
    const analyst = other.adminDbUrl.replace(/\/\/[^@]+@/, "//ana:ana-password@");
    expect(await connected(analyst, (sql) => sql`select count(*)::int as n from analytics.contacts`)).toEqual([
      { n: 3 },
    ]);
  } finally {
    await other.stop();
  }
}, 120_000);

describe("restore refuses, changing nothing", () => {
  const attempt = async (path: string, home = join(folder, crypto.randomUUID())) => {
    const error = (await restoreHome(path, home).then(
      () => new Error("it was restored"),
      (e: Error) => e,
    )) as Error;
    expect(error.name, error.message).toBe("StartError");
    expect(existsSync(join(home, "pg", "PG_VERSION"))).toBe(home === second);
    return error.message;
  };

  test("a home that holds a database", async () => {
    expect(await attempt(file, second)).toMatch(/already has a database/);
  });

  test("a file that is no backup, or of a newer version", async () => {
    const other = join(folder, "other");
    writeFileSync(other, gzipSync("hello\n"));
    expect(await attempt(other)).toMatch(/is not a backup/);
    const text = gunzipSync(readFileSync(file)).toString("latin1");
    writeFileSync(
      other,
      gzipSync(Buffer.from(text.replace(/"migrations":\[/, '"migrations":["29990101000000",'), "latin1")),
    );
    expect(await attempt(other)).toMatch(/newer version .*29990101000000/);
  }, 60_000);

  test("a file that was cut off or changed", async () => {
    const other = join(folder, "damaged");
    const bytes = readFileSync(file);
    writeFileSync(other, bytes);
    truncateSync(other, Math.floor(bytes.length * 0.7));
    expect(await attempt(other)).toMatch(/damaged or incomplete/);
    const text = gunzipSync(bytes).toString("latin1");
    writeFileSync(other, gzipSync(Buffer.from(text.replace("Ada of the backup", "Eve of the backup"), "latin1")));
    expect(await attempt(other)).toMatch(/the content of public\.contacts does not match/);
  }, 120_000);

  test("a file without keys, unless they are there", async () => {
    const other = join(folder, "keyless.overture");
    const taken = run("backup.ts", first, other, "--without-keys");
    expect(taken.status, taken.out).toBe(0);
    expect(gunzipSync(readFileSync(other)).includes(loadSecrets(first).OVERTURE_KEYS!)).toBe(false);
    expect(await attempt(other)).toMatch(/has no keys/);
  }, 60_000);
});

test("a backup never overwrites a file", async () => {
  await expect(backup({ adminUrl: stack.adminDbUrl, file })).rejects.toThrow(/exists already/);
});

test("a start that would migrate a home with data makes a backup first, which can be restored", async () => {
  const home = join(folder, "upgraded");
  const files = {
    "20260101000000_one.sql":
      "-- breaking: no\ncreate table public.kept (id int primary key);\ninsert into public.kept values (7);",
  };
  const begin = migrationsFolder(files);
  await (await startStack({ home, migrationsFolder: begin, install: false, ...quiet })).stop();
  expect(existsSync(join(home, "backups"))).toBe(false);
  const next = migrationsFolder({ ...files, "20260102000000_two.sql": "-- breaking: yes\ndrop table public.kept;" });
  await expect(startStack({ home, migrationsFolder: next, install: false, ...quiet })).rejects.toThrow(
    /Start with --yes/,
  );
  await (await startStack({ home, migrationsFolder: next, install: false, yes: true, ...quiet })).stop();
  const [made, ...more] = readdirSync(join(home, "backups"));
  expect([made, more]).toEqual([expect.stringMatching(/^before-20260102000000-.*\.overture$/), []]);
  const text = gunzipSync(readFileSync(join(home, "backups", made!))).toString();
  expect(text).toContain('#table {"schema":"public","name":"kept","columns":["id"]}\n7\n\\.\n');
  for (const path of [begin, next]) rmSync(path, { recursive: true });
}, 60_000);

describe("an encrypted backup", () => {
  const sealed = join(folder, "sealed.overture.age");
  const words = join(folder, "passphrase");
  const wrong = join(folder, "other-passphrase");

  test("says nothing to who has no passphrase, and is restored by who has it", async () => {
    writeFileSync(words, "correct horse battery staple\n");
    writeFileSync(wrong, "incorrect horse battery staple\n");
    const taken = run("backup.ts", first, sealed, "--passphrase-file", words);
    expect(taken.status, taken.out).toBe(0);
    expect(taken.out).toContain("is encrypted");
    const bytes = readFileSync(sealed);
    expect(bytes.subarray(0, 21).toString()).toBe("age-encryption.org/v1");
    expect(() => gunzipSync(bytes)).toThrow();
    for (const clear of [loadSecrets(first).OVERTURE_KEYS!, "Ada of the backup", "secrets"])
      expect(bytes.includes(clear)).toBe(false);

    expect(run("restore.ts", join(folder, "shut"), sealed).out).toMatch(/is encrypted: give the file/);
    expect(run("restore.ts", join(folder, "shut"), sealed, "--passphrase-file", wrong).out).toMatch(
      /cannot be decrypted/,
    );
    expect(existsSync(join(folder, "shut", "pg"))).toBe(false);

    const home = join(folder, "opened");
    const restored = run("restore.ts", home, sealed, "--passphrase-file", words);
    expect(restored.status, restored.out).toBe(0);
    const [mine, theirs] = await Promise.all([
      verifyBackup(sealed, "correct horse battery staple"),
      connected(stack.adminDbUrl, contentOf),
    ]);
    expect(mine.tables).toBe(Object.keys(theirs).length);
    expect(readFileSync(join(home, "secrets.env"), "utf8")).toBe(readFileSync(join(first, "secrets.env"), "utf8"));
  }, 120_000);

  test("that was cut off or changed is refused, wherever the fault is", async () => {
    const other = join(folder, "sealed-damaged");
    const bytes = readFileSync(sealed);
    const attempt = async (content: Buffer) => {
      writeFileSync(other, content);
      return await verifyBackup(other, "correct horse battery staple").then(
        () => "it was taken",
        (e: Error) => `${e.name}: ${e.message}`,
      );
    };
    for (const at of [0.5, 0.9]) {
      expect(await attempt(bytes.subarray(0, Math.floor(bytes.length * at)))).toMatch(
        /StartError.*(damaged|incomplete)/,
      );
      const changed = Buffer.from(bytes);
      changed[Math.floor(bytes.length * at)]! ^= 1;
      expect(await attempt(changed)).toMatch(/StartError.*(damaged|cannot be decrypted)/);
    }
  }, 120_000);

  test("takes no passphrase that can be guessed", () => {
    writeFileSync(words, "short\n");
    const taken = run("backup.ts", first, join(folder, "never"), "--passphrase-file", words);
    expect(taken).toMatchObject({ status: 1, out: expect.stringContaining("at least 12 characters") });
  });
});
