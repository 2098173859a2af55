import type { z } from "zod";
import type { CatalogueEntry, ConsolePage } from "./catalogue.ts";
import type { AnyChannel } from "./channel.ts";
import type { Config, ConfigOf } from "./config.ts";
import type { Scope, Tx } from "./database/db.ts";
import type { MessageHold } from "./hold.ts";
import type { HttpClient } from "./http/client.ts";
import type { Log } from "./observability/log.ts";
import type { Metrics } from "./observability/metrics.ts";
import type { AnyProvider } from "./provider.ts";
import type { AnyStep } from "./step-shape.ts";
import type { Vault } from "./secrets/vault.ts";

export const ROLES = ["viewer", "approver", "member", "admin", "owner"] as const;
export type Role = (typeof ROLES)[number];
export const roleRank = (role: Role): number => ROLES.indexOf(role) + 1;

/** Who acts. A union, never a nullable user id. */
export type Actor =
  | { kind: "anonymous"; address: string }
  /** `sessionId`: of the access token; null for one that no sign-in made. */
  | { kind: "user"; userId: string; email: string; sessionId?: string | null; role: Role | null }
  /** `makerId` made the key and has `role` now: the key may do what both its scopes and this role allow. */
  | { kind: "api_key"; keyId: string; scopes: string[]; makerId: string; role: Role }
  | { kind: "job"; name: string };

/** The database scope an actor works under inside a tenant. */
export const scopeOf = (actor: Actor, tenantId: string): Scope =>
  actor.kind === "user"
    ? { role: "overture_user", tenantId, userId: actor.userId, request: true }
    : { role: "overture_worker", tenantId, request: actor.kind !== "job" };

/** What handlers may read about the enabled modules; a type of its own, because the registry itself holds the handlers. */
export type Offered = {
  modules: readonly { name: string; config?: z.ZodObject; ready?(config: Record<string, unknown>): boolean }[];
  permissions: ReadonlyMap<string, Role>;
  /** By id. */
  channels: ReadonlyMap<string, AnyChannel>;
  /** By kind. */
  steps: ReadonlyMap<string, AnyStep<Ctx>>;
  /** What decides which messages wait for a person's yes. */
  holds: readonly MessageHold<Ctx>[];
  /** What a team may set for itself, by name: the modules' settings, and the options of channels that it can switch off. */
  settings: ReadonlyMap<string, z.ZodType>;
  /** What there may be providers of: the channels' ids and the modules' own kinds. */
  categories: readonly string[];
  providers: readonly AnyProvider[];
  pages: readonly ConsolePage[];
  /** The choices of all modules, with their words, by list. */
  catalogue: Readonly<Record<string, readonly CatalogueEntry[]>>;
};

/** Services that need no transaction. */
export type Services = {
  /** The kernel's configuration. */
  config: Config;
  /** A module's own, by the schema in its manifest: `ctx.configOf(demoConfig).OVERTURE_SANDBOX_URL`. */
  configOf: ConfigOf;
  http: HttpClient;
  vault: Vault;
  log: Log;
  metrics: Metrics;
  /** What the switched-on modules offer. */
  registry: Offered;
};

/** The context of a handler: one open transaction in one tenant, as one actor. */
export type Ctx = Services & {
  actor: Actor;
  tenantId: string;
  requestId: string;
  /** The open transaction, under the actor's role: row-level security applies. */
  db: Tx;
  /** kernel.now() of this transaction, the one clock. */
  now: Date;
  /** Aborted on shutdown: stop taking new work, finish what runs. */
  signal: AbortSignal;
  /** Puts payloads on a consumer's queue in this transaction. Each is parsed first: a bad one throws here, not later. */
  enqueue<P extends { tenant_id: string }>(
    consumer: { queue: string; payload: z.ZodType<P> },
    payloads: P | readonly P[],
    options?: { delaySeconds?: number },
  ): Promise<void>;
  /**
   * Tells every subscriber in this transaction that something happened: one queue message each for up to 500 items. Each item is
   * parsed first: a bad one throws here. A module that is on must name the fact in its `emits`.
   */
  emit<P extends object>(fact: { name: string; payload: z.ZodType<P> }, items: readonly P[]): Promise<void>;
  /** Adds details to the audit row the kernel writes for this act; never secrets. */
  audit(detail: Record<string, unknown>, target?: string): void;
};

/** For work that calls other services and must not keep a transaction open meanwhile: it opens one per step. */
export type ManualCtx = Omit<Ctx, "db" | "now" | "audit" | "emit"> & {
  tx<T>(fn: (ctx: Ctx) => Promise<T>): Promise<T>;
};

/** A caller without a tenant: signing in, accepting an invitation, choosing a tenant. */
export type OpenCtx = Services & {
  actor: Actor;
  requestId: string;
  /** A transaction as the worker without a tenant: functions that check the person for themselves decide what is seen. */
  db: Tx;
  now: Date;
  enqueue: Ctx["enqueue"];
  audit(detail: Record<string, unknown>, target?: string): void;
};

/** The same for work that calls other services: one transaction per step. */
export type OpenManualCtx = Omit<OpenCtx, "db" | "now" | "enqueue"> & {
  tx<T>(fn: (ctx: OpenCtx) => Promise<T>): Promise<T>;
};
