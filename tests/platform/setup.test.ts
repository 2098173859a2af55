import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { modules } from "../../modules/boot.ts";
import { configKeys } from "../../modules/kernel/config.ts";
import { ROOT } from "../../supabase/embedded/home.ts";
import { listMigrations } from "../../supabase/embedded/migrate.ts";
import { startStack, type Stack } from "../../supabase/embedded/stack.ts";
import { migrationsFolder } from "../../supabase/embedded/testing.ts";

describe("npm run setup on a Supabase of one's own", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({ gateway: false, install: false, migrationsFolder: migrationsFolder({}) });
  });
  afterAll(() => stack?.stop());

  const setup = (env: Record<string, string> = stack.env) => {
    const ran = spawnSync(join(ROOT, "node_modules", ".bin", "node"), [join(ROOT, "scripts", "setup.ts")], {
      cwd: stack.home,
      encoding: "utf8",
      env: { PATH: process.env.PATH!, ...env },
    });
    return { code: ran.status, out: `${ran.stdout}${ran.stderr}` };
  };

  test("migrates, registers the schedules and gives the claim link; again it changes nothing", async () => {
    const first = setup();
    expect(first.code, first.out).toBe(0);
    for (const { version } of listMigrations()) expect(first.out).toContain(version);
    expect(first.out).toContain(`${stack.env.OVERTURE_PUBLIC_URL}/claim`);
    const sql = postgres(stack.dbUrl, { max: 1 });
    const jobs = () => sql`select jobid, jobname, schedule, command, active from cron.job order by jobid`;
    const before = await jobs();
    expect(before.length).toBeGreaterThan(2);
    const second = setup();
    expect(second.code, second.out).toBe(0);
    expect(second.out).toContain("up to date");
    expect(await jobs()).toEqual(before);
    await sql.end();
  });

  test("without a configuration it names what is missing and exits with 1", () => {
    const none = setup({});
    expect(none).toMatchObject({ code: 1 });
    expect(none.out).toContain("SUPABASE_DB_URL is not set");
    const half = setup({ SUPABASE_DB_URL: stack.dbUrl });
    expect(half).toMatchObject({ code: 1 });
    expect(half.out).toMatch(/SUPABASE_URL[\s\S]*OVERTURE_KEYS/);
  });
});

describe("the compose override", () => {
  const text = readFileSync(join(ROOT, "supabase", "deploy", "docker-compose.overture.yml"), "utf8");
  const shared = text.slice(text.indexOf("x-overture-environment"), text.indexOf("services:"));

  test("gives the functions every key they must have, and no key they do not know", () => {
    const given = [...shared.matchAll(/^ {2}([A-Z_]+):/gm)].map((m) => m[1]!);
    const known = configKeys(modules);
    expect(given.filter((name) => !known.some(({ key }) => key === name))).toEqual([]);
    expect(known.filter(({ key, required }) => required && !given.includes(key)).map(({ key }) => key)).toEqual([]);
    expect(given).toEqual(
      expect.arrayContaining(["SUPABASE_PUBLISHABLE_KEY", "SUPABASE_SECRET_KEY", "OVERTURE_DB_URL"]),
    );
  });

  test("mounts the folders that the builds make", () => {
    expect(text).toContain("}/functions:/home/deno/functions");
    expect(text).toContain("/functions/worker:/worker");
  });
});
