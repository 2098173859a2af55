import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type postgres from "postgres";
import { openWorld, type Team, type World } from "../../bench/world.ts";
import { enrollBatch } from "../../modules/campaigns/audience/audience.ts";
import { campaignsEnroll } from "../../modules/campaigns/audience/enroll.ts";
import { campaignsPlan } from "../../modules/campaigns/plan/plan.ts";
import { drainOnce } from "../../modules/kernel/queues/drain.ts";
import { uuid7 } from "../../modules/kernel/database/ids.ts";
import { rowsReadBy } from "./rows-read.ts";

// The planner knows a team that came after the last analyze as one that owns nothing, and on an installation that was never analyzed it
// takes all rows of a campaign or a connection for one. Reading all of them then looks as cheap as a look by key. What sends must cost the
// same all the same: counted in rows read, not in time.

const PEOPLE = 8_000;
const BATCH = 200;
/** Rows that a batch may read per message. Some small tables are read whole, which costs hundreds; all of the team's would be thousands. */
const READS_PER_MESSAGE = 400;
/** Tables that grow with what is sent. */
const BIG = [
  "messages",
  "email_details",
  "enrollments",
  "step_runs",
  "contacts",
  "contact_addresses",
  "list_contacts",
  "attempts",
  "interactions",
];

/** A team with this many people on a list, a running campaign, and one sender of a connection. */
async function campaignFor({ admin, team: newTeam }: World, people: number) {
  const team = await newTeam("Due");
  const [connection, sender, campaign, step, version, node, list] = Array.from({ length: 7 }, () => uuid7()) as [
    string,
    ...string[],
  ];
  const config = admin.json({ subject: "Hello", body: "A line." });
  await admin`insert into public.connections (tenant_id, id, provider, category, name, status, credentials) values (${team.id}, ${connection}, 'smtp', 'email', 'x', 'active', 'v1.x')`;
  await admin`insert into public.senders (tenant_id, id, channel, connection_id, address) values (${team.id}, ${sender!}, 'email', ${connection}, 'me@example.com')`;
  await admin`insert into public.sender_limits (tenant_id, sender_id, action, per, cap) values (${team.id}, ${sender!}, 'email.send', 'day', 100000)`;
  await admin`insert into public.campaigns (tenant_id, id, name, status, settings) values (${team.id}, ${campaign!}, 'x', 'running', '{"time_zone":"UTC"}')`;
  await admin`insert into public.campaign_senders (tenant_id, campaign_id, sender_id, position, connection_id) values (${team.id}, ${campaign!}, ${sender!}, 1, ${connection})`;
  await admin`insert into public.campaign_steps (tenant_id, id, campaign_id) values (${team.id}, ${step!}, ${campaign!})`;
  await admin`insert into public.sequence_versions (tenant_id, id, campaign_id, number, entry_node_id) values (${team.id}, ${version!}, ${campaign!}, 1, ${node!})`;
  await admin`insert into public.sequence_nodes (tenant_id, id, version_id, step_id, kind, action, position, config)
    values (${team.id}, ${node!}, ${version!}, ${step!}, 'email', 'email.send', 1, ${config})`;
  await admin`update public.campaigns set version_id = ${version!} where id = ${campaign!}`;
  await admin`insert into public.lists (tenant_id, id, name) values (${team.id}, ${list!}, 'All')`;
  await admin`
    with people as (insert into public.contacts (tenant_id, email) select ${team.id}, 'p' || n || '@example.com' from generate_series(1, ${people}::int) n returning id)
    insert into public.list_contacts (tenant_id, list_id, contact_id) select ${team.id}, ${list!}, id from people`;
  return { team, connection, campaign: campaign!, version: version!, list: list! };
}

/** Rows of the big tables that `fn` reads in a transaction of its own. */
async function rowsRead({ admin }: World, team: Team, fn: (tx: postgres.TransactionSql) => Promise<void>) {
  return (await admin.begin(async (tx) => {
    await tx`select set_config('app.tenant_id', ${team.id}, true)`;
    return await rowsReadBy(tx, BIG, () => fn(tx));
  })) as number;
}

const withoutVacuum = async ({ admin }: World) => {
  for (const table of BIG) await admin.unsafe(`alter table public.${table} set (autovacuum_enabled = false)`);
};

describe.each<[string, (world: World) => Promise<() => Promise<unknown>>]>([
  [
    "for a team that came after the last analyze",
    async (world) => {
      await goThrough(world, await campaignFor(world, 100), 100);
      // The partitions keep their own; a parent has no such setting.
      for (const table of [...BIG, "message_events"]) await world.admin.unsafe(`analyze public.${table}`);
      await withoutVacuum(world);
      return () => Promise.resolve();
    },
  ],
  [
    "on an installation that was never analyzed",
    async (world) => {
      await withoutVacuum(world);
      // As the worker does after each batch.
      return () => world.admin`select kernel.refresh_statistics()`;
    },
  ],
])("%s", (_, prepare) => {
  let world: World;
  let afterBatch: () => Promise<unknown>;

  beforeAll(async () => {
    world = await openWorld();
    afterBatch = await prepare(world);
  });
  afterAll(async () => await world.close());

  test("enrolling, planning, claiming, handing over, settling and applying events read no more", async () => {
    const reads = await goThrough(world, await campaignFor(world, PEOPLE), PEOPLE, afterBatch);
    expect(Object.keys(reads)).toEqual(["enroll", "plan", "claim", "hand over", "settle", "events"]);
    for (const [phase, rows] of Object.entries(reads))
      expect(rows, `${phase}: rows per message`).toBeLessThan(READS_PER_MESSAGE);
  });
});

