import { afterAll, beforeAll, expect } from "vitest";
import type { z } from "zod";
import { createHttpClient } from "../../kernel/http/client.ts";
import type { HttpClient } from "../../kernel/http/client.ts";
import type { Connection, ProviderDef } from "../../kernel/provider.ts";
import type { Emulation } from "../../sandbox/emulation.ts";
import { createSandbox } from "../../sandbox/server.ts";
import type { RunningSandbox } from "../../sandbox/server.ts";
import type { Message } from "../../sandbox/store.ts";

/** Where every part of the suite plays: the real adapter against its emulation, over the network. */
export type Stage<C extends z.ZodObject, Content> = {
  provider: ProviderDef<C, Content>;
  emulation: Emulation;
  /** Ready inside tests only. */
  http(): HttpClient;
  /** A connection of an account of its own, and how the sandbox names the account. */
  fresh(): { connection: Connection<z.infer<C>>; key: string };
  /** The same with other credentials. */
  open(credentials: z.infer<C>): Connection<z.infer<C>>;
  /** A connection to a port where nobody listens. */
  gone(): Connection<z.infer<C>>;
  control<T>(path: string, body?: unknown): Promise<T>;
  accepted(key: string): Promise<Message[]>;
};

const SHORT_MS = 1500;

export function setStage<C extends z.ZodObject, Content>(
  provider: ProviderDef<C, Content>,
  emulation: Emulation,
  settings: Record<string, unknown> = {},
): Stage<C, Content> {
  let sandbox: RunningSandbox;
  let http: HttpClient;

  beforeAll(async () => {
    sandbox = await createSandbox({ emulations: [emulation], speed: 50 });
    const real = createHttpClient({
      allowPrivateHosts: [sandbox.port, ...Object.values(sandbox.ports)].map((port) => `127.0.0.1:${port}`),
      userAgent: "conformance/1.0",
    });
    // The same client with a shorter patience, so that a provider that never answers does not hold the tests.
    const soon = <R extends { timeoutMs?: number }>(r: R): R => ({ ...r, timeoutMs: SHORT_MS });
    const { fetch } = real.with({ headersMs: SHORT_MS, idleMs: SHORT_MS, totalMs: SHORT_MS });
    http = { ...real, fetch, request: (r) => real.request(soon(r)), json: (r) => real.json(soon(r)) };
  });
  afterAll(async () => {
    await sandbox.close();
    await provider.close?.();
  });

  const open = (credentials: z.infer<C>, own: Record<string, unknown> = {}): Connection<z.infer<C>> => {
    const id = crypto.randomUUID();
    return {
      id,
      credentials,
      settings: { ...settings, ...own },
      base_url: sandbox.baseUrl(emulation.id),
      webhook_url: `http://127.0.0.1:9/webhooks/${provider.id}/${id}`,
    };
  };
  const fresh = () => {
    const { credentials, settings: own, key } = emulation.example();
    return { connection: open(credentials as z.infer<C>, own), key };
  };
  const control = async <T>(path: string, body?: unknown): Promise<T> => {
    const init =
      body === undefined
        ? {}
        : { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } };
    const response = await fetch(`${sandbox.url}/_sandbox${path}`, init);
    expect(response.ok, `${path}: ${response.status}`).toBe(true);
    return (await response.json()) as T;
  };

  return {
    provider,
    emulation,
    http: () => http,
    open,
    fresh,
    gone() {
      const { connection } = fresh();
      return { ...connection, base_url: connection.base_url!.replace(/127\.0\.0\.1:\d+/, "127.0.0.1:1") };
    },
    control,
    accepted: async (key) =>
      (await control<{ messages: Message[] }>(`/messages?account=${encodeURIComponent(key)}`)).messages,
  };
}
