import type { Config } from "../kernel/config.ts";
import type { Actor, Role } from "../kernel/context.ts";
import { AppError, invalidField } from "../kernel/errors.ts";
import { type Registry, roleAllows, scopesAllow } from "../kernel/registry.ts";

/**
 * What API keys may be given, and by whom. The list of permissions is the registry's, which exists only after all
 * modules are known; the kernel hands it over at boot, per configuration, so that two kernels in one process differ.
 */

type Known = Pick<Registry, "permissions" | "modules" | "pages">;
const registries = new WeakMap<Config, Known>();

/** Called once at boot, after createRegistry. */
export const bindRegistry = (config: Config, registry: Known): void => void registries.set(config, registry);

export function registryOf(config: Config): Known {
  const registry = registries.get(config);
  if (!registry) throw new AppError("internal", "bindRegistry() was not called at boot.");
  return registry;
}

/** `contacts`, `campaigns`, …: what may stand before the colon of a scope. */
export const permissionResources = (config: Config): string[] =>
  [...new Set([...registryOf(config).permissions.keys()].map((p) => p.split(":")[0]!))].sort();

/** All permissions of a role, sorted. */
export const permissionsOf = (config: Config, role: Role): string[] => {
  const registry = registryOf(config);
  return [...registry.permissions.keys()].filter((p) => roleAllows(registry as Registry, role, p)).sort();
};

/** 422 for a scope that does not exist, 403 for one that would allow more than its creator may do. */
export function checkScopes(config: Config, actor: Actor, scopes: readonly string[]): void {
  const registry = registryOf(config);
  const resources = permissionResources(config);
  scopes.forEach((scope, i) => {
    const [resource, action, rest] = scope.split(":");
    if (!resource || rest !== undefined || (action !== "read" && action !== "write")) {
      throw invalidField(`/scopes/${i}`, `${scope} is not a scope: write resource:read or resource:write.`);
    }
    if (resource !== "*" && !resources.includes(resource)) {
      throw invalidField(
        `/scopes/${i}`,
        `There is no resource ${resource}.`,
        `Use one of: *, ${resources.join(", ")}.`,
      );
    }
    for (const permission of registry.permissions.keys()) {
      if (scopesAllow([scope], permission) && !allows(registry as Registry, actor, permission)) {
        throw new AppError("forbidden", `${scope} includes ${permission}, which you do not have yourself.`, {
          suggestion: "Leave the scope out, or ask somebody with a higher role to make the key.",
        });
      }
    }
  });
}

const allows = (registry: Registry, actor: Actor, permission: string): boolean =>
  actor.kind === "user"
    ? actor.role !== null && roleAllows(registry, actor.role, permission)
    : actor.kind === "api_key" && scopesAllow(actor.scopes, permission);
