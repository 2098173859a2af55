import { join } from "node:path";
import { expect, test } from "vitest";
import { modules } from "../../modules/boot.ts";
import { kernelSchedules } from "../../modules/kernel/database/install.ts";
import { readHomes } from "../../scripts/sql-homes.ts";

// A function that nobody runs looks the same as one that is run: only its comment says that it should be.

const commands = [...kernelSchedules, ...modules.flatMap((m) => m.schedules ?? [])].map((s) => s.sql);
const scheduled = readHomes(join(import.meta.dirname, "../.."))
  .filter((o) => o.kind === "function" && /\bRun by (a schedule|schedules)\b/.test(o.text.replace(/\n-- /g, " ")))
  .map((o) => /^function ([\w.]+)\(/.exec(o.id)![1]!);

test("comments that promise a schedule are found", () => {
  expect(scheduled).toEqual(expect.arrayContaining(["kernel.tick", "kernel.prune_decisions", "private.expire_leases"]));
});

test.each(scheduled)("%s says that a schedule runs it, and one does", (name) => {
  expect(commands.filter((sql) => sql.includes(`${name}(`))).not.toEqual([]);
});
