import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { readPassphrase } from "../supabase/embedded/backup-file.ts";
import { StartError } from "../supabase/embedded/home.ts";
import { restoreHome } from "../supabase/embedded/restore.ts";
import { loadSettings } from "../supabase/embedded/settings.ts";

/** `npm run restore -- FILE [--passphrase-file FILE]`: makes OVERTURE_HOME out of a backup. Never touches a home that holds a database. */

const USAGE =
  "Usage: npm run restore -- FILE [--passphrase-file FILE]   (into OVERTURE_HOME, which must not have a database)";

try {
  const { file, passphraseFile } = parse();
  const { home } = loadSettings();
  const named = passphraseFile ?? process.env.OVERTURE_BACKUP_PASSPHRASE_FILE;
  const passphrase = named ? readPassphrase(named) : undefined;
  const manifest = await restoreHome(resolve(file), home, (line) => console.log(`  ${line} …`), passphrase);
  console.log(
    `  ${home} is restored to its state of ${manifest.created_at}. Start it with npm start; newer migrations are applied then.`,
  );
} catch (error) {
  console.error(`\n  ${error instanceof StartError ? error.message : ((error as Error).stack ?? error)}\n`);
  process.exit(1);
}

function parse(): { file: string; passphraseFile: string | undefined } {
  try {
    const { positionals, values } = parseArgs({
      allowPositionals: true,
      options: { "passphrase-file": { type: "string" } },
    });
    if (positionals.length !== 1) throw new Error("Give one file.");
    return { file: positionals[0]!, passphraseFile: values["passphrase-file"] };
  } catch (error) {
    throw new StartError(`${(error as Error).message} ${USAGE}`);
  }
}
