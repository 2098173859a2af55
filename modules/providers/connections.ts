import { z } from "zod";
import type { Ctx } from "../kernel/context.ts";
import { decodeCursor, pageOf, pageParams, searchParam, toPage } from "../kernel/operations/cursor.ts";
import type { Tx } from "../kernel/database/db.ts";
import { AppError, invalidField } from "../kernel/errors.ts";
import { uuid7 } from "../kernel/database/ids.ts";
import { providerOf } from "../kernel/registry.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import type { AnyProvider, Connection } from "../kernel/provider.ts";
import { checkBaseUrl } from "./base-url.ts";
import { parseCredentials, parseSettings, sealCredentials, toOpenConnection } from "./credentials.ts";
import {
  CONNECTION_STATUS,
  type ConnectionRow,
  ConnectionSchema,
  type ConnectionStatus,
  toConnection,
} from "./schemas.ts";

/** A team's accounts at providers: made, changed, listed, removed. */

export type PublicRow = Omit<ConnectionRow, "credentials">;

/** Everything of a row but its ciphertext. */
export const publicColumns = (db: Tx) => db`
  id, provider, name, category, status, settings, base_url, credentials_set, webhook_registered, sent, failed, consecutive_failures,
  last_success_at, last_error, last_error_at, circuit_open_until, created_at, updated_at`;

export const noConnection = () =>
  new AppError("not_found", "There is no such connection.", { suggestion: "GET /connections lists the connections." });

export const values = z.record(
  z.string().max(60),
  z.union([z.string().max(20_000), z.number(), z.boolean(), z.null()]),
);
export const Name = z.string().trim().min(1, "give the connection a name").max(80);
export const BaseUrl = z
  .string()
  .max(500)
  .nullable()
  .describe("Base URL to use instead of the provider's own, for a test server or a self-hosted service.");

/** What the sender needs of a connection, with its credentials opened. The caller keeps it no longer than its work takes. */
export async function openConnection(
  ctx: Ctx,
  connectionId: string,
): Promise<{ provider: AnyProvider; connection: Connection<Record<string, unknown>>; status: string }> {
  const [row] = await ctx.db<
    Pick<ConnectionRow, "id" | "provider" | "credentials" | "settings" | "base_url" | "status">[]
  >`
    select id, provider, credentials, settings, base_url, status from public.connections
    where tenant_id = ${ctx.tenantId} and id = ${connectionId}`;
  if (!row) throw noConnection();
  const provider = providerOf(ctx.registry, row.provider);
  return { provider, connection: await toOpenConnection(ctx, ctx.tenantId, provider, row), status: row.status };
}

/** Turns the unique key on (tenant, name) into a sentence. */
export const uniqueName = (error: unknown, name: string): unknown =>
  (error as { code?: string }).code === "23505"
    ? new AppError("conflict", `A connection named «${name}» exists already.`, {
        errors: [{ pointer: "/name", detail: "is taken" }],
      })
    : error;

export const listConnections = defineOperation({
  id: "connections.list",
  method: "GET",
  path: "/connections",
  summary: "List connections, newest first",
  permission: "providers:read",
  input: z.object({
    ...pageParams,
    ...searchParam,
    status: z.enum(CONNECTION_STATUS).optional(),
    category: z.string().max(40).optional(),
  }),
  output: pageOf(ConnectionSchema),
  async handle(ctx, { limit, cursor, search, status, category }) {
    const before = decodeCursor(cursor, z.tuple([z.uuid()]))?.[0] ?? null;
    const rows = await ctx.db<PublicRow[]>`
      select ${publicColumns(ctx.db)} from public.connections
      where tenant_id = ${ctx.tenantId} ${before ? ctx.db`and id < ${before}` : ctx.db``}
        ${status ? ctx.db`and status = ${status}` : ctx.db``} ${category ? ctx.db`and category = ${category}` : ctx.db``}
        ${search ? ctx.db`and position(kernel.fold(${search}::text) in kernel.fold(name)) > 0` : ctx.db``}
      order by id desc limit ${limit + 1}`;
    return toPage(
      rows,
      limit,
      (r) => [r.id],
      (r) => toConnection(r, ctx),
    );
  },
});

export const getConnection = defineOperation({
  id: "connections.get",
  method: "GET",
  path: "/connections/{id}",
  summary: "Read a connection with its health",
  permission: "providers:read",
  input: z.object({ id: z.uuid() }),
  output: ConnectionSchema,
  async handle(ctx, { id }) {
    const [row] = await ctx.db<PublicRow[]>`
      select ${publicColumns(ctx.db)} from public.connections where tenant_id = ${ctx.tenantId} and id = ${id}`;
    if (!row) throw noConnection();
    return toConnection(row, ctx);
  },
});

function providerField(registry: Ctx["registry"], id: string): AnyProvider {
  try {
    return providerOf(registry, id);
  } catch (error) {
    throw error instanceof AppError ? invalidField("/provider", error.message, error.suggestion) : error;
  }
}

