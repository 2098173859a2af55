import { z } from "zod";
import type { Ctx, ManualCtx } from "../kernel/context.ts";
import { AppError } from "../kernel/errors.ts";
import { HttpError } from "../kernel/http/client.ts";
import { defineManualOperation } from "../kernel/operations/operation.ts";
import type { AnyProvider, CheckResult, Connection } from "../kernel/provider.ts";
import { providerOf } from "../kernel/registry.ts";
import { noConnection, type PublicRow, publicColumns } from "./connections.ts";
import {
  openCredentials,
  registration,
  scrub,
  scrubError,
  sealCredentials,
  toOpenConnection,
  type Values,
} from "./credentials.ts";
import { type ConnectionRow, ConnectionSchema, toConnection } from "./schemas.ts";
import { webhookUrl } from "./webhook-url.ts";

/**
 * The two acts that call a provider while somebody waits. No transaction is open during the call. A provider that runs only
 * in the worker (SMTP needs raw TCP) is called from here too: the API runs under Deno or Node, which have sockets.
 */

type Opened = { row: ConnectionRow; provider: AnyProvider; connection: Connection<Values> };

async function open(ctx: Ctx, id: string): Promise<Opened> {
  const [row] = await ctx.db<
    ConnectionRow[]
  >`select * from public.connections where tenant_id = ${ctx.tenantId} and id = ${id}`;
  if (!row) throw noConnection();
  const provider = providerOf(ctx.registry, row.provider);
  return { row, provider, connection: await toOpenConnection(ctx, ctx.tenantId, provider, row) };
}

type Verdict = CheckResult & { certain: boolean };

/** A refusal says the credentials are bad; silence says nothing about them. */
async function ask(ctx: ManualCtx, { provider, connection }: Opened): Promise<Verdict> {
  try {
    const result = await provider.check(connection, ctx.http);
    return { ...result, detail: scrub(result.detail, provider, connection.credentials), certain: true };
  } catch (error) {
    if (error instanceof HttpError) {
      const suggestion =
        error.kind === "blocked"
          ? undefined
          : "Try again; if the error stays, check the provider's status page and the base URL.";
      return {
        ok: false,
        code: error.kind,
        detail: scrub(error.message, provider, connection.credentials),
        suggestion,
        certain: error.kind === "blocked",
      };
    }
    if (error instanceof AppError && error.status < 500) {
      return {
        ok: false,
        code: error.code,
        detail: scrub(error.message, provider, connection.credentials),
        suggestion: error.suggestion,
        certain: true,
      };
    }
    ctx.log.error("a connection check failed", { provider: provider.id, connection: connection.id, error });
    const detail =
      error instanceof AppError
        ? scrub(error.message, provider, connection.credentials)
        : `${provider.label} sent a response that cannot be read.`;
    return { ok: false, code: error instanceof AppError ? error.code : "bad_answer", detail, certain: false };
  }
}

export const checkConnection = defineManualOperation({
  id: "connections.check",
  method: "POST",
  path: "/connections/{id}/check",
  summary: "Check the credentials with the provider",
  description:
    "A passed check changes the status `draft` or `issue` to `tested`. A failed check changes it to `draft`, or to `issue` if the connection was in use.",
  permission: "providers:write",
  input: z.object({ id: z.uuid() }),
  output: z.object({
    ok: z.boolean(),
    code: z.string().optional(),
    detail: z.string(),
    suggestion: z.string().optional(),
    connection: ConnectionSchema,
  }),
  async handle(ctx, { id }) {
    const opened = await ctx.tx((tx) => open(tx, id));
    const { certain, ...verdict } = await ask(ctx, opened);
    const { row } = opened;
    return await ctx.tx(async (tx) => {
      const { db, tenantId, now } = tx;
      // Only if what was checked is still what is stored.
      const [saved] = await db<PublicRow[]>`
        update public.connections set
          status = case
            when ${verdict.ok} then case when status in ('draft', 'issue') then 'tested' else status end
            when not ${certain} then status
            when status in ('active', 'paused', 'issue') then 'issue'
            else 'draft' end,
          consecutive_failures = case when ${verdict.ok} then 0 else consecutive_failures end,
          consecutive_rejections = case when ${verdict.ok} then 0 else consecutive_rejections end,
          circuit_open_until = case when ${verdict.ok} then null else circuit_open_until end,
          last_error = ${verdict.ok ? null : verdict.detail},
          last_error_at = ${verdict.ok ? null : now}
        where tenant_id = ${tenantId} and id = ${id} and credentials = ${row.credentials}
          and base_url is not distinct from ${row.base_url} and settings = ${db.json(row.settings)}
        returning ${publicColumns(db)}`;
      if (!saved)
        throw new AppError("conflict", "The connection was changed during the check.", {
          suggestion: "Check the connection again.",
        });
      return { ...verdict, connection: toConnection(saved, tx) };
    });
  },
});

