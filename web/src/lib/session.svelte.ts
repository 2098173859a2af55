import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import { api, API_BASE, problemFrom, useCredentials } from "./api.ts";
import type { AuthOptions, Me, Role, SessionTokens } from "./api/types.ts";
import { queryClient } from "./data/client.ts";
import { toApiError } from "./errors.ts";

const TENANT_KEY = "console-tenant";
const loopback = new Set(["localhost", "127.0.0.1", "[::1]"]);

/** The endpoint for auth and realtime: our own origin when both are this machine, so that no CORS or host mix-up arises. */
function supabaseUrl(configured: string): string {
  if (!configured) return location.origin;
  const url = new URL(configured, location.origin);
  return loopback.has(url.hostname) && loopback.has(location.hostname) ? location.origin : url.origin;
}

/** Refreshes through our API: it notices a refresh token that was copied, which GoTrue does not while it is one step behind. */
const throughApi: typeof fetch = (input, init) => {
  const url = new URL(input instanceof Request ? input.url : input, location.origin);
  const refreshing = url.pathname.endsWith("/auth/v1/token") && url.searchParams.get("grant_type") === "refresh_token";
  if (!refreshing) return fetch(input, init);
  return fetch(`${API_BASE}/auth/refresh`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: init?.body ?? null,
  });
};

/** The signed-in person, the tenant they look at, and the installation's public options. */
class Session {
  options = $state.raw<AuthOptions | null>(null);
  me = $state.raw<Me | null>(null);
  tenantId = $state<string | null>(null);
  signedIn = $state(false);
  #client: SupabaseClient | null = null;

  get supabase(): SupabaseClient {
    if (!this.#client) throw new Error("start() has not run yet");
    return this.#client;
  }

  get tenant() {
    return this.me?.tenants.find((t) => t.id === this.tenantId) ?? null;
  }
  get role(): Role | null {
    return this.tenant?.role ?? null;
  }
  /** May this person do that here? The API decides; the console only leaves out what it would refuse. */
  can(permission: string): boolean {
    return this.me?.permissions.includes(permission) ?? false;
  }

  /** Loads the public options and any stored session. Safe to call again after a failure. */
  async start(): Promise<void> {
    let response: Response;
    try {
      response = await fetch(`${API_BASE}/auth/options`);
    } catch (thrown) {
      throw toApiError(thrown);
    }
    if (!response.ok) throw problemFrom(response, await response.json().catch(() => null));
    this.options = (await response.json()) as AuthOptions;
    this.#client ??= createClient(supabaseUrl(this.options.supabase_url), this.options.publishable_key, {
      global: { fetch: throughApi },
      auth: { persistSession: true, autoRefreshToken: true, detectSessionInUrl: false, storageKey: "console-session" },
    });
    useCredentials({
      token: async () => (await this.supabase.auth.getSession()).data.session?.access_token ?? null,
      tenantId: () => this.tenantId,
      refused: () => {
        // The role may have changed under us: what it no longer allows must vanish.
        if (this.signedIn) void this.loadMe().catch(() => undefined);
      },
      renew: async () => {
        const { data } = await this.supabase.auth.refreshSession();
        if (!data.session) await this.#forget();
        return data.session !== null;
      },
    });
    this.supabase.auth.onAuthStateChange((event) => {
      if (event === "SIGNED_OUT") this.#clear();
    });
    const { data } = await this.supabase.auth.getSession();
    if (data.session) {
      this.signedIn = true;
      await this.loadMe();
    }
  }

  /** Reads who we are; falls back to the first tenant when the remembered one is gone. */
  async loadMe(): Promise<void> {
    this.tenantId = localStorage.getItem(TENANT_KEY);
    try {
      this.me = await api.get("/auth/me");
    } catch (thrown) {
      const error = toApiError(thrown);
      if (error.status === 401) return this.#forget();
      if (this.tenantId === null || (error.status !== 403 && error.status !== 404)) throw error;
      this.tenantId = null;
      localStorage.removeItem(TENANT_KEY);
      this.me = await api.get("/auth/me");
    }
    const known = this.me.tenants.some((t) => t.id === this.tenantId);
    if (!known) this.tenantId = this.me.tenant_id ?? this.me.tenants[0]?.id ?? null;
    if (this.tenantId) localStorage.setItem(TENANT_KEY, this.tenantId);
  }

  /** Takes over the tokens of a login, claim, registration or invitation. */
  async adopt(tokens: SessionTokens): Promise<void> {
    const { error } = await this.supabase.auth.setSession({
      access_token: tokens.access_token,
      refresh_token: tokens.refresh_token,
    });
    if (error) throw toApiError(error);
    if (tokens.tenant) localStorage.setItem(TENANT_KEY, tokens.tenant.id);
    this.signedIn = true;
    await this.loadMe();
  }

  /** Switching reloads the page: every open list, cache and channel belongs to the old tenant. */
  switchTenant(id: string): void {
    localStorage.setItem(TENANT_KEY, id);
    location.assign("/");
  }

  async signOut(): Promise<void> {
    await this.#forget();
  }

  /** Is the module on? Pages of a switched-off module vanish. */
  has(module: string): boolean {
    return this.options?.modules.includes(module) ?? false;
  }

  async #forget(): Promise<void> {
    await this.supabase.auth.signOut({ scope: "local" }).catch(() => undefined);
    this.#clear();
  }
  #clear(): void {
    this.signedIn = false;
    this.me = null;
    queryClient.clear();
  }
}

export const session = new Session();
