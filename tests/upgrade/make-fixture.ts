import { rmSync } from "node:fs";
import { join } from "node:path";
import postgres from "postgres";
import { backup } from "../../supabase/embedded/backup.ts";
import { startStack } from "../../supabase/embedded/stack.ts";
import { fillForBackup } from "./fill.ts";

/**
 * Writes a backup of a home with data of every kind, made by the migrations as they are. Once per release, after
 * `npm run migration -- --release`: `node tests/upgrade/make-fixture.ts 0.2.0` writes tests/upgrade/fixtures/0.2.0.overture.
 */
export async function makeFixture(file: string): Promise<string> {
  const stack = await startStack({ gateway: false, services: { cron: false } });
  try {
    const sql = postgres(stack.adminDbUrl, { max: 1, onnotice: () => {} });
    await fillForBackup(sql);
    await sql.end();
    rmSync(file, { force: true });
    await backup({ adminUrl: stack.adminDbUrl, file });
    return file;
  } finally {
    await stack.stop();
  }
}

if (import.meta.main) {
  const version = process.argv[2];
  if (!/^\d+\.\d+\.\d+$/.test(version ?? "")) throw new Error("name the released version, such as 0.2.0");
  console.log(await makeFixture(join(import.meta.dirname, "fixtures", `${version}.overture`)));
}