export const registerWebhook = defineManualOperation({
  id: "connections.register_webhook",
  method: "POST",
  path: "/connections/{id}/register-webhook",
  summary: "Register this installation's webhook at the provider",
  description: "For delivery events and replies. Can be repeated; stores the signing secret that the provider returns.",
  permission: "providers:write",
  input: z.object({ id: z.uuid() }),
  output: z.object({ detail: z.string(), connection: ConnectionSchema }),
  async handle(ctx, { id }) {
    const { row, provider, connection } = await ctx.tx((tx) => open(tx, id));
    if (!provider.webhook?.register) {
      throw new AppError("conflict", `${provider.label} has no webhooks that can be registered through its API.`, {
        suggestion: provider.webhook
          ? `Enter ${webhookUrl(ctx.config.publicUrl, provider.id, id)} in its dashboard.`
          : undefined,
      });
    }
    const url = connection.webhook_url;
    if (url === null)
      throw new AppError(
        "conflict",
        `The provider cannot reach ${ctx.config.publicUrl}, the address at which this installation receives webhooks.`,
        {
          suggestion:
            "Set OVERTURE_PUBLIC_URL to an address that is reachable from the internet, then register the webhook again.",
        },
      );
    const given = await register(ctx, provider.webhook.register, url, provider, connection);
    return await ctx.tx(async (tx) => {
      const { db, tenantId, vault } = tx;
      const [now] = await db<
        ConnectionRow[]
      >`select * from public.connections where tenant_id = ${tenantId} and id = ${id} for update`;
      if (!now) throw noConnection();
      const stored = await openCredentials(vault, tenantId, id, now.credentials);
      // It was registered with what was stored before the call.
      if (
        registration(stored, now.settings, now.base_url) !==
        registration(connection.credentials, row.settings, row.base_url)
      )
        throw new AppError("conflict", "The connection was changed at the same time.", {
          suggestion: "Register the webhook again.",
        });
      const credentials = { ...stored, ...given.credentials };
      const sealed = await sealCredentials(vault, tenantId, id, credentials);
      const [saved] = await db<PublicRow[]>`
        update public.connections set credentials = ${sealed}, credentials_set = ${Object.keys(credentials).sort()}, webhook_registered = true
        where tenant_id = ${tenantId} and id = ${id} returning ${publicColumns(db)}`;
      return { detail: scrub(given.detail, provider, credentials), connection: toConnection(saved!, tx) };
    });
  },
});

async function register(
  ctx: ManualCtx,
  act: NonNullable<NonNullable<AnyProvider["webhook"]>["register"]>,
  url: string,
  provider: AnyProvider,
  connection: Connection<Values>,
): Promise<{ credentials: Values; detail: string }> {
  try {
    return await act(url, connection, ctx.http);
  } catch (error) {
    const clean = scrubError(error, provider, connection.credentials);
    throw clean instanceof HttpError
      ? new AppError("upstream", `${provider.label} could not be reached: ${clean.message}`)
      : clean;
  }
}
