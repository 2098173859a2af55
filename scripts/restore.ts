import { resolve } from "node:path";
import { StartError } from "../supabase/embedded/home.ts";
import { restoreHome } from "../supabase/embedded/restore.ts";
import { loadSettings } from "../supabase/embedded/settings.ts";

/** `npm run restore -- FILE`: makes OVERTURE_HOME out of a backup. Never touches a home that holds a database. */

try {
  const [file, ...surplus] = process.argv.slice(2);
  if (!file || file.startsWith("--") || surplus.length > 0)
    throw new StartError("Usage: npm run restore -- FILE   (into OVERTURE_HOME, which must not hold a database)");
  const { home } = loadSettings();
  const manifest = await restoreHome(resolve(file), home, (line) => console.log(`  ${line} …`));
  console.log(
    `  ${home} is as it was on ${manifest.created_at}. Start it with npm start; newer migrations are applied then.`,
  );
} catch (error) {
  console.error(`\n  ${error instanceof StartError ? error.message : ((error as Error).stack ?? error)}\n`);
  process.exit(1);
}
