import { existsSync } from "node:fs";
import { join } from "node:path";
import { startStack } from "../../supabase/embedded/stack.ts";

/** One throw-away installation for the whole suite, with everything running; the tests find it in their environment. */
export default async function setup(): Promise<() => Promise<void>> {
  if (!existsSync(join(import.meta.dirname, "../../web/build/index.html"))) {
    throw new Error("The console is not built yet: run `npm run build:web` first.");
  }
  const stack = await startStack({
    services: { worker: true, sandbox: true, cron: true },
    env: { SANDBOX_SPEED: "2", LOG_LEVEL: "warn", OVERTURE_MAIL_FROM: "accounts@operators.example" },
  });
  process.env.E2E_URL = stack.url;
  process.env.E2E_CLAIM_URL = stack.claimUrl ?? "";
  process.env.E2E_DB_URL = stack.dbUrl;
  process.env.E2E_SANDBOX_URL = stack.env.OVERTURE_SANDBOX_URL;
  process.env.E2E_SECRETS = JSON.stringify(
    ["SUPABASE_SECRET_KEY", "SUPABASE_JWT_SECRET", "POSTGRES_PASSWORD", "OVERTURE_KEYS"].map((name) => stack.env[name]),
  );
  return () => stack.stop();
}
