import { spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import postgres from "postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../../tests/support/until.ts";
import { freePortBase, isFree, portsFrom } from "./home.ts";
import { isAlive } from "./processes.ts";
import { startStack } from "./stack.ts";
import { closedFolder, migrationsFolder } from "./testing.ts";

const folders: string[] = [];
const migrations = (files: Record<string, string>) => {
  const folder = migrationsFolder(files);
  folders.push(folder);
  return folder;
};
afterAll(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

describe("an installation under a folder only its owner may enter", () => {
  const home = closedFolder();
  const first = {
    "20260101000000_first.sql":
      "-- breaking: no\ncreate table public.kept (id int);\ninsert into public.kept values (7);\n",
  };
  let portBase = 0;
  const start = (files: Record<string, string>, yes?: boolean) =>
    startStack({ home, portBase, gateway: false, install: false, migrationsFolder: migrations(files), yes });

  beforeAll(async () => {
    portBase = await freePortBase();
  });
  afterAll(() => rmSync(dirname(home), { recursive: true, force: true }));

  test("starts, keeps data and secrets over a restart, and leaves no process, port or lock", async () => {
    const stack = await start(first);
    const secrets = readFileSync(join(home, "secrets.env"), "utf8");
    expect(statSync(join(home, "secrets.env")).mode & 0o777).toBe(0o600);
    const pid = stack.pids().postgres!;
    expect(isAlive(pid)).toBe(true);
    await expect(start(first)).rejects.toThrow(/Already running on .* \(process \d+/);
    await stack.stop();
    expect(isAlive(pid)).toBe(false);
    expect(existsSync(join(home, "overture.lock"))).toBe(false);
    expect(await isFree(portsFrom(portBase).db)).toBe(true);

    const again = await start(first);
    const sql = postgres(again.dbUrl, { max: 1 });
    expect(await sql`select id from public.kept`).toEqual([{ id: 7 }]);
    expect(readFileSync(join(home, "secrets.env"), "utf8")).toBe(secrets);
    await sql.end();
    await again.stop();
  });

  test("a failing migration is rolled back whole and named with its statement", async () => {
    const broken = {
      ...first,
      "20260102000000_broken.sql": "-- breaking: no\ncreate table public.half (id int);\nselect 1 / 0;\n",
    };
    await expect(start(broken)).rejects.toThrow(
      /20260102000000_broken\.sql failed and was rolled back: division by zero .*statement 2/,
    );
    const stack = await start(first);
    const sql = postgres(stack.dbUrl, { max: 1 });
    const [row] =
      await sql`select to_regclass('public.half') as half, (select count(*)::int from supabase_migrations.schema_migrations) as applied`;
    expect(row).toEqual({ half: null, applied: 1 });
    await sql.end();
    await stack.stop();
  });

  test("a breaking migration on existing data wants --yes, and a database from a newer version is refused", async () => {
    const breaking = {
      ...first,
      "20260103000000_drop.sql": "-- breaking: yes\nalter table public.kept add column more int;\n",
    };
    await expect(start(breaking)).rejects.toThrow(/20260103000000_drop\.sql changes existing data .*--yes/);
    await (await start(breaking, true)).stop();
    await expect(start(first)).rejects.toThrow(/does not know \(20260103000000\)/);
  });

  test("a migration without its header line is refused before anything is applied", async () => {
    await expect(start({ "20260101000000_first.sql": "select 1;" })).rejects.toThrow(
      /"-- breaking: no" \(or yes\) is missing/,
    );
  });

  test("a missing key file beside a database is an error, not a new key", async () => {
    const file = join(home, "secrets.env");
    const secrets = readFileSync(file, "utf8");
    rmSync(file);
    await expect(start(first)).rejects.toThrow(/secrets\.env is missing or incomplete although .* holds a database/);
    expect(existsSync(file)).toBe(false);
    writeFileSync(file, secrets, { mode: 0o600 });
  });

  test("a busy port is one line that names the port and another base", async () => {
    const server = createServer().listen(portsFrom(portBase).db, "127.0.0.1");
    await until(() => server.listening, { what: "the port to be taken" });
    await expect(start(first)).rejects.toThrow(
      new RegExp(`^Port ${portBase + 2} \\(the database\\) is in use.*OVERTURE_PORT_BASE=\\d+ npm start$`),
    );
    await new Promise((done) => server.close(done));
  });

  test("a start that is killed outright takes its database with it, and the next start works", async () => {
    const script = `
      const { startStack } = await import(${JSON.stringify(fileURLToPath(new URL("stack.ts", import.meta.url)))});
      const stack = await startStack(${JSON.stringify({ home, portBase, gateway: false, install: false, yes: true, migrationsFolder: migrations({ ...first, "20260103000000_drop.sql": "-- breaking: yes\nselect 1;" }) })});
      console.log(stack.pids().postgres);
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.on("data", (chunk) => (output += chunk));
    const pid = Number(await until(() => /^\d+$/m.exec(output)?.[0], { what: "the stack to start" }));
    child.kill("SIGKILL");
    await until(() => !isAlive(pid), { what: "the database to end after its supervisor was killed" });
    const stack = await start({ ...first, "20260103000000_drop.sql": "-- breaking: yes\nselect 1;" });
    await stack.stop();
  });
});

test("a folder that cannot be written is one clear line", async () => {
  const home = join(closedFolder(), "file");
  writeFileSync(home, "");
  await expect(startStack({ home, gateway: false })).rejects.toThrow(
    /^Cannot write to the data folder .*set OVERTURE_HOME/,
  );
  rmSync(dirname(dirname(home)), { recursive: true, force: true });
});

test("a database that is killed is started again with its data, and said to be; stop() ends it for good", async () => {
  const said: string[] = [];
  const home = closedFolder();
  const stack = await startStack({
    home,
    gateway: false,
    install: false,
    restart: true,
    migrationsFolder: migrations({
      "20260101000000_first.sql":
        "-- breaking: no\ncreate table public.kept (id int);\ninsert into public.kept values (7);\n",
    }),
    onEvent: (line) => said.push(line),
  });
  const pid = stack.pids().postgres!;
  process.kill(pid, "SIGKILL");
  await until(() => said.includes("The database runs again."), { what: "the database to be back" });
  expect(said[0]).toMatch(/^The database ended unexpectedly: exit code null; see .*postgres\.log/);
  const again = stack.pids().postgres!;
  expect(again).not.toBe(pid);
  const sql = postgres(stack.dbUrl, { max: 1 });
  expect(await sql`select id from public.kept`).toEqual([{ id: 7 }]);
  await sql.end();
  await stack.stop();
  expect(isAlive(again)).toBe(false);
  expect(said).toHaveLength(2);
  rmSync(dirname(home), { recursive: true, force: true });
});
