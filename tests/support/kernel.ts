import { SignJWT } from "jose";
import postgres from "postgres";
import { afterAll, inject } from "vitest";
import { createApp } from "../../functions/api/app.ts";
import { modules } from "../../modules/boot.ts";
import type { AnyConsumer } from "../../modules/kernel/queues/consumer.ts";
import type { Actor, Ctx, Role } from "../../modules/kernel/context.ts";
import { drainOnce } from "../../modules/kernel/queues/drain.ts";
import { uuid7 } from "../../modules/kernel/database/ids.ts";
import { createKernel, type Host, type Kernel } from "../../modules/kernel/kernel.ts";
import type { ModuleDef } from "../../modules/kernel/module.ts";

/**
 * A kernel in the test's own process on the shared stack's database, with helpers that make tenants and call the API
 * in process. Every test makes its own tenant, so suites can share one database.
 */

export type Answer<T = any> = { status: number; headers: Headers; body: T };

export type TestTenant = {
  id: string;
  owner: { userId: string; email: string; token: string };
  /** Adds a member with a role and returns a caller for it. */
  member(role: Role): Promise<{ userId: string; email: string; token: string; api: Caller }>;
  /** Calls the API as the owner. */
  api: Caller;
  /** Runs in one transaction as a job of this tenant. */
  run<T>(fn: (ctx: Ctx) => Promise<T>, actor?: Actor): Promise<T>;
};

export type Caller = <T = any>(
  method: string,
  path: string,
  body?: unknown,
  headers?: Record<string, string>,
) => Promise<Answer<T>>;

export type TestKernel = {
  kernel: Kernel;
  env: Record<string, string>;
  /** As the database's owner: sees all tenants. For setting up and for looking, never for acting. */
  sql: postgres.Sql;
  tenant(name?: string): Promise<TestTenant>;
  /** Calls the API; `token` null is anonymous. */
  call: (token: string | null, tenantId?: string) => Caller;
  /** Signs an access token as Supabase Auth would. */
  sign(userId: string, email: string, expiresIn?: string): Promise<string>;
  /** Drains the named consumers (all by default) until nothing visible is left. Returns messages handled. */
  drain(...queues: string[]): Promise<number>;
};

/** `also` adds modules of the test's own, such as an operation that throws half-way; `host` takes the log or the name lookup. */
export function testKernel(
  extraEnv: Record<string, string> = {},
  also: readonly ModuleDef[] = [],
  host: Host = {},
): TestKernel {
  const connected = connectKernel({ ...inject("stackEnv"), ...extraEnv }, also, host);
  afterAll(connected.close);
  return connected;
}

/** The same on a stack of the test's own, which closes it. */
export function connectKernel(
  env: Record<string, string>,
  also: readonly ModuleDef[] = [],
  host: Host = {},
): TestKernel & { close(): Promise<void> } {
  const kernel = createKernel(env, [...modules, ...also], host);
  const app = createApp(kernel);
  const sql = postgres(env.SUPABASE_DB_URL!, { max: 3, onnotice: () => {}, types: { bigint: postgres.BigInt } });
  const sign = (userId: string, email: string, expiresIn = "1h") =>
    new SignJWT({ role: "authenticated", email })
      .setProtectedHeader({ alg: "HS256" })
      .setSubject(userId)
      .setAudience("authenticated")
      .setIssuedAt()
      .setExpirationTime(expiresIn)
      .sign(new TextEncoder().encode(env.SUPABASE_JWT_SECRET));

  const call =
    (token: string | null, tenantId?: string): Caller =>
    async (method, path, body, headers = {}) => {
      const binary = body instanceof Uint8Array || body instanceof ReadableStream || typeof body === "string";
      const response = await app.request(`/api/v1${path}`, {
        method,
        headers: {
          ...(token ? { authorization: `Bearer ${token}` } : {}),
          ...(tenantId ? { "x-tenant-id": tenantId } : {}),
          ...(body !== undefined && !binary ? { "content-type": "application/json" } : {}),
          ...headers,
        },
        ...(body === undefined ? {} : { body: binary ? (body as BodyInit) : JSON.stringify(body), duplex: "half" }),
      } as RequestInit);
      const text = await response.text();
      const json = /json/.test(response.headers.get("content-type") ?? "");
      return { status: response.status, headers: response.headers, body: json && text ? JSON.parse(text) : text };
    };

  return {
    kernel,
    env,
    sql,
    sign,
    call,
    async close() {
      await sql.end({ timeout: 5 });
      await kernel.close();
    },
    async tenant(name = `Team ${crypto.randomUUID().slice(0, 8)}`) {
      const userId = uuid7();
      const email = `owner-${userId}@example.com`;
      const [row] = await sql<{ id: string }[]>`select (private.make_tenant(${name}, ${userId}, ${email}, 'Owner')).id`;
      const id = row!.id;
      const token = await sign(userId, email);
      return {
        id,
        owner: { userId, email, token },
        api: call(token, id),
        async member(role) {
          const memberId = uuid7();
          const memberEmail = `${role}-${memberId}@example.com`;
          await sql`insert into public.members (tenant_id, user_id, role, email, name) values (${id}, ${memberId}, ${role}, ${memberEmail}, ${role})`;
          const memberToken = await sign(memberId, memberEmail);
          return { userId: memberId, email: memberEmail, token: memberToken, api: call(memberToken, id) };
        },
        run: (fn, actor = { kind: "job", name: "test" }) => kernel.run({ actor, tenantId: id, action: "test" }, fn),
      };
    },
    async drain(...queues) {
      const consumers: AnyConsumer[] = kernel.registry.consumers.filter(
        (c) => queues.length === 0 || queues.includes(c.queue),
      );
      let total = 0;
      for (;;) {
        let round = 0;
        for (const consumer of consumers) round += await drainOnce(kernel, consumer);
        if (round === 0) return total;
        total += round;
      }
    },
  };
}
