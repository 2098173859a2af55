import { rmSync } from "node:fs";
import { join } from "node:path";
import postgres from "postgres";
import { backup } from "../../supabase/embedded/backup.ts";
import { startStack } from "../../supabase/embedded/stack.ts";
import { fillForBackup } from "./fill.ts";

/**
 * Writes tests/upgrade/fixtures/first.overture from the migrations as they are. Run once per released set of migrations
 * (`node tests/upgrade/make-fixture.ts NAME`), and again only while that set is not released yet.
 */

const file = join(import.meta.dirname, "fixtures", `${process.argv[2] ?? "first"}.overture`);
const stack = await startStack({ gateway: false, services: { cron: false } });
try {
  const sql = postgres(stack.adminDbUrl, { max: 1, onnotice: () => {} });
  await fillForBackup(sql);
  await sql.end();
  rmSync(file, { force: true });
  console.log(await backup({ adminUrl: stack.adminDbUrl, file }));
} finally {
  await stack.stop();
}
