import { Agent, request as httpRequest } from "node:http";
import { uuid7 } from "../modules/kernel/database/ids.ts";
import { withBareServer } from "./bare.ts";
import { type Figure, percentile, ratioFigure, tenth } from "./figure.ts";
import { openConnection } from "../modules/providers/connections.ts";
import { inWorld } from "./world.ts";

/**
 * Acknowledging a provider's webhooks at 500 a second, one event each, while the worker applies them; beside it a bare route that checks
 * a password, stores the bytes once and puts them on a queue.
 */

const RATE = 500;

export const webhooks = (seconds = 6): Promise<Figure[]> =>
  inWorld({ gateway: true, services: { functions: true, worker: true, cron: true, sandbox: true } }, async (world) => {
    const { stack, admin, team, call, kernel } = world;
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
    const many = 2_000;
    const ids = Array.from({ length: many }, () => uuid7());
    await admin`
      insert into public.messages (tenant_id, id, direction, channel, action, connection_id, status, attempts, from_address, to_address, thread_id,
        provider_message_id, sent_at)
      select ${me.id}, m.id, 'out', 'email', 'email.send', ${connection.id}, 'sent', 1, 'sam@us.test', 'p' || m.n || '@example.com', m.id, 'pm-' || m.n, now()
      from unnest(${ids}::uuid[]) with ordinality m (id, n)`;
    const post = (k: number) => ({
      path: `/webhooks/postmark/${connection.id}`,
      headers: { "content-type": "application/json", authorization },
      body: JSON.stringify({
        RecordType: k % 2 ? "Open" : "Delivery",
        MessageID: `pm-${1 + (k % many)}`,
        Recipient: `p${1 + (k % many)}@example.com`,
        DeliveredAt: new Date(Date.now() - k).toISOString(),
        ReceivedAt: new Date(Date.now() - k).toISOString(),
        Metadata: { message_id: ids[k % many] },
      }),
    });
    let n = 0;
    const shoot = (duration: number) => postEvenly(stack.url, RATE, duration, () => post(n++));
    await shoot(2);
    const ours = await shoot(seconds);
    const bare = await withBareServer(world, me.id, async ({ url, authorization }) => {
      let k = 0;
      const headers = { "content-type": "application/json", authorization };
      const shootBare = (duration: number) =>
        postEvenly(url, RATE, duration, () => ({ ...post(k++), path: "/hook", headers }));
      await shootBare(2);
      return await shootBare(seconds);
    });
    const [stored] = await admin<
      { n: number }[]
    >`select count(*)::int as n from public.webhook_deliveries where tenant_id = ${me.id}`;
    const [p95, bareP95] = [percentile(ours.times, 0.95), percentile(bare.times, 0.95)];
    const detail = {
      asked_per_s: RATE,
      answered_per_s: Math.round(ours.answered / ours.seconds),
      p50_ms: tenth(percentile(ours.times, 0.5)),
      p95_ms: tenth(p95),
      p99_ms: tenth(percentile(ours.times, 0.99)),
      bare_p50_ms: tenth(percentile(bare.times, 0.5)),
      bare_p95_ms: tenth(bareP95),
      failed: ours.failed,
      stored: stored!.n,
    };
    const figure = ratioFigure("webhooks", p95 / bareP95, "<= 2", detail);
    return [{ ...figure, ok: figure.ok && ours.failed === 0 && detail.answered_per_s > RATE * 0.9 }];
  });

type Post = { path: string; headers: Record<string, string>; body: string };

/**
 * Posts `rate` a second, evenly spaced, whether or not the earlier ones are answered: providers do not wait for each other.
 * Milliseconds count from when a post was due, so that a stall of either side shows.
 */
async function postEvenly(url: string, rate: number, duration: number, next: () => Post) {
  const agent = new Agent({ keepAlive: true, maxSockets: 200 });
  const times: number[] = [];
  let failed = 0;
  const one = ({ path, headers, body }: Post, due: number) =>
    new Promise<void>((resolve) => {
      const fail = () => resolve(void failed++);
      const request = httpRequest(new URL(path, url), { method: "POST", agent, headers }, (response) => {
        response.resume().on("error", fail);
        response.on("end", () => {
          if (response.statusCode !== 200) return fail();
          times.push(performance.now() - due);
          resolve();
        });
      });
      request.on("error", fail).end(body);
    });
  const begin = performance.now();
  const all: Promise<void>[] = [];
  while (all.length < rate * duration) {
    for (; all.length < Math.min(rate * duration, ((performance.now() - begin) / 1000) * rate);)
      all.push(one(next(), begin + (all.length / rate) * 1000));
    await new Promise((tick) => setTimeout(tick, 1));
  }
  await Promise.all(all);
  const seconds = (performance.now() - begin) / 1000;
  agent.destroy();
  return { times, failed, answered: times.length, seconds };
}
