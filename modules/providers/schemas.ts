import { z } from "zod";
import type { Services } from "../kernel/context.ts";
import { webhookUrl } from "./webhook-url.ts";

/** What the API says about connections and senders. Credentials have no place in here. */

export const CONNECTION_STATUS = ["draft", "tested", "active", "paused", "issue"] as const;
export const SENDER_STATUS = ["active", "paused"] as const;
/** What a limit counts in, in the sender's own time zone. */
export const LIMIT_PERIODS = ["hour", "day", "week"] as const;
export type ConnectionStatus = (typeof CONNECTION_STATUS)[number];

const at = z.iso.datetime().nullable();

export const ConnectionSchema = z
  .object({
    id: z.uuid(),
    provider: z.string(),
    name: z.string(),
    category: z
      .string()
      .describe("The use of the provider: a channel such as `email`, or another category such as `crm`."),
    status: z
      .enum(CONNECTION_STATUS)
      .describe(
        "draft → tested (after a passed check) → active ⇄ paused; issue after the provider rejected the credentials.",
      ),
    settings: z.record(z.string(), z.unknown()),
    base_url: z.string().nullable(),
    credentials_set: z.array(z.string()).describe("Names of the stored credentials. Their values are never returned."),
    webhook_url: z
      .string()
      .nullable()
      .describe("URL to which the provider sends its events; null for providers without webhooks."),
    webhook_registered: z.boolean(),
    health: z.object({
      sent: z.number().int(),
      failed: z.number().int(),
      consecutive_failures: z.number().int(),
      last_success_at: at,
      last_error: z.string().nullable(),
      last_error_at: at,
      circuit_open_until: at.describe(
        "No requests are made on the connection until this time, because it failed repeatedly.",
      ),
    }),
    created_at: z.iso.datetime(),
    updated_at: z.iso.datetime(),
  })
  .meta({ id: "Connection" });

export type ConnectionRow = {
  id: string;
  provider: string;
  name: string;
  category: string;
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
  circuit_open_until: Date | null;
  created_at: Date;
  updated_at: Date;
};

const iso = (moment: Date | null): string | null => moment?.toISOString() ?? null;

/** A row as the API shows it: everything but the ciphertext. */
export function toConnection(
  row: Omit<ConnectionRow, "credentials">,
  { config, registry }: Pick<Services, "config" | "registry">,
): z.output<typeof ConnectionSchema> {
  // A provider may have left the registry; its connections are still listed, so that they can be removed.
  const provider = registry.providers.find((p) => p.id === row.provider);
  return {
    id: row.id,
    provider: row.provider,
    name: row.name,
    category: row.category,
    status: row.status,
    settings: row.settings,
    base_url: row.base_url,
    credentials_set: row.credentials_set,
    webhook_url: provider?.webhook ? webhookUrl(config.publicUrl, row.provider, row.id) : null,
    webhook_registered: row.webhook_registered,
    health: {
      sent: row.sent,
      failed: row.failed,
      consecutive_failures: row.consecutive_failures,
      last_success_at: iso(row.last_success_at),
      last_error: row.last_error,
      last_error_at: iso(row.last_error_at),
      circuit_open_until: iso(row.circuit_open_until),
    },
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}

export const SenderSchema = z
  .object({
    id: z.uuid(),
    channel: z.string(),
    connection_id: z.uuid(),
    address: z
      .string()
      .describe("In the channel's normal form: an email address, a phone number, a Messaging Service."),
    display_name: z.string(),
    profile: z.record(z.string(), z.unknown()).describe("Further fields of the channel, such as reply_to for email."),
    limits: z.array(
      z.object({
        action: z.string().describe("The limited action, such as `email.send`."),
        per: z.enum(LIMIT_PERIODS).describe("In the sender's own time zone; a week begins on Monday."),
        cap: z.number().int(),
        used: z.number().int().describe("The part of the limit that is used or reserved in the current period."),
      }),
    ),
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
