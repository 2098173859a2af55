import type { CatalogueEntry, ConsolePage } from "./catalogue.ts";
import type { AnyConsumer } from "./queues/consumer.ts";
import { type Role, roleRank } from "./context.ts";
import type { ModuleDef } from "./module.ts";
import { type AnyOperation, pathParams } from "./operations/operation.ts";
import type { AnyProvider } from "./provider.ts";
import type { Schedule } from "./queues/schedule.ts";

/** Everything the switched-on modules offer, checked at boot with every fault listed at once. */
export type Registry = {
  modules: ModuleDef[];
  permissions: Map<string, Role>;
  operations: AnyOperation[];
  consumers: AnyConsumer[];
  schedules: Schedule[];
  providers: AnyProvider[];
  /** In the order of the navigation. */
  pages: ConsolePage[];
  catalogue: Record<string, CatalogueEntry[]>;
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
  const consumers = modules.flatMap((m) => m.consumers ?? []);
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
    "schedule",
    schedules.map((s) => s.name),
  );
  twice(
    "provider",
    providers.map((p) => p.id),
  );

  const catalogue: Record<string, CatalogueEntry[]> = {};
  for (const m of modules)
    for (const [list, entries] of Object.entries(m.catalogue ?? {})) (catalogue[list] ??= []).push(...entries);
  twice(
    "catalogue entry",
    Object.entries(catalogue).flatMap(([list, entries]) =>
      entries.map((e) => `${list} ${e.value} ${e.type ?? ""}`.trim()),
    ),
  );
  const pages = modules.flatMap((m) => m.pages ?? []).sort((a, b) => a.position - b.position);
  twice(
    "page",
    pages.map((p) => p.path),
  );
  twice(
    "shortcut",
    pages.map((p) => p.shortcut),
  );
  for (const p of pages)
    if (p.permission && !permissions.has(p.permission))
      faults.push(`page ${p.path}: no module declares the permission ${p.permission}`);

  for (const op of operations) {
    for (const p of pathParams(op.path))
      if (!(p in op.input.shape)) faults.push(`operation ${op.id}: the path's {${p}} is not in its input`);
    if (op.auth === "tenant" && !permissions.has(op.permission))
      faults.push(`operation ${op.id}: no module declares the permission ${op.permission}`);
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
    schedules,
    providers,
    pages,
    catalogue,
  };
}

/** Whether a role has a permission. */
export const roleAllows = (registry: Registry, role: Role, permission: string): boolean => {
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
