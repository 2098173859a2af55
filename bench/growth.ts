import type { Sql } from "postgres";
import { letters, measure, percentile95, QUESTIONS, type Question } from "./contacts.ts";
import { type Figure, seconds, tenth, valueFigure } from "./figure.ts";
import { databaseBytes, seedTenant, type Sizes } from "./seed.ts";
import { inWorld, type Team, type World } from "./world.ts";

/**
 * Everything that is read or done all day, by a team with millions of messages and events, and by a small one on the same database.
 * One figure per question, so that the slow one is seen.
 */

const FEW: Sizes = { contacts: 10_000, messages: 10_000, events: 20_000, queued: 10, months: 1 };
const USUAL: Sizes = { contacts: 100_000, messages: 200_000, events: 400_000, queued: 50_000, months: 6 };

type Ids = { campaign: string; waiting: string; list: string; segment: string; contact: string };

const questionsOf = (ids: Ids): Question[] => [
  ...Object.values(QUESTIONS).flat(),
  ["contacts, two words", ({ n }) => `/contacts?limit=50&search=sales%20${letters(n)}`],
  ["contacts, a word of the oldest", () => "/contacts?limit=50&search=pioneer"],
  ["contacts, a tag of the oldest", () => "/contacts?limit=50&tag=early"],
  ["contacts, on a list", () => `/contacts?limit=50&list_id=${ids.list}`],
  ["contacts, on a list and a word", ({ n }) => `/contacts?limit=50&list_id=${ids.list}&search=${letters(n)}`],
  ["contacts, in a segment", () => `/contacts?limit=50&segment_id=${ids.segment}`],
  ["contacts, counted", () => "/contacts/count"],
  ["contacts, a rare word counted", ({ n }) => `/contacts/count?search=${letters(n)}`],
  ["contacts, a common word counted", () => "/contacts/count?search=sales"],
  ["tags", () => "/tags"],
  ["lists", () => "/lists"],
  ["companies", () => "/companies"],
  ["companies, a rare word", ({ n }) => `/companies?search=${letters(n)}`],
  ["companies, a common word", () => "/companies?search=a"],
  ["a person's timeline", () => `/contacts/${ids.contact}/interactions`],
  ["campaigns", () => "/campaigns"],
  ["campaign", () => `/campaigns/${ids.campaign}`],
  ["campaign stats, 14 days", () => `/campaigns/${ids.campaign}/stats?range=14d`],
  ["campaign stats, 24 hours", () => `/campaigns/${ids.waiting}/stats?range=24h`],
  ["campaign people", () => `/campaigns/${ids.campaign}/leads`],
  ["campaign people, a rare word", ({ n }) => `/campaigns/${ids.campaign}/leads?search=${letters(n)}`],
  ["campaign people, a common word", () => `/campaigns/${ids.campaign}/leads?search=sales`],
  ["campaign people, replied", () => `/campaigns/${ids.campaign}/leads?status=replied`],
  ["messages", () => "/messages"],
  ...["queued", "sent", "failed", "cancelled", "unknown", "received"].map((status): Question => [
    `messages, ${status}`,
    () => `/messages?status=${status}`,
  ]),
  ["messages of a campaign", () => `/messages?campaign_id=${ids.campaign}`],
  ["messages of a campaign, failed", () => `/messages?campaign_id=${ids.campaign}&status=failed`],
  ["messages of a person", () => `/messages?contact_id=${ids.contact}`],
  ["inbox", () => "/threads"],
  ["inbox without machines", () => "/threads?include_auto_replies=false"],
  ["dashboard", () => "/dashboard"],
  ["activity", () => "/activity"],
  ["suppressions", () => "/suppressions"],
];

/** In a named home, what an earlier run seeded is measured again. */
export const growth = (given: Partial<Sizes> = {}, home?: string, rounds = 20): Promise<Figure[]> =>
  inWorld(home ? { home } : {}, async (world) => {
    const sizes = { ...USUAL, ...given };
    const [small, large] = [await world.team("Small", { reuse: true }), await world.team("Large", { reuse: true })];
    const figures = await seedBoth(world, small, large, sizes);
    const [ofSmall, ofLarge] = [questionsOf(await idsOf(world, small)), questionsOf(await idsOf(world, large))];
    for (const [i, [name, path]] of ofLarge.entries()) {
      const s = percentile95(await measure(world, small, ofSmall[i]![1], rounds));
      const l = percentile95(await measure(world, large, path, rounds));
      figures.push(
        valueFigure("growth", l, "ms p95", "< 50", {
          question: name,
          p95_small_ms: tenth(s),
          times_small: tenth(l / s),
        }),
      );
    }
    return [...figures, ...(await work(world, small, large, home !== undefined))];
  });

