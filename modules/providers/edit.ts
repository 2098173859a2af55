import { z } from "zod";
import { AppError } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import type { AnyProvider } from "../kernel/provider.ts";
import { providerOf } from "../kernel/registry.ts";
import { checkBaseUrl } from "./base-url.ts";
import { BaseUrl, Name, noConnection, type PublicRow, publicColumns, uniqueName, values } from "./connections.ts";
import {
  canonical,
  mergeValues,
  openCredentials,
  outgoingSecrets,
  parseCredentials,
  parseSettings,
  registration,
  sealCredentials,
  type Values,
} from "./credentials.ts";
import { type ConnectionRow, ConnectionSchema, toConnection } from "./schemas.ts";

/** Stored secrets must not travel to a server that somebody entered without knowing them. */
function requireSecretsAgain(provider: AnyProvider, stored: Values, patch: Values): void {
  const missing = outgoingSecrets(provider).filter(
    (key) => stored[key] !== undefined && typeof patch[key] !== "string",
  );
  if (missing.length === 0) return;
  throw new AppError(
    "invalid",
    `The server is changed, so enter ${missing.join(" and ")} again: stored secrets are not sent to another server.`,
    {
      errors: missing.map((key) => ({
        pointer: `/credentials/${key}`,
        detail: "must be entered again when the server is changed",
      })),
    },
  );
}

const outgoing = (credentials: Values): Values =>
  Object.fromEntries(Object.entries(credentials).filter(([key]) => !key.startsWith("webhook_")));

export const updateConnection = defineOperation({
  id: "connections.update",
  method: "PATCH",
  path: "/connections/{id}",
  summary: "Change a connection",
  description:
    "Credentials and settings are merged; null removes a field. A change of fields that are sent to the provider sets the status to `draft` again. " +
    "After a change of account, server or webhook secret, register the webhook again. After a change of server, enter the secrets again.",
  permission: "providers:write",
  input: z.object({
    id: z.uuid(),
    name: Name.optional(),
    credentials: values.optional(),
    settings: values.optional(),
    base_url: BaseUrl.optional(),
  }),
  output: ConnectionSchema,
  async handle(ctx, input) {
    const [row] = await ctx.db<ConnectionRow[]>`
      select * from public.connections where tenant_id = ${ctx.tenantId} and id = ${input.id} for update`;
    if (!row) throw noConnection();
    const provider = providerOf(ctx.registry, row.provider);
    const stored = await openCredentials(ctx.vault, ctx.tenantId, row.id, row.credentials);
    const patch = input.credentials ?? {};
    const baseUrl = input.base_url === undefined ? row.base_url : checkBaseUrl(input.base_url, provider, ctx.http);
    const settings =
      input.settings || input.base_url !== undefined
        ? parseSettings(provider, mergeValues(row.settings, input.settings ?? {}), baseUrl)
        : row.settings;
    const moved =
      baseUrl !== row.base_url || settings.host !== row.settings.host || settings.port !== row.settings.port;
    if (moved) requireSecretsAgain(provider, stored, patch);

    const credentials = Object.keys(patch).length > 0 ? parseCredentials(provider, mergeValues(stored, patch)) : stored;
    // What only checks incoming calls needs no new check of the account.
    const changed =
      canonical(outgoing(credentials), settings, baseUrl) !== canonical(outgoing(stored), row.settings, row.base_url);
    // A webhook at another account, or with another secret, tells this connection nothing.
    const registered =
      registration(credentials, settings, baseUrl) === registration(stored, row.settings, row.base_url);
    const sealed =
      credentials === stored ? row.credentials : await sealCredentials(ctx.vault, ctx.tenantId, row.id, credentials);
    try {
      const [saved] = await ctx.db<PublicRow[]>`
        update public.connections set name = ${input.name ?? row.name}, settings = ${ctx.db.json(settings)}, base_url = ${baseUrl},
          credentials = ${sealed}, credentials_set = ${Object.keys(credentials).sort()},
          status = case when ${changed} then 'draft' else status end,
          webhook_registered = webhook_registered and ${registered},
          consecutive_failures = case when ${changed} then 0 else consecutive_failures end,
          circuit_open_until = case when ${changed} then null else circuit_open_until end
        where tenant_id = ${ctx.tenantId} and id = ${row.id}
        returning ${publicColumns(ctx.db)}`;
      return toConnection(saved!, ctx);
    } catch (error) {
      throw uniqueName(error, input.name ?? row.name);
    }
  },
});
