import { App } from "@supabase/lite";
import { createPostgresConnection } from "@supabase/lite/postgres";

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
  close(): Promise<void>;
}

/** `/rest/v1` (PostgREST's API on schema public) and `/auth/v1` (GoTrue's API) in this process. */
export function createLite(options: LiteOptions): Lite {
  const connection = createPostgresConnection({ url: options.url, postgresOptions: { max: 10, onnotice: () => {} } });
  const app = new App({
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
  return {
    fetch: async (request, peerAddress) => await app.fetch(request, { peerAddress } as never),
    close: () => connection.close(),
  };
}
