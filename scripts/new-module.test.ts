import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ROOT } from "../supabase/embedded/home.ts";
import { newModule, withModule } from "./new-module.ts";

/** A copy of the sources, so that the module that is written lives nowhere else. */
let copy: string;
beforeAll(() => {
  copy = mkdtempSync(join(tmpdir(), "overture-new-module-"));
  for (const folder of ["modules", "migrations", "functions", "scripts", "supabase/embedded"])
    cpSync(join(ROOT, folder), join(copy, folder), { recursive: true });
  cpSync(join(ROOT, "tests", "support"), join(copy, "tests", "support"), { recursive: true });
  for (const file of ["tsconfig.json", "package.json", "deno.json"]) cpSync(join(ROOT, file), join(copy, file));
  symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"));
});
afterAll(() => rmSync(copy, { recursive: true, force: true }));

const bin = (name: string) => join(ROOT, "node_modules", ".bin", name);
const run = (args: string[]) => {
  const ran = spawnSync(bin("node"), args, {
    cwd: copy,
    encoding: "utf8",
    env: { ...process.env, NEW_MODULE_ROOT: copy, NO_COLOR: "1", VITEST: "" },
  });
  return { code: ran.status, out: `${ran.stdout}${ran.stderr}` };
};

test("without --write it prints the files and the line, and writes nothing", () => {
  const { code, out } = run(["scripts/new-module.ts", "price_lists"]);
  expect(code, out).toBe(0);
  for (const part of [
    "modules/price_lists/module.ts",
    "modules/price_lists/price-lists.test.ts",
    "_price_lists.sql",
    'import { priceLists } from "./price_lists/module.ts";',
    "select kernel.protect('public.price_lists')",
  ]) {
    expect(out).toContain(part);
  }
  expect(existsSync(join(copy, "modules", "price_lists"))).toBe(false);
});

describe("what --write writes", () => {
  beforeAll(() => {
    const { code, out } = run(["scripts/new-module.ts", "price_lists", "--write"]);
    expect(code, out).toBe(0);
  });

  test("type-checks, with its line in modules/boot.ts", () => {
    expect(readFileSync(join(copy, "modules", "boot.ts"), "utf8")).toMatch(/priceLists\]/);
    writeFileSync(
      join(copy, "tsconfig.json"),
      readFileSync(join(copy, "tsconfig.json"), "utf8").replace(
        /"include": \[[^\]]*\]/,
        '"include": ["modules/price_lists", "tests/support/global.ts"]',
      ),
    );
    const { code, out } = run([bin("tsc"), "-p", "."]);
    expect(out).toBe("");
    expect(code).toBe(0);
  }, 180_000);

  test("its migration applies last and its own tests pass on a real database", () => {
    expect(readdirSync(join(copy, "migrations")).sort().at(-1)).toMatch(/_price_lists\.sql$/);
    writeFileSync(
      join(copy, "setup.ts"),
      `import { startStack } from "./supabase/embedded/stack.ts";
export default async ({ provide }) => {
  const stack = await startStack({ gateway: false });
  provide("stackEnv", { ...stack.env, LOG_LEVEL: "silent" });
  return () => stack.stop();
};`,
    );
    writeFileSync(
      join(copy, "vitest.config.ts"),
      `export default { test: { include: ["modules/price_lists/*.test.ts"], globalSetup: ["setup.ts"], testTimeout: 30000 } };`,
    );
    const { code, out } = run([bin("vitest"), "run", "--root", copy]);
    expect(out).toMatch(/Tests\s+3 passed \(3\)/);
    expect(code).toBe(0);
  }, 180_000);

  test("a second run for the same name is refused and leaves everything as it is", () => {
    const before = readFileSync(join(copy, "modules", "boot.ts"), "utf8");
    const { code, out } = run(["scripts/new-module.ts", "price_lists", "--write"]);
    expect(code).toBe(1);
    expect(out).toMatch(/modules\/price_lists exists already/);
    expect(readFileSync(join(copy, "modules", "boot.ts"), "utf8")).toBe(before);
  });
});

test.each([
  ["Notes", /lower case/],
  ["../notes", /lower case/],
  ["1notes", /lower case/],
  ["kernel", /taken/],
  ["contacts", /exists already/],
])("the name %s is refused with what to do", (name, message) => {
  expect(() => newModule(name, ROOT)).toThrow(message);
});

test("the migration's name sorts after every other, also when the clock is behind", () => {
  const made = newModule("notes", ROOT, new Date("2020-01-01T00:00:00Z"));
  const [migration] = [...made.files.keys()].filter((p) => p.startsWith("migrations/"));
  const newest = readdirSync(join(ROOT, "migrations")).sort().at(-1)!;
  expect(migration! > `migrations/${newest}`).toBe(true);
});

test("a composition root it does not understand is left to a person", () => {
  expect(() => withModule("export const modules = load();", newModule("notes", ROOT))).toThrow(/by hand/);
});