async function seedBoth({ admin }: World, small: Team, large: Team, sizes: Sizes): Promise<Figure[]> {
  const [stands] = await admin`select from public.campaigns where tenant_id = ${large.id} limit 1`;
  if (stands) return [];
  await seedTenant(admin, small.id, FEW);
  const before = await databaseBytes(admin);
  const seeded = await seedTenant(admin, large.id, sizes, (line) => console.error(`  ${line} …`));
  const rows = seeded.contacts + seeded.messages + seeded.events + seeded.queued;
  const disk_mb = Math.round(((await databaseBytes(admin)) - before) / 1e6);
  const detail = { ...seeded, rows_per_second: Math.round(rows / seeded.seconds), disk_mb };
  return [valueFigure("growth_seed", seeded.seconds, "s", undefined, detail)];
}

async function idsOf({ admin, call }: World, team: Team): Promise<Ids> {
  const campaigns = await admin<
    { id: string; name: string }[]
  >`select id, name from public.campaigns where tenant_id = ${team.id}`;
  const run = crypto.randomUUID();
  const list = (await call(team, "POST", "/lists", { name: `Few ${run}` })).id as string;
  const members = await admin<{ contact_id: string }[]>`
    insert into public.list_contacts (tenant_id, list_id, contact_id)
    select tenant_id, ${list}, id from public.contacts where tenant_id = ${team.id} order by created_at limit 300 returning contact_id`;
  const filter = {
    all: [
      { field: "country", op: "eq", value: "DE" },
      { field: "tag", op: "eq", value: "vip" },
    ],
  };
  return {
    campaign: campaigns.find((k) => k.name === "Seeded")!.id,
    waiting: campaigns.find((k) => k.name === "Seeded, waiting")!.id,
    list,
    segment: (await call(team, "POST", "/segments", { name: `Rare ${run}`, filter })).id,
    contact: members[0]!.contact_id,
  };
}

/** What the worker and the schedules do. */
async function work(world: World, small: Team, large: Team, kept: boolean): Promise<Figure[]> {
  const { admin, kernel } = world;
  const figures: Figure[] = [];
  const claims = async (team: Team, quantity: number) => {
    const [connection] = await admin<{ id: string }[]>`select id from public.connections where tenant_id = ${team.id}`;
    const times: number[] = [];
    for (let n = 0; n < 12; n++) {
      // Undone each time, so that the next claim finds the same.
      await kernel
        .run({ actor: { kind: "job", name: "bench" }, tenantId: team.id }, async ({ db }) => {
          const started = performance.now();
          const rows = await db`select id from private.claim_messages(${quantity}, 60, ${connection!.id})`;
          if (n >= 2) times.push(performance.now() - started);
          throw rows.length === quantity ? UNDO : new Error(`claimed ${rows.length} of ${quantity} messages`);
        })
        .catch((error: unknown) => {
          if (error !== UNDO) throw error;
        });
    }
    return percentile95(times);
  };
  const [few, many] = [await claims(small, 10), await claims(large, 10)];
  figures.push(
    valueFigure("growth_claim_small", few, "ms p95", "< 50", { messages: 10, beside: "the large team" }),
    valueFigure("growth_claim_large", many, "ms p95", "< 50", { messages: 10, times_small: tenth(many / few) }),
    valueFigure("growth_claim_batch", await claims(large, 500), "ms p95", undefined, { messages: 500 }),
  );

  const { default: postgres } = await import("postgres");
  const owner = postgres(world.stack.dbUrl, { max: 1, onnotice: () => {} });
  try {
    for (const { name, sql } of kernel.registry.schedules) {
      const took = await seconds(() => owner.unsafe(sql));
      figures.push(valueFigure("growth_schedule", took * 1000, "ms", "< 1000", { schedule: name }));
    }
    if (!kept) figures.push(await retention(admin, owner));
  } finally {
    await owner.end();
  }
  return figures;
}

/** Twelve months and more go at once; by schedule it is one a month. */
async function retention(admin: Sql, owner: Sql): Promise<Figure> {
  const parts = async () =>
    Number(
      (await admin`select count(*) as n from pg_inherits where inhparent = 'public.message_events'::regclass`)[0]!.n,
    );
  const had = await parts();
  const took = await seconds(() => owner`select private.drop_partitions(1)`);
  const dropped = had - (await parts());
  return valueFigure("growth_retention", (took * 1000) / Math.max(1, dropped), "ms a month", "< 1000", {
    months_dropped: dropped,
  });
}

const UNDO = Symbol("undo");
