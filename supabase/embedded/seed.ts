import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import postgres from "postgres";
import { ROOT, StartError } from "./home.ts";

/** Runs `seed/*.sql` as the role `postgres`, each in one transaction. They are written to be run at every start. */
export async function applySeeds(url: string, folder = join(ROOT, "seed")): Promise<void> {
  const files = existsSync(folder) ? readdirSync(folder).filter((file) => file.endsWith(".sql")) : [];
  if (files.length === 0) return;
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    for (const file of files.sort()) {
      await sql
        .begin((tx) => tx.unsafe(readFileSync(join(folder, file), "utf8")).simple())
        .catch((error: Error) => {
          throw new StartError(`seed/${file}: ${error.message}`, { cause: error });
        });
    }
  } finally {
    await sql.end({ timeout: 5 });
  }
}
