import { AppError } from "../kernel/errors.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { WebhookRequest } from "../kernel/provider.ts";
import { toOpenConnection } from "./credentials.ts";
import { providers } from "./registry.ts";
import type { ConnectionRow } from "./schemas.ts";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** One answer for every wrong address, so that nobody can try out connection ids. */
const noWebhook = () => new AppError("not_found", "No such webhook.");

type Target = Pick<ConnectionRow, "provider" | "credentials" | "settings" | "base_url"> & { tenant_id: string };

/**
 * Takes a provider's call: finds the connection, reads the body, verifies the raw bytes, stores them once, puts them on the queue.
 * No product logic runs before the answer, and nobody's megabytes are read for an address that is none. Returns whether the delivery
 * was new. Throws `not_found` or `unauthenticated`, and what `readBytes` throws.
 */
export async function ingest(
  kernel: Kernel,
  providerId: string,
  connectionId: string,
  call: Omit<WebhookRequest, "body">,
  readBytes: () => Promise<WebhookRequest["body"]>,
): Promise<boolean> {
  const provider = providers.find((p) => p.id === providerId);
  if (!provider?.verify || !UUID.test(connectionId)) throw noWebhook();
  // Two statements and no transaction: what a provider waits for is these.
  const [target] = await kernel.database.once(
    (sql) =>
      sql<
        Target[]
      >`select tenant_id, provider, credentials, settings, base_url from private.connection_for_webhook(${connectionId})`,
  );
  if (!target || target.provider !== providerId) throw noWebhook();
  const request = { ...call, body: await readBytes() };

  const connection = await toOpenConnection(kernel.vault, target.tenant_id, {
    ...target,
    id: connectionId.toLowerCase(),
  });
  const { delivery_id } = await provider.verify(request, connection);
  if (delivery_id.length === 0 || delivery_id.length > 300)
    throw new AppError("unauthenticated", "The delivery id is not usable.");

  const [taken] = await kernel.database.once(
    (sql) =>
      sql<
        [{ fresh: boolean | null }]
      >`select private.take_delivery(${connection.id}, ${delivery_id}, ${request.body}) as fresh`,
  );
  const { fresh } = taken;
  // Deleted since it was found.
  if (fresh === null) throw noWebhook();
  kernel.metrics.count("overture_webhooks_total", "Webhooks taken", { provider: providerId, fresh: String(fresh) }, 1);
  return fresh;
}
