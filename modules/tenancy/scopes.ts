import type { Actor, Offered, Role } from "../kernel/context.ts";
import { AppError, invalidField } from "../kernel/errors.ts";
import { actorMay } from "../kernel/operations/authorise.ts";
import { roleAllows, scopesAllow } from "../kernel/registry.ts";

/** What API keys may be given, and by whom. */

/** `contacts`, `campaigns`, …: what may stand before the colon of a scope. */
const permissionResources = (registry: Offered): string[] =>
  [...new Set([...registry.permissions.keys()].map((p) => p.split(":")[0]!))].sort();

/** All permissions of a role, sorted. */
export const permissionsOf = (registry: Offered, role: Role): string[] =>
  [...registry.permissions.keys()].filter((p) => roleAllows(registry, role, p)).sort();

/** 422 for a scope that does not exist, 403 for one that would allow more than its creator may do. */
export function checkScopes(registry: Offered, actor: Actor, scopes: readonly string[]): void {
  const resources = permissionResources(registry);
  scopes.forEach((scope, i) => {
    const [resource, action, rest] = scope.split(":");
    if (!resource || rest !== undefined || (action !== "read" && action !== "write")) {
      throw invalidField(`/scopes/${i}`, `${scope} is not a scope: write resource:read or resource:write.`);
    }
    if (resource !== "*" && !resources.includes(resource)) {
      throw invalidField(
        `/scopes/${i}`,
        `There is no resource named ${resource}.`,
        `Use one of: *, ${resources.join(", ")}.`,
      );
    }
    for (const permission of registry.permissions.keys()) {
      if (scopesAllow([scope], permission) && !actorMay(registry, actor, permission)) {
        throw new AppError("forbidden", `${scope} includes the permission ${permission}, which you do not have.`, {
          suggestion: "Leave the scope out, or ask a member with a higher role to create the key.",
        });
      }
    }
  });
}