test("a worker has the tables analyzed that its batches filled", async () => {
  const world = await openWorld();
  try {
    await withoutVacuum(world);
    const { team, campaign, list } = await campaignFor(world, 2_000);
    await world.kernel.run({ actor: { kind: "job", name: "test" }, tenantId: team.id }, (ctx) =>
      ctx.enqueue(campaignsEnroll, {
        tenant_id: team.id,
        campaign_id: campaign,
        source: { list_id: list },
        cursor: null,
        restart: false,
      }),
    );
    expect(await drainOnce(world.kernel, campaignsEnroll)).toBe(1);
    const [row] = await world.admin<{ known: number }[]>`
      select reltuples::int as known from pg_class where oid = 'public.contacts'::regclass`;
    expect(row!.known).toBe(2_000);
  } finally {
    await world.close();
  }
});

/** Takes the people in, plans, sends a batch and hears of it. Returns how many rows the last batch of each read, per message. */
async function goThrough(
  world: World,
  made: Awaited<ReturnType<typeof campaignFor>>,
  people: number,
  afterBatch = (): Promise<unknown> => Promise.resolve(),
) {
  const { team, connection, campaign, version, list } = made;
  const scope = { actor: { kind: "job", name: "test" } as const, tenantId: team.id };
  const reads: Record<string, number> = {};

  const enroll = (cursor: string | null) =>
    world.kernel.run(scope, async (ctx) => {
      const campaignRow = { id: campaign, status: "running", version_id: version, settings: {} };
      let got!: Awaited<ReturnType<typeof enrollBatch>>;
      const read = await rowsReadBy(ctx.db, BIG, async () => {
        got = await enrollBatch(ctx, campaignRow, { list_id: list }, cursor);
      });
      if (got.seen > 0) reads.enroll = read / got.seen;
      return got;
    });
  let added = 0;
  for (let got = await enroll(null); ; got = await enroll(got.cursor)) {
    added += got.added;
    await afterBatch();
    if (!got.cursor) break;
  }
  expect(added).toBe(people);

  const plan = (before: number) =>
    world.kernel.run(scope, async (ctx) => {
      const read = await rowsReadBy(ctx.db, BIG, async () => {
        await campaignsPlan.handle(ctx as never, { tenant_id: team.id });
      });
      const [row] = await ctx.db<
        { n: number }[]
      >`select count(*)::int as n from public.messages where tenant_id = ${team.id}`;
      if (row!.n > before) reads.plan = read / (row!.n - before);
      return row!.n;
    });
  for (let before = 0; before < people;) {
    const planned = await plan(before);
    expect(planned).toBeGreaterThan(before);
    before = planned;
    await afterBatch();
  }

  const ids: string[] = [];
  const wanted = Math.min(BATCH, people);
  reads.claim =
    (await rowsRead(world, team, async (tx) => {
      const rows = await tx<{ id: string }[]>`select id from private.claim_messages(${wanted}, 120, ${connection})`;
      ids.push(...rows.map((r) => r.id));
      expect(ids).toHaveLength(wanted);
    })) / wanted;
  reads["hand over"] =
    (await rowsRead(world, team, async (tx) => {
      const rows = await tx`
        select id from private.hand_over(${ids}::uuid[], ${ids.map(() => 1)}::int[], ${connection}, 60) id`;
      expect(rows).toHaveLength(wanted);
    })) / wanted;
  reads.settle =
    (await rowsRead(world, team, async (tx) => {
      const sent = ids.map((id) => ({ id, attempt: 1, outcome: "sent", provider_message_id: `p-${id}` }));
      const [row] = await tx<[{ n: number }]>`select private.settle_messages(${tx.json(sent)}) as n`;
      expect(row.n).toBe(wanted);
    })) / wanted;
  reads.events =
    (await rowsRead(world, team, async (tx) => {
      // One half names our id, as e-mail providers return it, and one the provider's.
      const opened = ids.map((id, i) => ({
        kind: "opened",
        event_key: `open:${id}`,
        ...(i % 2 ? { message_id: id } : { provider_message_id: `p-${id}` }),
        at: new Date(),
      }));
      const [row] = await tx<[{ unmatched: string[] }]>`
        select private.apply_events(${connection}, ${tx.json(opened as never)}) as unmatched`;
      expect(row.unmatched).toEqual([]);
    })) / wanted;
  return reads;
}
