import { z } from "zod";
import { cursorTime, decodeCursor, pageOf, pageParams, toPage, withoutSortKey } from "../kernel/operations/cursor.ts";
import type { Offered, OpenCtx, OpenManualCtx } from "../kernel/context.ts";
import { AppError, type FieldError } from "../kernel/errors.ts";
import { settingFaults } from "../kernel/options.ts";
import { defineOpenManualOperation, defineOpenOperation, defineOperation } from "../kernel/operations/operation.ts";
import { bearerOf } from "../kernel/http/bearer.ts";
import * as auth from "./auth-server.ts";
import { instant, RoleSchema, type TeamRow, Tenant, TenantName, type TenantRow } from "./schemas.ts";
import { tenancyConfig } from "./config.ts";

const personOf = (ctx: Pick<OpenCtx, "actor">) => {
  if (ctx.actor.kind !== "user") throw new AppError("unauthenticated", "Sign in first.");
  return ctx.actor;
};

/** The person's teams, oldest membership first. */
export const teamsOf = (db: OpenCtx["db"], userId: string) => db<TeamRow[]>`select * from private.my_teams(${userId})`;

/** The address of the account now; that in `ctx.actor` is the token's, which may be one of before for an hour. */
export async function addressOf(db: OpenCtx["db"], actor: { userId: string; email: string }): Promise<string> {
  const [row] = await db<{ email: string | null }[]>`select private.account_address(${actor.userId}) as email`;
  return row!.email ?? actor.email;
}

/** What the person is called: in a team of theirs, else where they signed up. Asks the auth server, so in no transaction. */
export async function nameOf(ctx: OpenManualCtx, teams: readonly TeamRow[], request: Request): Promise<string> {
  const known = teams.find((t) => t.person !== "")?.person;
  const token = bearerOf(request.headers);
  return known ?? (token && (await auth.userOf(ctx, token))?.name) ?? "";
}

/** Where teams are by invitation only who leads one may make another; throws `forbidden`. For every way to a new team. */
export function requireFounder(ctx: Pick<OpenCtx, "configOf">, teams: readonly { role: string }[]): void {
  if (
    ctx.configOf(tenancyConfig).OVERTURE_SIGNUP === "invite" &&
    !teams.some((t) => t.role === "owner" || t.role === "admin")
  ) {
    throw new AppError("forbidden", "New workspaces can be created by invitation only.", {
      suggestion: "Ask an owner or admin of a workspace to invite you.",
    });
  }
}

export const unclaimed = () =>
  new AppError("forbidden", "This installation has not been claimed yet.", {
    suggestion:
      "Whoever installed it opens the claim link that it printed at its start; afterwards others can register.",
  });

/** A new team with the person as its owner; throws `forbidden` before the installation is claimed. For every way but the claim. */
export async function newTenant(
  ctx: Pick<OpenCtx, "db" | "requestId">,
  name: string,
  owner: { id: string; email: string; name: string },
): Promise<TenantRow> {
  const [row] = await ctx.db<(TenantRow | { id: null })[]>`
    select * from private.create_tenant(${name}, ${owner.id}, ${owner.email}, ${owner.name}, ${ctx.requestId})`;
  if (!row || row.id === null) throw unclaimed();
  return row;
}

export const createTenant = defineOpenManualOperation({
  id: "tenants.create",
  method: "POST",
  path: "/tenants",
  summary: "Create another tenant, with yourself as owner",
  auth: "user",
  input: z.object({ name: TenantName }),
  output: Tenant,
  status: 201,
  async handle(ctx, { name }, request) {
    const actor = personOf(ctx);
    const { userId } = actor;
    const known = await ctx.tx(({ db }) => teamsOf(db, userId));
    requireFounder(ctx, known);
    const person = await nameOf(ctx, known, request);
    return await ctx.tx(async (tx) => {
      // The teams may be others by now.
      requireFounder(ctx, await teamsOf(tx.db, userId));
      return await newTenant(tx, name, { id: userId, email: await addressOf(tx.db, actor), name: person });
    });
  },
});

