import { SignJWT } from "jose";
import postgres from "postgres";
import { createApp } from "../functions/api/app.ts";
import { modules } from "../modules/boot.ts";
import { uuid7 } from "../modules/kernel/database/ids.ts";
import { createKernel, type Kernel } from "../modules/kernel/kernel.ts";
import type { ModuleDef } from "../modules/kernel/module.ts";
import { startStack, type Stack, type StackOptions } from "../supabase/embedded/stack.ts";

/** A throw-away stack with a kernel in this process, and teams on it. */

export type Team = { id: string; userId: string; token: string };

export type World = {
  stack: Stack;
  kernel: Kernel;
  /** As the superuser: for filling tables and for the bare side of a comparison. */
  admin: postgres.Sql;
  /** Makes a team. In a kept home `reuse` takes the one of that name from before. */
  team(name: string, options?: { reuse?: boolean }): Promise<Team>;
  /** Calls the API in this process; throws on anything but 2xx. */
  call<T = any>(team: Team, method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<T>;
  close(): Promise<void>;
};

const RATES = { OVERTURE_API_RATE: "1000000", OVERTURE_API_BURST: "1000000", LOG_LEVEL: "warn" };

export async function openWorld(options: StackOptions = {}, also: readonly ModuleDef[] = []): Promise<World> {
  const { services, env, ...rest } = options;
  const stack = await startStack({
    gateway: false,
    ...rest,
    services: { functions: true, cron: false, ...services },
    env: { ...RATES, ...env },
  });
  const kernel = createKernel(stack.env, [...modules, ...also]);
  const app = createApp(kernel);
  const admin = postgres(stack.adminDbUrl, { max: 4, onnotice: () => {} });

  return {
    stack,
    kernel,
    admin,
    async team(name, { reuse = false } = {}) {
      const [known] = reuse
        ? await admin<{ id: string; user_id: string; email: string }[]>`
            select t.id, m.user_id, m.email from public.tenants t join public.members m on m.tenant_id = t.id where t.name = ${name} limit 1`
        : [];
      const userId = known?.user_id ?? uuid7();
      const email = known?.email ?? `owner-${userId}@example.com`;
      const [row] = known
        ? [known]
        : await admin<{ id: string }[]>`select (private.make_tenant(${name}, ${userId}, ${email}, 'Owner')).id`;
      const token = await new SignJWT({ role: "authenticated", email })
        .setProtectedHeader({ alg: "HS256" })
        .setSubject(userId)
        .setAudience("authenticated")
        .setIssuedAt()
        .setExpirationTime("6h")
        .sign(new TextEncoder().encode(stack.env.SUPABASE_JWT_SECRET));
      return { id: row!.id, userId, token };
    },
    async call(team, method, path, body, headers = {}) {
      const json = body !== undefined && typeof body !== "string";
      const response = await app.request(`/api/v1${path}`, {
        method,
        headers: {
          authorization: `Bearer ${team.token}`,
          "x-tenant-id": team.id,
          ...(json ? { "content-type": "application/json" } : {}),
          ...headers,
        },
        ...(body === undefined ? {} : { body: json ? JSON.stringify(body) : body }),
      } as RequestInit);
      const text = await response.text();
      if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text.slice(0, 300)}`);
      return (/json/.test(response.headers.get("content-type") ?? "") ? JSON.parse(text) : text) as never;
    },
    async close() {
      await admin.end({ timeout: 5 });
      await kernel.close();
      await stack.stop();
    },
  };
}

/** Opens a world, runs `fn`, closes it whatever happens. */
export async function inWorld<T>(
  options: StackOptions,
  fn: (world: World) => Promise<T>,
  also: readonly ModuleDef[] = [],
): Promise<T> {
  const world = await openWorld(options, also);
  try {
    return await fn(world);
  } finally {
    await world.close();
  }
}
