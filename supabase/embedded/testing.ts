import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startStack, type Stack, type StackOptions } from "./stack.ts";

/** A stack of this folder's own tests: the platform with one migration of the test's, without the product on top. */
export async function fixtureStack(migration: string, options: StackOptions = {}): Promise<Stack> {
  const folder = migrationsFolder({ "20260101000000_fixture.sql": `-- breaking: no\n${migration}` });
  try {
    const { services, ...rest } = options;
    return await startStack({
      migrationsFolder: folder,
      install: false,
      services: { functions: false, ...services },
      ...rest,
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A temporary folder with these files, by name. */
export function migrationsFolder(files: Record<string, string>): string {
  const folder = mkdtempSync(join(tmpdir(), "overture-migrations-"));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

/** A throw-away folder that only its owner may enter, as a clone under /root is. */
export function closedFolder(): string {
  const folder = join(mkdtempSync(join(tmpdir(), "overture-closed-")), "home");
  mkdirSync(folder, { mode: 0o700 });
  return folder;
}
