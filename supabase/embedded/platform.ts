import { App } from "@supabase/lite";
import { readdirSync, readFileSync } from "node:fs";
import postgres, { type Sql } from "postgres";
import { liteConnection } from "./lite.ts";
import { quoteIdentifier, quoteLiteral } from "./sql.ts";

export interface PlatformOptions {
  /** Connection of a superuser that is not called "postgres". */
  url: string;
  /** Passwords of the roles that log in, by role name. */
  passwords?: Record<string, string>;
}

/** Makes a bare Postgres (15 to 17) what a Supabase image is before any migration. Idempotent. */
export async function applyPlatform(options: PlatformOptions): Promise<void> {
  const folder = new URL("./platform/", import.meta.url);
  const sql = postgres(options.url, { max: 1, onnotice: () => {}, connection: { client_min_messages: "error" } });
  try {
    const without = (await hasRealCron(sql)) ? "50-cron.sql" : "51-real-cron.sql";
    const parts = readdirSync(folder).filter((file) => /^\d+-.+\.sql$/.test(file) && file !== without);
    for (const part of parts.sort()) {
      if (part === "20-auth.sql") await createAuthTables(options.url);
      const text = readFileSync(new URL(part, folder), "utf8");
      await sql
        .begin((tx) => tx.unsafe(text).simple())
        .catch((error: Error) => {
          throw new Error(`platform/${part}: ${error.message}`, { cause: error });
        });
    }
    for (const [role, password] of Object.entries(options.passwords ?? {})) {
      await sql.unsafe(`alter role ${quoteIdentifier(role)} password ${quoteLiteral(password)}`);
    }
  } finally {
    await sql.end({ timeout: 5 });
  }
}

/** Whether the server offers pg_cron itself rather than our stand-in. */
async function hasRealCron(sql: Sql): Promise<boolean> {
  const rows = await sql`select from pg_available_extensions where name = 'pg_cron' and comment not like 'stand-in%'`;
  return rows.length > 0;
}

/** The auth server brings its own tables (auth.users, sessions, refresh tokens, identities). */
async function createAuthTables(url: string): Promise<void> {
  const connection = liteConnection(url, 1);
  try {
    const app = new App({
      connection: connection as never,
      auth: { enabled: true, jwt_secret: "x".repeat(32) },
    } as never);
    await app.ensureSystemSchema();
  } finally {
    await connection.close();
  }
}
