import { install } from "../modules/boot.ts";
import { migrate } from "../supabase/embedded/migrate.ts";
import { loadSettings } from "../supabase/embedded/settings.ts";

/**
 * For a Supabase of one's own: applies pending migrations, registers schedules and settings, prints the link for the first
 * account. Reads the environment and .env. Safe to repeat; `--yes` applies breaking migrations.
 */

loadSettings();
const url = process.env.SUPABASE_DB_URL ?? process.env.OVERTURE_DB_URL;
try {
  if (!url)
    throw new Error(
      "SUPABASE_DB_URL is not set. Set it to the connection URL of the role postgres, which `supabase status` prints.",
    );
  const applied = await migrate({
    url,
    yes: process.argv.includes("--yes"),
    onApply: ({ version, name }) => console.log(`migration ${version} ${name}`),
  });
  if (applied.length === 0) console.log("The database is up to date.");
  const { claimUrl } = await install({ ...process.env, SUPABASE_DB_URL: url });
  console.log("Schedules and settings are registered.");
  console.log(
    claimUrl
      ? `Create the first account with this link, which works once: ${claimUrl}`
      : "The installation has an owner.",
  );
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exit(1);
}
