import { expect, test } from "vitest";
import { cycleFaults } from "./cycles.ts";

const faults = (files: Record<string, string>) => cycleFaults(new Map(Object.entries(files)));

test("files that import each other in a circle are a fault, once, with the way around", () => {
  expect(
    faults({
      "modules/a.ts": 'import { b } from "./room/b.ts";',
      "modules/room/b.ts": 'export * from "./c.ts";',
      "modules/room/c.ts": 'const a = await import("../a.ts");',
      "modules/d.ts": 'import "./a.ts";',
    }),
  ).toEqual([
    "modules/a.ts: imports itself in a circle: modules/a.ts → modules/room/b.ts → modules/room/c.ts → modules/a.ts",
  ]);
});

test("an import of types counts, and a file that imports itself; a tree and other packages do not", () => {
  expect(
    faults({ "a.ts": 'import type { B } from "./b.ts";', "b.ts": 'import type { A } from "./a.ts";' }),
  ).toHaveLength(1);
  expect(faults({ "a.ts": 'import { a } from "./a.ts";' })).toHaveLength(1);
  expect(faults({ "a.ts": 'import "./b.ts"; import "zod";', "b.ts": 'import "./c.ts";', "c.ts": "" })).toEqual([]);
});
