import { App } from "@supabase/lite";
import { createPostgresConnection } from "@supabase/lite/postgres";
import { LitePool } from "./lite-pool.ts";

export interface LiteOptions {
  /** Connection of a role that owns schema auth and may change to the API roles. */
  url: string;
  jwtSecret: string;
  publishableKey: string;
  secretKey: string;
  /** Where links in mails lead. */
  siteUrl: string;
}

export interface Lite {
  fetch(request: Request, peerAddress?: string): Promise<Response>;
  /** Resolves when the part's connections to the database answer; rejects or stays open when they do not. */
  ping(part: "rest" | "auth"): Promise<void>;
  close(): Promise<void>;
}

/**
 * A connection of the REST and auth server that leaves privileges alone. On its first request the package would grant
 * everything on every table of every schema with row level security to anon, authenticated and service_role; here
 * migrations decide what is exposed (auto_expose_new_tables = false). It skips that once it believes to have done it.
 */
export function liteConnection(url: string, max: number): { close(): Promise<void>; ping(): Promise<void> } {
  const connection = createPostgresConnection({ url, postgresOptions: { max, onnotice: () => {} } });
  const internals = connection as unknown as { rlsState: string };
  if (internals.rlsState !== "unknown")
    throw new Error("@supabase/lite changed: check how it grants privileges (rlsState).");
  internals.rlsState = "active";
  const { driver } = connection;
  const pool = new LitePool(driver.options, max);
  Object.assign(driver, { reserve: () => pool.reserve() });
  return Object.assign(connection, {
    ping: () => pool.ping(),
    close: async () => {
      await pool.close();
      await driver.end({ timeout: 5 });
    },
  });
}

/** Whatever keeps REST busy, people can sign in: each has its own connections. */
const CONNECTIONS = { rest: 10, auth: 5 };

/** `/rest/v1` (PostgREST's API on schema public) and `/auth/v1` (GoTrue's API) in this process. */
export function createLite(options: LiteOptions): Lite {
  const connections = {
    rest: liteConnection(options.url, CONNECTIONS.rest),
    auth: liteConnection(options.url, CONNECTIONS.auth),
  };
  const rest = createApp(options, connections.rest);
  const auth = createApp(options, connections.auth);
  return {
    fetch: async (request, peerAddress) => {
      const app = new URL(request.url).pathname.startsWith("/auth/v1") ? auth : rest;
      return await app.fetch(request, { peerAddress } as never);
    },
    ping: (part) => connections[part].ping(),
    close: async () => {
      await Promise.all([connections.rest.close(), connections.auth.close()]);
    },
  };
}

/** The package serves both parts with one connection; which of them answers is decided by who is asked. */
function createApp(options: LiteOptions, connection: object): App {
  return new App({
    connection: connection as never,
    api: { schemas: ["public"], extra_search_path: ["public", "extensions"], max_rows: 1000 },
    auth: {
      enabled: true,
      enable_signup: true,
      jwt_secret: options.jwtSecret,
      publishable_key: options.publishableKey,
      secret_key: options.secretKey,
      site_url: options.siteUrl,
      minimum_password_length: 10,
      enable_refresh_token_rotation: true,
      email: { enable_signup: true, enable_confirmations: false },
    },
    // Keyless requests must never become service_role, and unknown paths are ours to answer.
    options: { server: { admin: false, disableStudio: true, disableFallback: true } },
  } as never);
}
