import { fork } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import nodemailer from "nodemailer";
import { type Figure, ratioFigure, seconds } from "./figure.ts";
import { processorSeconds } from "./processes.ts";
import { readyCampaign } from "./ready.ts";
import { BATCHES, ONE_EACH, post, type Row, type Side } from "./send.ts";
import { inWorld, type Team, type World } from "./world.ts";

/**
 * A campaign from its start to the last message that the other side accepted, by the real worker process: people are enrolled, planned,
 * written and sent, with open and click tracking, on a database that waits for its disk. Beside it a loop that makes the same calls.
 */

/** The other side: how a connection reaches it, how many it has accepted so far, and the bare way to send it the same. */
type Target = {
  name: string;
  goal: string;
  connection: Record<string, unknown>;
  accepted(): Promise<number>;
  bare(rows: Row[]): Promise<void>;
  close(): void;
};

const TENANTS = 8;

export async function campaign(people = 5_000): Promise<Figure[]> {
  const home = mkdtempSync(join(tmpdir(), "overture-bench-"));
  try {
    return await inWorld(
      {
        home,
        services: { worker: true, sandbox: true, cron: true },
        gateway: true,
        env: { OVERTURE_ALLOW_PRIVATE_HOSTS: "127.0.0.1" },
      },
      async (world) => {
        const figures: Figure[] = [];
        for (const target of [await smtp(), sandbox(world, BATCHES, ">= 0.5"), sandbox(world, ONE_EACH, ">= 0.6")]) {
          try {
            // The first run warms both sides up and counts for neither.
            await once(world, target, Math.min(people, 500));
            const figure = await once(world, target, people);
            figures.push(figure);
            if (target.name === "smtp")
              figures.push(await together(world, target, people, Number(figure.detail.ours_per_s)));
          } finally {
            target.close();
          }
        }
        return figures;
      },
    );
  } finally {
    rmSync(home, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function once(world: World, target: Target, people: number): Promise<Figure> {
  const { admin, team, call } = world;
  const me = await team(`Campaign ${target.name}`);
  const id = await readyCampaign(world, me, target.connection, people);
  const taken = await target.accepted();
  const before = await measures(world);
  const started = performance.now();
  await call(me, "POST", `/campaigns/${id}/start`);
  let [accepted, first, last] = [0, 0, started];
  while (accepted < people) {
    await delay(20);
    const now = (await target.accepted()) - taken;
    if (now > accepted) last = performance.now();
    else if (performance.now() - last > 120_000)
      throw new Error(`${target.name} has accepted ${now} of ${people}, and nothing for two minutes.`);
    if (accepted === 0 && now > 0) first = last;
    accepted = now;
  }
  if (accepted > people) throw new Error(`${target.name} accepted ${accepted}, which is more than ${people}.`);
  const total = (last - started) / 1000;
  const open = async () =>
    (await admin`select from public.messages where tenant_id = ${me.id} and status <> 'sent' limit 1`).length;
  while ((await open()) > 0) await delay(50);
  const after = await measures(world);

  const rows = await admin<Row[]>`
    select m.id, m.status, m.from_name, m.from_address, m.to_address, m.subject, d.html, m.body_text, d.headers from public.messages m
    join public.email_details d on d.tenant_id = m.tenant_id and d.message_id = m.id where m.tenant_id = ${me.id}`;
  const bare = await seconds(() => target.bare(rows));
  const again = (await target.accepted()) - taken - people;
  if (again !== people) throw new Error(`The bare loop sent ${again} of ${people} to ${target.name}.`);

  const perMessage = (n: number, digits = 2) => Number((n / people).toFixed(digits));
  const cpu = Object.fromEntries(
    Object.entries(after.cpu).map(([kind, s]) => [kind, perMessage((s - (before.cpu[kind] ?? 0)) * 1000)]),
  );
  const ours = people / total;
  return ratioFigure(`campaign_${target.name}`, ours / (people / bare), target.goal, {
    messages: people,
    ours_per_s: Math.round(ours),
    steady_per_s: Math.round(people / ((last - first) / 1000)),
    first_accepted_after_s: Number(((first - started) / 1000).toFixed(2)),
    bare_per_s: Math.round(people / bare),
    cpu_ms_per_message: cpu,
    cpu_ms_per_message_ours: Number(
      ["postgres", "worker", "gateway"].reduce((sum, kind) => sum + (cpu[kind] ?? 0), 0).toFixed(2),
    ),
    rows_written_per_message: perMessage(after.rows - before.rows, 1),
    wal_bytes_per_message: perMessage(after.wal - before.wal, 0),
  });
}

/** As many messages of eight tenants that start at the same moment: what they do together, and how long each waits for its first call. */
async function together(world: World, target: Target, people: number, alone: number): Promise<Figure> {
  const { admin, team, call } = world;
  const each = Math.ceil(people / TENANTS);
  const teams = await Promise.all(Array.from({ length: TENANTS }, (_, n) => team(`Together ${n}`)));
  const campaigns: { me: Team; id: string }[] = [];
  for (const me of teams) campaigns.push({ me, id: await readyCampaign(world, me, target.connection, each) });
  const taken = await target.accepted();
  const started = performance.now();
  const answeredAt = new Map<string, number>();
  await Promise.all(
    campaigns.map(async ({ me, id }) => {
      await call(me, "POST", `/campaigns/${id}/start`);
      answeredAt.set(me.id, Date.now());
    }),
  );
  while ((await target.accepted()) - taken < each * TENANTS) {
    await delay(20);
    if (performance.now() - started > 600_000)
      throw new Error("Eight tenants together are not through in ten minutes.");
  }
  const total = (performance.now() - started) / 1000;
  const firsts = await admin<{ tenant_id: string; first: Date }[]>`
    select tenant_id, min(started_at) as first from public.attempts where tenant_id = any(${teams.map((t) => t.id)}::uuid[]) group by tenant_id`;
  const waits = firsts
    .map(({ tenant_id, first }) => (first.getTime() - answeredAt.get(tenant_id)!) / 1000)
    .sort((a, b) => a - b);
  const ours = (each * TENANTS) / total;
  return ratioFigure("campaign_tenants", ours / alone, ">= 0.9", {
    tenants: TENANTS,
    messages: each * TENANTS,
    ours_per_s: Math.round(ours),
    alone_per_s: alone,
    first_call_after_s: { soonest: waits[0], latest: waits.at(-1) },
  });
}

async function measures({ admin }: World) {
  await admin`select pg_stat_force_next_flush()`;
  const [row] = await admin<{ rows: number; wal: number }[]>`
    select sum(n_tup_ins + n_tup_upd + n_tup_del)::float8 as rows, (pg_current_wal_insert_lsn() - '0/0')::float8 as wal
    from pg_stat_user_tables`;
  return { ...row!, cpu: processorSeconds(process.pid) };
}

/** SMTP to a server that does nothing but accept; the bare way is a pool of nodemailer's. */
async function smtp(): Promise<Target> {
  const child = fork(join(import.meta.dirname, "smtp-sink.ts"));
  const next = <T>() => new Promise<T>((resolve) => child.once("message", (message) => resolve(message as T)));
  const { port } = await next<{ port: number }>();
  return {
    name: "smtp",
    goal: ">= 3",
    connection: { provider: "smtp", credentials: {}, base_url: `smtp://127.0.0.1:${port}` },
    async accepted() {
      const answer = next<{ taken: number }>();
      child.send("count");
      return (await answer).taken;
    },
    async bare(rows) {
      const options = { pool: true, host: "127.0.0.1", port, maxConnections: 5, maxMessages: 1e9 };
      const transport = nodemailer.createTransport(options as Parameters<typeof nodemailer.createTransport>[0]);
      await Promise.all(
        rows.map((m) =>
          transport.sendMail({
            from: { name: m.from_name, address: m.from_address },
            to: m.to_address,
            subject: m.subject,
            html: m.html,
            text: m.body_text,
            headers: m.headers,
          }),
        ),
      );
      transport.close();
    },
    close: () => child.disconnect(),
  };
}

/** A provider of the sandbox; the bare way makes the same HTTP calls, as many side by side. */
function sandbox({ stack }: World, side: Side, goal: string): Target {
  // An account of its own for the bare way: addresses that bounced on one are refused there, and known ids are not taken again.
  const [key, other] = [side.newKey(), side.newKey()];
  const url = stack.env.OVERTURE_SANDBOX_URL!;
  return {
    name: side.provider,
    goal,
    connection: {
      provider: side.provider,
      credentials: side.credentials(key),
      base_url: `${url}/${side.provider}`,
    },
    async accepted() {
      const stats = await Promise.all([key, other].map((k) => fetch(`${url}/_sandbox/stats?account=${k}`)));
      const counts = await Promise.all(stats.map(async (s) => ((await s.json()) as { accepted: number }).accepted));
      return counts[0]! + counts[1]!;
    },
    async bare(rows) {
      for (let i = 0; i < rows.length; i += side.portion) {
        const calls = side.calls(rows.slice(i, i + side.portion), other);
        await Promise.all(calls.map((call) => post(`${url}/${side.provider}`, call)));
      }
    },
    close: () => {},
  };
}
