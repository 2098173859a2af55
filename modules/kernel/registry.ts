import type { z } from "zod";
import type { CatalogueEntry, ConsolePage } from "./catalogue.ts";
import type { AnyChannel } from "./channel.ts";
import { KERNEL_KEYS } from "./config.ts";
import type { AnyConsumer } from "./queues/consumer.ts";
import type { AnyFact, Hearing } from "./queues/fact.ts";
import { type Ctx, type Offered, type Role, roleRank } from "./context.ts";
import { AppError } from "./errors.ts";
import type { MessageHold } from "./hold.ts";
import type { ModuleDef } from "./module.ts";
import { type AnyOperation, pathParams } from "./operations/operation.ts";
import { channelOptions } from "./options.ts";
import type { AnyProvider } from "./provider.ts";
import type { AnyStep } from "./step.ts";
import type { Schedule } from "./queues/schedule.ts";

/** Everything that the enabled modules offer; checked at the start, with all faults reported at once. */
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
  /** By id. */
  channels: Map<string, AnyChannel>;
  /** By kind. */
  steps: Map<string, AnyStep>;
  /** Names of guard functions, without `private.guard_`. */
  guards: string[];
  /** What decides which messages wait for a person's yes. */
  holds: MessageHold<Ctx>[];
  /** By name: what a team may set for itself. */
  settings: Map<string, z.ZodType>;
  /** What there may be providers of: the channels' ids and the modules' own kinds. */
  categories: string[];
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

  const declared = modules.flatMap((m) => Object.entries(m.permissions ?? {}));
  const permissions = new Map<string, Role>(declared);
  const operations = modules.flatMap((m) => m.operations ?? []);
  const hearings = modules.flatMap((m) => m.hears ?? []);
  const consumers = [...modules.flatMap((m) => m.consumers ?? []), ...hearings.map((h) => h.consumer)];
  const emitted = modules.flatMap((m) => m.emits ?? []);
  const facts = new Map(emitted.map((f) => [f.name, f]));
  const schedules = modules.flatMap((m) => m.schedules ?? []);
  const channels = modules.flatMap((m) => m.channels ?? []);
  const actions = channels.flatMap((c) => Object.keys(c.actions).map((action) => [c, action] as const));
  const steps = modules.flatMap((m) => [
    ...(m.actionStep ? actions.map(([channel, action]) => m.actionStep!(channel, action)) : []),
    ...(m.steps ?? []),
  ]);
  const switches = [...channelOptions(channels)].filter(([, option]) => option.safeParse(false).success);
  const settings: [string, z.ZodType][] = [...switches, ...modules.flatMap((m) => settingsOf(m))];
  const guards = modules.flatMap((m) => m.guards ?? []);
  const categories = [...channels.map((c) => c.id), ...modules.flatMap((m) => m.categories ?? [])];
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
  // The later one would decide the role, whichever module the first belongs to.
  twice(
    "permission",
    declared.map(([name]) => name),
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
    "channel",
    channels.map((c) => c.id),
  );
  twice(
    "step",
    steps.map((s) => s.kind),
  );
  twice("guard", guards);
  twice(
    "setting of a team",
    settings.map(([name]) => name),
  );
  twice(
    "provider",
    providers.map((p) => p.id),
  );
  twice("provider category", categories);
  for (const p of providers) faults.push(...providerFaults(p, categories));

  const catalogue: Record<string, CatalogueEntry[]> = shapesOf(channels, steps, providers);
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
  for (const c of channels) faults.push(...channelFaults(c));
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
    channels: new Map(channels.map((c) => [c.id, c])),
    steps: new Map(steps.map((s) => [s.kind, s])),
    guards,
    holds: modules.flatMap((m) => m.holds ?? []),
    settings: new Map(settings),
    categories,
    providers,
    pages,
    catalogue,
  };
}

const settingsOf = (m: ModuleDef) => Object.entries((m.settings?.shape ?? {}) as Record<string, z.ZodType>);

/**
 * The words that channels and steps bring themselves, so that no module has to list them. Traits of a channel: `connectable`, a
 * provider for it is installed; `spaced`, its addresses hold spaces.
 */
function shapesOf(
  channels: readonly AnyChannel[],
  steps: readonly AnyStep[],
  providers: readonly AnyProvider[],
): Record<string, CatalogueEntry[]> {
  return {
    channel: channels.map(({ id, label, address }) => ({
      value: id,
      label,
      description: address.label,
      traits: [
        ...(providers.some((p) => p.category === id && p.send) ? ["connectable"] : []),
        ...(address.spaced ? ["spaced"] : []),
      ],
    })),
    "channel.action": channels.flatMap((c) =>
      Object.entries(c.actions).map(([value, { label }]) => ({ value, label, group: c.id })),
    ),
    "step.kind": steps.map(({ kind, label, description, action }) => ({
      value: kind,
      label,
      description,
      type: action ? "message" : "flow",
      ...(action ? { group: action.split(".")[0]! } : {}),
    })),
  };
}

function* channelFaults({ id, actions }: AnyChannel): Generator<string> {
  if (!/^[a-z][a-z0-9_]{0,30}$/.test(id))
    yield `channel ${id}: use lower case letters, digits and _ for its id, at most 31`;
  if (Object.keys(actions).length === 0) yield `channel ${id} has no action, so no messages could be sent on it`;
  for (const [name, { limits }] of Object.entries(actions)) {
    if (!name.startsWith(`${id}.`) || !/^[a-z][a-z0-9_]{0,30}$/.test(name.slice(id.length + 1)))
      yield `channel ${id}: name the action ${name} as ${id}.<verb>`;
    if (limits.some((l) => !Number.isInteger(l.cap) || l.cap < 1))
      yield `channel ${id}: the limits of ${name} are whole numbers from 1`;
    if (new Set(limits.map((l) => l.per)).size < limits.length)
      yield `channel ${id}: ${name} has two limits for the same period`;
  }
}

/** Faults in a provider's definition: reported at the start, instead of at the first message that uses the provider. */
function providerFaults(p: AnyProvider, categories: readonly string[]): string[] {
  const faults: string[] = [];
  const fault = (what: string) => faults.push(`provider ${p.id}: ${what}`);
  if (!/^[a-z][a-z0-9_]{1,39}$/.test(p.id)) fault("its id must be 2 to 40 lower case letters, digits and _");
  if (!categories.includes(p.category))
    fault(`no module registers the channel or category ${p.category}; known: ${categories.join(", ") || "none"}`);
  const { send, webhook, inbound } = p;
  if (send) {
    if (send.reconcile.by === "search" && !send.find) fault("reconciles by search, so it needs send.find");
    if (send.reconcile.by === "search" && !(send.reconcile.after_seconds > 0))
      fault("send.reconcile.after_seconds must be above 0");
    if (!Number.isInteger(send.batch) || send.batch < 1) fault("send.batch starts at 1");
    if (!(send.per_second > 0)) fault("send.per_second must be above 0");
    if (!(send.call_seconds > 0)) fault("send.call_seconds must be above 0");
  }
  if (inbound && !webhook) fault("fetches inbound messages, but has no webhook that would announce them");
  return faults;
}

/** The registered provider with this id. Throws `not_found` with the known ids. */
export function providerOf(registry: Pick<Offered, "providers">, id: string): AnyProvider {
  const provider = registry.providers.find((p) => p.id === id);
  if (provider) return provider;
  throw new AppError("not_found", `There is no provider «${id}».`, {
    suggestion: `Use one of: ${registry.providers.map((p) => p.id).join(", ")}.`,
  });
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
