import { AppError } from "../kernel/errors.ts";
import { gather } from "../kernel/gather.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { AnyProvider, WebhookRequest } from "../kernel/provider.ts";
import { toOpenConnection } from "./credentials.ts";
import type { ConnectionRow } from "./schemas.ts";
import { webhookUrl } from "./webhook-url.ts";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** One answer for every wrong address, so that nobody can try out connection ids. */
const noWebhook = () => new AppError("not_found", "No such webhook.");

type Target = Pick<ConnectionRow, "provider" | "credentials" | "settings" | "base_url"> & { tenant_id: string };

/** The connections of calls that come together; null for what is none. */
const findTarget = gather<string, Target | null>(async (kernel, ids) => {
  const rows = await kernel.database.once(
    (sql) => sql<(Target & { id: string })[]>`
      select id, tenant_id, provider, credentials, settings, base_url from private.connections_for_webhooks(${ids as string[]}::uuid[])`,
  );
  const byId = new Map(rows.map(({ id, ...target }) => [id, target]));
  return ids.map((id) => byId.get(id) ?? null);
});

type Delivery = { connection: string; delivery: string; body: Uint8Array; context: Record<string, string> };

/** Stores deliveries that come together in one statement. Whether each was new; null: its connection is gone. */
const takeDelivery = gather<Delivery, boolean | null>(
  async (kernel, deliveries) => {
    const [row] = await kernel.database.once(
      (sql) => sql<[{ fresh: (boolean | null)[] }]>`
        select to_jsonb(private.take_deliveries(${deliveries.map((d) => d.connection)}::uuid[], ${deliveries.map((d) => d.delivery)}::text[],
          ${sql.array(deliveries.map((d) => d.body) as never[])}::bytea[], ${sql.json(deliveries.map((d) => d.context))})) as fresh`,
    );
    return row.fresh;
  },
  { weight: { of: ({ body }) => body.byteLength, most: 1_000_000 } },
);

/**
 * Takes a provider's call: finds the connection, reads the body, verifies the raw bytes, stores them once, puts them on the queue.
 * No product logic runs before the answer, and nobody's megabytes are read for an address that is none. `call.url` is as this process
 * saw it: behind a proxy only its query is the provider's own. Returns whether the delivery was new, and what the provider wants to
 * hear. Throws `not_found` or `unauthenticated`, and what `readBytes` throws.
 */
export async function ingest(
  kernel: Kernel,
  providerId: string,
  connectionId: string,
  call: Omit<WebhookRequest, "body">,
  readBytes: () => Promise<WebhookRequest["body"]>,
): Promise<{ fresh: boolean; answer: NonNullable<AnyProvider["webhook"]>["answer"] }> {
  const provider = kernel.registry.providers.find((p) => p.id === providerId);
  if (!provider?.webhook || !UUID.test(connectionId)) throw noWebhook();
  const id = connectionId.toLowerCase();
  // Two statements and no transaction, shared with what comes at the same time: what a provider waits for is these.
  const target = await findTarget(kernel, id);
  if (!target || target.provider !== providerId) throw noWebhook();
  // The address we gave to the provider, as it may have signed it: a proxy replaces scheme, host and path on the way here.
  const url = webhookUrl(kernel.config.publicUrl, providerId, id) + new URL(call.url).search;
  const request = { ...call, url, body: await readBytes() };

  const connection = await toOpenConnection(kernel, target.tenant_id, provider, { ...target, id });
  const { delivery_id, context = {} } = await provider.webhook.verify(request, connection);
  if (delivery_id.length === 0 || delivery_id.length > 300)
    throw new AppError("unauthenticated", "The delivery id is not usable.");

  const fresh = await takeDelivery(kernel, { connection: id, delivery: delivery_id, body: request.body, context });
  // Deleted since it was found.
  if (fresh === null) throw noWebhook();
  kernel.metrics.count(
    "overture_webhooks_total",
    "Webhooks received",
    { provider: providerId, fresh: String(fresh) },
    1,
  );
  return { fresh, answer: provider.webhook.answer };
}
