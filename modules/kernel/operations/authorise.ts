import type { Actor, Offered } from "../context.ts";
import { AppError } from "../errors.ts";
import { roleAllows, scopesAllow } from "../registry.ts";
import type { AnyOperation } from "./operation.ts";

/**
 * Throws unless `actor` may call `op`: `unauthenticated` where somebody must be signed in, `forbidden` where a role or a
 * key's scopes are not enough. Jobs are the product's own code and may call everything in their tenant.
 */
export function authorise(registry: Pick<Offered, "permissions">, op: AnyOperation, actor: Actor): void {
  if (op.auth === "tenant") requirePermission(registry, op.permission, actor);
  else if (op.auth === "user" && actor.kind !== "user") throw new AppError("unauthenticated", "Sign in first.");
}

/** Whether a caller has a permission: a person by their role, a key by its scopes and by its maker's role of now. */
export function actorMay(registry: Pick<Offered, "permissions">, actor: Actor, permission: string): boolean {
  if (actor.kind === "job") return true;
  if (actor.kind === "user") return actor.role !== null && roleAllows(registry, actor.role, permission);
  return (
    actor.kind === "api_key" && scopesAllow(actor.scopes, permission) && roleAllows(registry, actor.role, permission)
  );
}

function requirePermission(registry: Pick<Offered, "permissions">, permission: string, actor: Actor): void {
  switch (actor.kind) {
    case "job":
      return;
    case "user": {
      if (actorMay(registry, actor, permission)) return;
      const least = registry.permissions.get(permission);
      throw new AppError(
        "forbidden",
        `Your role (${actor.role ?? "none"}) does not have the permission ${permission}.`,
        {
          suggestion: `Ask for the role ${least} or a higher one.`,
        },
      );
    }
    case "api_key":
      if (actorMay(registry, actor, permission)) return;
      if (scopesAllow(actor.scopes, permission)) {
        throw new AppError(
          "forbidden",
          `The API key's maker now has the role ${actor.role}, which does not have the permission ${permission}.`,
          { suggestion: "Ask a member with a higher role to make a new key." },
        );
      }
      throw new AppError("forbidden", `The API key has no scope for the permission ${permission}.`, {
        suggestion: "Create a key with that scope.",
      });
    default:
      throw new AppError("forbidden", `This caller does not have the permission ${permission}.`);
  }
}

/** The owner of rate limits and Idempotency-Keys of operations without a tenant. */
export const callerId = (actor: Actor): string =>
  actor.kind === "user" ? `user:${actor.userId}` : actor.kind === "anonymous" ? `address:${actor.address}` : "other";