export const createConnection = defineOperation({
  id: "connections.create",
  method: "POST",
  path: "/connections",
  summary: "Create a connection",
  description:
    "The connection starts as a draft: check it, then activate it. Credentials are stored encrypted and are never returned.",
  permission: "providers:write",
  input: z.object({
    provider: z.string().max(40),
    name: Name,
    credentials: values,
    settings: values.default({}),
    base_url: BaseUrl.optional(),
  }),
  output: ConnectionSchema,
  status: 201,
  async handle(ctx, input) {
    const provider = providerField(ctx.registry, input.provider);
    const baseUrl = checkBaseUrl(input.base_url, provider, ctx.http);
    const credentials = parseCredentials(provider, input.credentials);
    const settings = parseSettings(provider, input.settings, baseUrl);
    const id = uuid7();
    const sealed = await sealCredentials(ctx.vault, ctx.tenantId, id, credentials);
    try {
      const [row] = await ctx.db<PublicRow[]>`
        insert into public.connections (tenant_id, id, provider, category, name, settings, base_url, credentials, credentials_set)
        values (${ctx.tenantId}, ${id}, ${provider.id}, ${provider.category}, ${input.name}, ${ctx.db.json(settings)}, ${baseUrl}, ${sealed},
          ${Object.keys(credentials).sort()})
        returning ${publicColumns(ctx.db)}`;
      ctx.audit({ provider: provider.id, name: input.name }, id);
      return toConnection(row!, ctx);
    } catch (error) {
      throw uniqueName(error, input.name);
    }
  },
});

export const deleteConnection = defineOperation({
  id: "connections.delete",
  method: "DELETE",
  path: "/connections/{id}",
  summary: "Delete a connection that is not in use",
  permission: "providers:write",
  input: z.object({ id: z.uuid() }),
  output: z.null(),
  status: 204,
  async handle(ctx, { id }) {
    const [gone] = await ctx.db<{ name: string; provider: string }[]>`
      delete from public.connections c where c.tenant_id = ${ctx.tenantId} and c.id = ${id}
        and not exists (select from public.senders s where s.tenant_id = c.tenant_id and s.connection_id = c.id)
        and not exists (select from public.campaign_senders k where k.tenant_id = c.tenant_id and k.connection_id = c.id)
      returning c.name, c.provider`;
    if (gone) {
      ctx.audit(gone, id);
      return null;
    }
    const users = await ctx.db<{ label: string | null }[]>`
      select x.label from public.connections c left join lateral (
        select 'sender ' || s.address as label from public.senders s where s.tenant_id = c.tenant_id and s.connection_id = c.id
        union all
        select 'campaign «' || k.name || '»' from public.campaigns k join public.campaign_senders cs on cs.tenant_id = k.tenant_id and cs.campaign_id = k.id
        where k.tenant_id = c.tenant_id and cs.connection_id = c.id) x on true
      where c.tenant_id = ${ctx.tenantId} and c.id = ${id} order by 1 limit 6`;
    if (users.length === 0) throw noConnection();
    const named = users
      .slice(0, 5)
      .map((u) => u.label)
      .join(", ");
    throw new AppError("conflict", `The connection is in use by ${named}${users.length > 5 ? " and others" : ""}.`, {
      suggestion: "Delete these first, or pause the connection instead.",
    });
  },
});

/** The moves between states that a person makes; each is one statement, so two clicks cannot both win. */
async function move(
  ctx: Ctx,
  id: string,
  from: ConnectionStatus[],
  to: ConnectionStatus,
  why: (status: ConnectionStatus) => AppError,
) {
  const [row] = await ctx.db<PublicRow[]>`
    update public.connections set status = ${to} where tenant_id = ${ctx.tenantId} and id = ${id} and status = any(${from})
    returning ${publicColumns(ctx.db)}`;
  if (row) return toConnection(row, ctx);
  const [now] = await ctx.db<PublicRow[]>`
    select ${publicColumns(ctx.db)} from public.connections where tenant_id = ${ctx.tenantId} and id = ${id}`;
  if (!now) throw noConnection();
  // Asked for what is so already: a repeated click is no error.
  if (now.status === to) return toConnection(now, ctx);
  throw why(now.status);
}

export const activateConnection = defineOperation({
  id: "connections.activate",
  method: "POST",
  path: "/connections/{id}/activate",
  summary: "Activate a checked connection",
  permission: "providers:write",
  input: z.object({ id: z.uuid() }),
  output: ConnectionSchema,
  handle: (ctx, { id }) =>
    move(
      ctx,
      id,
      ["tested", "paused"],
      "active",
      (status) =>
        new AppError(
          "conflict",
          status === "issue"
            ? "The provider rejected the credentials of this connection."
            : "The connection has not passed a check yet.",
          {
            suggestion: `Check it first with POST /connections/${id}/check.`,
          },
        ),
    ),
});

export const pauseConnection = defineOperation({
  id: "connections.pause",
  method: "POST",
  path: "/connections/{id}/pause",
  summary: "Pause a connection",
  description:
    "No messages are sent through the connection while it is paused; they wait. Webhooks and replies are still received.",
  permission: "providers:write",
  input: z.object({ id: z.uuid() }),
  output: ConnectionSchema,
  handle: (ctx, { id }) =>
    move(
      ctx,
      id,
      ["active"],
      "paused",
      (status) => new AppError("conflict", `Only an active connection can be paused; this one is ${status}.`),
    ),
});
