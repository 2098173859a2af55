import ipaddr from "ipaddr.js";
import { isPublicAddress } from "../kernel/http/client.ts";
import type { AnyProvider } from "../kernel/provider.ts";

/** Where a provider posts to: provider and connection, never the tenant. */
export const webhookUrl = (publicUrl: string, provider: string, id: string): string =>
  `${publicUrl}/webhooks/${provider}/${id}`;

/**
 * The webhook address to give to the provider, or null: it takes none, or this installation is at a private address that a
 * provider on the internet cannot call. A rehearsal server or a peer in the same network (`base_url`) can.
 */
export function reachableWebhookUrl(
  publicUrl: string,
  provider: AnyProvider,
  row: { id: string; base_url: string | null },
): string | null {
  if (!provider.webhook) return null;
  const host = new URL(publicUrl).hostname.replace(/^\[|\]$/g, "");
  const hidden = ipaddr.isValid(host) ? !isPublicAddress(host) : host === "localhost" || !host.includes(".");
  return hidden && row.base_url === null ? null : webhookUrl(publicUrl, provider.id, row.id);
}
