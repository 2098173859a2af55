import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  EMPTY_BLOCK,
  migrationFaults,
  nextVersion,
  refreshed,
  RELEASED_FILE,
  releaseLines,
} from "./migration-blocks.ts";

/**
 * Brings what changed in modules/*\/sql into migrations (docs/concepts/sql.md).
 *
 *   npm run migration -- <subject>    the next migration: a place for table changes, then what changed in the homes
 *   npm run migration -- --refresh    the generated blocks of unreleased migrations, written anew
 *   npm run migration -- --release    every migration of today is released: none of them changes any more
 */

const ROOT = join(import.meta.dirname, "..");

const template = (subject: string) => `-- ${subject}: one line on what changes and why.
-- owner: modules/…   breaking: no   locks: none

-- Changes of tables, columns, indexes, types, queues and data stand here, before the functions that need them.

${EMPTY_BLOCK}`;

/** Writes every unreleased migration; one that holds nothing of what changed stays as it was. */
function refresh(): void {
  for (const [name, text] of refreshed(ROOT)) writeFileSync(join(ROOT, "migrations", name), text);
}

function main(args: readonly string[]): number {
  const [word] = args;
  if (args.length !== 1 || !word || (word.startsWith("--") && !["--refresh", "--release"].includes(word))) {
    console.error("npm run migration -- <subject> | --refresh | --release");
    return 1;
  }
  if (word === "--release") {
    const faults = migrationFaults(ROOT);
    if (faults.length > 0) {
      console.error(faults.join("\n"));
      return 1;
    }
    writeFileSync(join(ROOT, RELEASED_FILE), releaseLines(ROOT));
    console.log(`${RELEASED_FILE} names every migration.`);
    return 0;
  }
  if (word !== "--refresh") {
    if (!/^[a-z][a-z0-9_]*$/.test(word)) {
      console.error(
        `"${word}" is not a valid subject: use lower case letters, digits and underscores, such as contact_phone`,
      );
      return 1;
    }
    const path = `migrations/${nextVersion(ROOT)}_${word}.sql`;
    writeFileSync(join(ROOT, path), template(word.replaceAll("_", " ")));
    console.log(path);
  }
  refresh();
  return 0;
}

if (import.meta.main) process.exit(main(process.argv.slice(2)));
