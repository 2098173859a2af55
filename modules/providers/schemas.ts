import { z } from "zod";
import { providers } from "./registry.ts";

/** What the API says about connections and senders. Credentials have no place in here. */

export const CONNECTION_STATUS = ["draft", "tested", "active", "paused", "issue"] as const;
export const SENDER_STATUS = ["active", "paused"] as const;
export type ConnectionStatus = (typeof CONNECTION_STATUS)[number];

const at = z.iso.datetime().nullable();

export const ConnectionSchema = z
  .object({
    id: z.uuid(),
    provider: z.string(),
    name: z.string(),
    channel: z.string(),
    status: z
      .enum(CONNECTION_STATUS)
      .describe("draft → tested (by a passing check) → active ⇄ paused; issue after a refusal by the provider."),
    settings: z.record(z.string(), z.unknown()),
    base_url: z.string().nullable(),
    credentials_set: z.array(z.string()).describe("Which credentials are stored. Their values are never given out."),
    webhook_url: z.string().nullable().describe("Where the provider posts its events; null where it has none."),
    webhook_registered: z.boolean(),
    health: z.object({
      sent: z.number().int(),
      failed: z.number().int(),
      consecutive_failures: z.number().int(),
      last_success_at: at,
      last_error: z.string().nullable(),
      last_error_at: at,
      open_until: at.describe("The circuit breaker rests the connection until then."),
    }),
    created_at: z.iso.datetime(),
    updated_at: z.iso.datetime(),
  })
  .meta({ id: "Connection" });

export type ConnectionRow = {
  id: string;
  provider: string;
  name: string;
  channel: string;
  status: ConnectionStatus;
  settings: Record<string, unknown>;
  base_url: string | null;
  credentials: string;
  credentials_set: string[];
  webhook_registered: boolean;
  sent: number;
  failed: number;
  consecutive_failures: number;
  last_success_at: Date | null;
  last_error: string | null;
  last_error_at: Date | null;
  open_until: Date | null;
  created_at: Date;
  updated_at: Date;
};

const iso = (moment: Date | null): string | null => moment?.toISOString() ?? null;

/** Where a provider posts to: provider and connection, never the tenant. */
export const webhookUrl = (publicUrl: string, provider: string, id: string): string =>
  `${publicUrl}/webhooks/${provider}/${id}`;

/** A row as the API shows it: everything but the ciphertext. */
export function toConnection(
  row: Omit<ConnectionRow, "credentials">,
  publicUrl: string,
): z.output<typeof ConnectionSchema> {
  // A provider may have left the registry; its connections are still listed, so that they can be removed.
  const provider = providers.find((p) => p.id === row.provider);
  return {
    id: row.id,
    provider: row.provider,
    name: row.name,
    channel: row.channel,
    status: row.status,
    settings: row.settings,
    base_url: row.base_url,
    credentials_set: row.credentials_set,
    webhook_url: provider?.verify ? webhookUrl(publicUrl, row.provider, row.id) : null,
    webhook_registered: row.webhook_registered,
    health: {
      sent: row.sent,
      failed: row.failed,
      consecutive_failures: row.consecutive_failures,
      last_success_at: iso(row.last_success_at),
      last_error: row.last_error,
      last_error_at: iso(row.last_error_at),
      open_until: iso(row.open_until),
    },
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}

export const SenderSchema = z
  .object({
    id: z.uuid(),
    connection_id: z.uuid(),
    from_email: z.string(),
    from_name: z.string(),
    reply_to: z.string().nullable(),
    daily_cap: z.number().int(),
    sent_today: z.number().int().describe("Of the daily cap, spoken for today in the sender's own time zone."),
    time_zone: z.string(),
    status: z.enum(SENDER_STATUS),
    created_at: z.iso.datetime(),
    updated_at: z.iso.datetime(),
  })
  .meta({ id: "Sender" });

export type SenderRow = Omit<z.output<typeof SenderSchema>, "created_at" | "updated_at"> & {
  created_at: Date;
  updated_at: Date;
};

export const toSender = (row: SenderRow): z.output<typeof SenderSchema> => ({
  ...row,
  created_at: row.created_at.toISOString(),
  updated_at: row.updated_at.toISOString(),
});
