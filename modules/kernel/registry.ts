import { KERNEL_KEYS } from "./config.ts";
import type { AnyConsumer } from "./queues/consumer.ts";
import type { AnyFact, Hearing } from "./queues/fact.ts";
import { type Offered, type Role, roleRank } from "./context.ts";
import type { ModuleDef } from "./module.ts";
import { type AnyOperation, pathParams } from "./operations/operation.ts";
import type { AnyProvider } from "./provider.ts";
import type { Schedule } from "./queues/schedule.ts";

/** Everything the switched-on modules offer, checked at boot with every fault listed at once. */
export type Registry = {
  modules: ModuleDef[];
  permissions: Map<string, Role>;
  operations: AnyOperation[];
  /** Those of hearings too. */
  consumers: AnyConsumer[];
  /** By name: what the modules emit. */
  facts: Map<string, AnyFact>;
  hearings: Hearing[];
  schedules: Schedule[];
  providers: AnyProvider[];
  pages: string[];
};

export function createRegistry(all: readonly ModuleDef[], off: readonly string[] = []): Registry {
  const faults: string[] = [];
  const known = new Set(all.map((m) => m.name));
  for (const name of off) if (!known.has(name)) faults.push(`OVERTURE_MODULES_OFF names ${name}, which is no module`);
  const modules = all.filter((m) => !off.includes(m.name));
  const on = new Set(modules.map((m) => m.name));
  for (const m of modules) {
    for (const need of m.needs)
      if (!on.has(need))
        faults.push(`module ${m.name} needs ${need}, which is ${known.has(need) ? "switched off" : "unknown"}`);
  }

  const permissions = new Map<string, Role>();
  for (const m of modules) for (const [name, role] of Object.entries(m.permissions ?? {})) permissions.set(name, role);

  const operations = modules.flatMap((m) => m.operations ?? []);
  const hearings = modules.flatMap((m) => m.hears ?? []);
  const consumers = [...modules.flatMap((m) => m.consumers ?? []), ...hearings.map((h) => h.consumer)];
  const emitted = modules.flatMap((m) => m.emits ?? []);
  const facts = new Map(emitted.map((f) => [f.name, f]));
  const schedules = modules.flatMap((m) => m.schedules ?? []);
  const providers = modules.flatMap((m) => m.providers ?? []);

  const twice = (what: string, names: string[]) => {
    const seen = new Set<string>();
    for (const n of names)
      if (seen.has(n)) faults.push(`${what} ${n} is defined twice`);
      else seen.add(n);
  };
  twice(
    "module",
    modules.map((m) => m.name),
  );
  twice(
    "operation",
    operations.map((o) => o.id),
  );
  twice(
    "route",
    operations.map((o) => `${o.method} ${o.path.replace(/\{\w+\}/g, "{}")}`),
  );
  twice(
    "queue",
    consumers.map((c) => c.queue),
  );
  twice(
    "fact",
    emitted.map((f) => f.name),
  );
  const keys = modules.flatMap((m) => Object.keys(m.config?.shape ?? {}));
  twice("configuration key", [...KERNEL_KEYS, ...keys]);
  for (const key of keys)
    if (!/^OVERTURE_[A-Z0-9_]+$/.test(key)) faults.push(`configuration key ${key}: begin it with OVERTURE_`);
  twice(
    "schedule",
    schedules.map((s) => s.name),
  );
  twice(
    "provider",
    providers.map((p) => p.id),
  );

  for (const op of operations) {
    for (const p of pathParams(op.path))
      if (!(p in op.input.shape)) faults.push(`operation ${op.id}: the path's {${p}} is not in its input`);
    if (op.auth === "tenant" && !permissions.has(op.permission))
      faults.push(`operation ${op.id}: no module declares the permission ${op.permission}`);
  }
  for (const { name, payload } of emitted) {
    if (!/^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$/.test(name))
      faults.push(`fact ${name}: name it <noun>.<what became of it>, in lower case letters, digits and _`);
    if ("tenant_id" in ((payload as { shape?: object }).shape ?? {}))
      faults.push(`fact ${name}: leave tenant_id out of its payload; the queue message names the tenant`);
  }
  for (const h of hearings) {
    for (const fact of h.facts) {
      if (facts.get(fact.name) === fact) continue;
      if (facts.has(fact.name))
        faults.push(`queue ${h.consumer.queue}: the fact ${fact.name} it hears is another one than is emitted`);
      else if (!h.optional) faults.push(`queue ${h.consumer.queue}: no module that is on emits ${fact.name}`);
    }
  }
  for (const c of consumers) {
    if (!/^[a-z][a-z0-9_]{0,46}$/.test(c.queue))
      faults.push(`queue ${c.queue}: use lower case letters, digits and _, at most 47`);
    if (c.visibilitySeconds < 1 || c.maxAttempts < 1)
      faults.push(`queue ${c.queue}: visibility and attempts start at 1`);
  }
  if (faults.length > 0)
    throw new Error(`The modules do not fit together:\n${faults.map((f) => `  - ${f}`).join("\n")}`);
  return {
    modules,
    permissions,
    operations,
    consumers,
    facts,
    hearings,
    schedules,
    providers,
    pages: modules.flatMap((m) => m.pages ?? []),
  };
}

/** Whether a role has a permission. */
export const roleAllows = (registry: Pick<Offered, "permissions">, role: Role, permission: string): boolean => {
  const least = registry.permissions.get(permission);
  return least !== undefined && roleRank(role) >= roleRank(least);
};

/**
 * Whether an API key's scopes cover a permission. Scopes are `resource:read`, `resource:write`, `*:read`, `*:write`;
 * write includes read, and every action that is not `read` is a write.
 */
export const scopesAllow = (scopes: readonly string[], permission: string): boolean => {
  const [resource, action] = permission.split(":") as [string, string];
  const enough = action === "read" ? ["read", "write"] : ["write"];
  return scopes.some((s) => {
    const [r, a] = s.split(":") as [string, string];
    return (r === "*" || r === resource) && enough.includes(a);
  });
};