export const listTenants = defineOpenOperation({
  id: "tenants.list",
  method: "GET",
  path: "/tenants",
  summary: "List your tenants, oldest membership first",
  auth: "user",
  input: z.object(pageParams),
  output: pageOf(z.object({ id: z.uuid(), name: z.string(), slug: z.string(), role: RoleSchema, created_at: instant })),
  async handle(ctx, { limit, cursor }) {
    const after = decodeCursor(cursor, z.tuple([cursorTime, z.uuid()]));
    const teams = await ctx.db<(TeamRow & { sort_key: string })[]>`
      select id, name, slug, role, created_at, joined_at::text as sort_key from private.my_teams(${personOf(ctx).userId})
      ${after ? ctx.db`where (joined_at, id) > (${after[0]}::timestamptz, ${after[1]}::uuid)` : ctx.db``}
      order by joined_at, id limit ${limit + 1}`;
    return toPage(teams, limit, (t) => [t.sort_key, t.id], withoutSortKey);
  },
});

export const getTenant = defineOperation({
  id: "tenant.get",
  method: "GET",
  path: "/tenant",
  summary: "Read the current tenant",
  permission: "tenant:read",
  input: z.object({}),
  output: Tenant,
  async handle(ctx) {
    const [tenant] = await ctx.db<TenantRow[]>`select * from public.tenants where id = ${ctx.tenantId}`;
    if (!tenant) throw new AppError("not_found", "This workspace no longer exists.");
    return tenant;
  },
});

/** What is given over what is stored; null removes a key, also one that no module knows any more. Throws a 422 with each fault. */
function writtenSettings(
  known: Offered["settings"],
  before: Record<string, unknown>,
  given: Record<string, unknown>,
): Record<string, unknown> {
  const settings: Record<string, unknown> = { ...before };
  const errors: FieldError[] = [];
  for (const [name, value] of Object.entries(given)) {
    const schema = known.get(name);
    const read = schema?.safeParse(value);
    if (value === null && (schema || Object.hasOwn(before, name))) delete settings[name];
    else if (!read)
      errors.push({
        pointer: `/settings/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`,
        detail: `is no setting of the team; there are ${[...known.keys()].sort().join(", ")}`,
      });
    else if (read.success) settings[name] = read.data;
    else errors.push(...settingFaults(name, read.error));
  }
  if (errors.length > 0)
    throw new AppError("invalid", `${errors[0]!.pointer.slice(1)} ${errors[0]!.detail}`, { errors });
  return settings;
}

export const updateTenant = defineOperation({
  id: "tenant.update",
  method: "PATCH",
  path: "/tenant",
  summary: "Rename the tenant or change its settings",
  description:
    "`settings` is merged key by key; null removes a key. Allowed are `reply_stops` (`campaign`, `contact`, the default, or `company`: what a reply ends) and the channel options that can be switched off for all campaigns, such as `track_opens`. Other keys are refused.",
  permission: "tenant:write",
  input: z.object({
    name: TenantName.optional(),
    settings: z.record(z.string().min(1).max(60), z.unknown()).optional(),
  }),
  output: Tenant,
  async handle(ctx, { name, settings }) {
    const [before] = await ctx.db<TenantRow[]>`select * from public.tenants where id = ${ctx.tenantId} for update`;
    if (!before) throw new AppError("not_found", "This workspace no longer exists.");
    const merged = writtenSettings(ctx.registry.settings, before.settings, settings ?? {});
    const [tenant] = await ctx.db<TenantRow[]>`
      update public.tenants set name = ${name ?? before.name}, settings = ${ctx.db.json(merged as never)}
      where id = ${ctx.tenantId} returning *`;
    return tenant!;
  },
});
