import { z } from "zod";
import { defineOpenManualOperation, defineOpenOperation } from "../kernel/operations/operation.ts";
import { AppError } from "../kernel/errors.ts";
import { RoleSchema } from "./schemas.ts";
import { permissionsOf } from "./scopes.ts";
import { addressOf, nameOf, teamsOf } from "./tenants.ts";
import { tenancyConfig } from "./config.ts";

/** The person behind the session, their teams, and what they may do in the one named by X-Tenant-Id (else the first). */
export const me = defineOpenManualOperation({
  id: "auth.me",
  method: "GET",
  path: "/auth/me",
  summary: "Read the signed-in user and their tenants",
  auth: "user",
  input: z.object({}),
  output: z.object({
    user: z.object({ id: z.uuid(), email: z.string(), name: z.string() }),
    tenants: z.array(z.object({ id: z.uuid(), name: z.string(), slug: z.string(), role: RoleSchema })),
    permissions: z.array(z.string()),
    tenant_id: z.uuid().nullable(),
  }),
  async handle(ctx, _input, request) {
    if (ctx.actor.kind !== "user") throw new AppError("unauthenticated", "Sign in first.");
    const { actor } = ctx;
    const { userId } = actor;
    const [teams, email] = await ctx.tx(
      async ({ db }) => [await teamsOf(db, userId), await addressOf(db, actor)] as const,
    );
    // A team the person has left since must not lock them out: the first one takes its place.
    const current = teams.find((t) => t.id === request.headers.get("x-tenant-id")) ?? teams[0];
    const name = await nameOf(ctx, teams, request);
    return {
      user: { id: userId, email, name },
      tenants: teams.map(({ id, name, slug, role }) => ({ id, name, slug, role })),
      permissions: current ? permissionsOf(ctx.registry, current.role) : [],
      tenant_id: current?.id ?? null,
    };
  },
});

/** A browser cannot reach a name of the container network, nor this machine's loopback when it stands elsewhere. */
const reachable = (supabaseUrl: string, publicUrl: string): string => {
  const { hostname } = new URL(supabaseUrl);
  const internal = /^(127\.|localhost$|\[::1\]$)/.test(hostname) || !/[.:]/.test(hostname);
  return internal ? publicUrl : supabaseUrl;
};

/** What a console needs to know before anybody has signed in. */
export const options = defineOpenOperation({
  id: "auth.options",
  method: "GET",
  path: "/auth/options",
  summary: "Read the public settings of this installation",
  auth: "public",
  input: z.object({}),
  output: z.object({
    product_name: z.string(),
    signup: z.enum(["open", "invite"]),
    account_mail: z.boolean().describe("Whether mails about accounts are sent, such as for a forgotten password."),
    claimed: z.boolean().describe("Whether the installation has an account."),
    supabase_url: z.string(),
    publishable_key: z.string(),
    modules: z.array(z.string()),
  }),
  async handle(ctx) {
    const { modules } = ctx.registry;
    const ready = modules.filter((m) => m.ready?.(m.config ? ctx.configOf(m.config) : {}) ?? true).map((m) => m.name);
    const [row] = await ctx.db<{ claimed: boolean }[]>`select private.is_claimed() as claimed`;
    return {
      product_name: ctx.config.productName,
      signup: ctx.configOf(tenancyConfig).OVERTURE_SIGNUP,
      account_mail: ctx.configOf(tenancyConfig).OVERTURE_MAIL_FROM !== undefined && ready.includes("accounts"),
      claimed: row!.claimed,
      supabase_url: reachable(ctx.config.supabaseUrl, ctx.config.publicUrl),
      publishable_key: ctx.config.publishableKey,
      modules: ready,
    };
  },
});
