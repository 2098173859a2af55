import { uuid7 } from "../modules/kernel/ids.ts";
import { type Figure, valueFigure } from "./figure.ts";
import { openConnection } from "../modules/providers/connections.ts";
import { fireAt } from "./load.ts";
import { inWorld } from "./world.ts";

/** Acknowledging a provider's webhooks at 500 a second, one event each, while the worker applies them. */

const RATE = 500;

export const webhooks = (seconds = 6): Promise<Figure[]> =>
  inWorld(
    { gateway: true, services: { functions: true, worker: true, cron: true, sandbox: true } },
    async ({ stack, admin, team, call, kernel }) => {
      const me = await team("Webhooks");
      const base = `${stack.env.OVERTURE_SANDBOX_URL}/postmark`;
      const connection = await call(me, "POST", "/connections", {
        provider: "postmark",
        name: "Sandbox",
        credentials: { server_token: crypto.randomUUID() },
        base_url: base,
      });
      await call(me, "POST", `/connections/${connection.id}/register-webhook`);
      const scope = { actor: { kind: "job", name: "bench" } as const, tenantId: me.id };
      const { credentials } = (await kernel.run(scope, (ctx) => openConnection(ctx, connection.id))).connection;
      const authorization = `Basic ${btoa(`${credentials.webhook_username}:${credentials.webhook_password}`)}`;
      const path = `/webhooks/postmark/${connection.id}`;
      const many = 2_000;
      const ids = Array.from({ length: many }, () => uuid7());
      await admin`
      insert into public.messages (tenant_id, id, direction, connection_id, status, attempts, from_email, to_email, thread_id, provider_message_id, sent_at)
      select ${me.id}, m.id, 'out', ${connection.id}, 'sent', 1, 'sam@us.test', 'p' || m.n || '@example.com', m.id, 'pm-' || m.n, now()
      from unnest(${ids}::uuid[]) with ordinality m (id, n)`;
      let n = 0;
      const shoot = (duration: number) =>
        fireAt({
          url: stack.url,
          connections: 50,
          overallRate: RATE,
          duration,
          requests: [
            {
              method: "POST",
              path,
              headers: { "content-type": "application/json", authorization },
              setupRequest: (request) => ({
                ...request,
                body: JSON.stringify({
                  RecordType: n % 2 ? "Open" : "Delivery",
                  MessageID: `pm-${1 + (n % many)}`,
                  Recipient: `p${1 + (n % many)}@example.com`,
                  DeliveredAt: new Date(Date.now() - n).toISOString(),
                  ReceivedAt: new Date(Date.now() - n++).toISOString(),
                  Metadata: { message_id: ids[n % many] },
                }),
              }),
            },
          ],
        });
      await shoot(2);
      const r = await shoot(seconds);
      const [stored] = await admin<
        { n: number }[]
      >`select count(*)::int as n from public.webhook_deliveries where tenant_id = ${me.id}`;
      const detail = {
        asked_per_s: RATE,
        answered_per_s: Math.round(r.requests.average),
        p50_ms: r.latency.p50,
        p99_ms: r.p99,
        slowest_from_when_due_p97_5_ms: r.latency.p97_5,
        failed: r.errors + r.non2xx,
        stored: stored!.n,
      };
      const figure = valueFigure("webhooks", r.p95, "ms p95", "< 50", detail);
      return [{ ...figure, ok: figure.ok && r.errors + r.non2xx === 0 && r.requests.average > RATE * 0.9 }];
    },
  );
