import { statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openWorld, type Team, type World } from "../../bench/world.ts";
import { seedTenant } from "../../bench/seed.ts";
import { drainOnce } from "../../modules/kernel/queues/drain.ts";
import { isRead, pathParams } from "../../modules/kernel/operations/operation.ts";
import { until } from "../support/until.ts";
import { readPlans, wholeScans } from "./plans.ts";

// Nothing the product does every day may read a big table from end to end. The server itself writes down the plan of every
// statement, also of those inside functions, while the real operations run.

/** Tables and partitions with more rows than anybody should read for one answer; which those are, the catalog says. */
let big: Set<string>;
const MANY = 5_000;
let world: World;
let team: Team;
let log: string;
const ids: Record<string, string> = {};

beforeAll(async () => {
  world = await openWorld();
  team = await world.team("Grown");
  const other = await world.team("Neighbour");
  // The neighbour is small: the team has more than four fifths of all people, which is a way of its own through the indexes.
  await seedTenant(world.admin, other.id, { contacts: 8_000, messages: 8_000, events: 12_000 });
  await seedTenant(world.admin, team.id, { contacts: 40_000, messages: 40_000, events: 60_000 });
  const one = async (table: string, where = "true") =>
    (
      await world.admin.unsafe<{ id: string }[]>(
        `select id from public.${table} where tenant_id = '${team.id}' and ${where} limit 1`,
      )
    )[0]!.id;
  ids.contacts = await one("contacts");
  ids.companies = await one("companies");
  ids.campaigns = await one("campaigns");
  ids.leads = await one("enrollments", `campaign_id = '${ids.campaigns}'`);
  ids.messages = await one("messages", "direction = 'out'");
  ids.threads = await one("threads");
  ids.connections = await one("connections");
  ids.senders = await one("senders");
  ids.lists = (await world.call(team, "POST", "/lists", { name: "Few" })).id;
  await world.admin`insert into public.list_contacts (tenant_id, list_id, contact_id) select tenant_id, ${ids.lists!}, id from public.contacts where tenant_id = ${team.id} limit 300`;
  ids.segments = (
    await world.call(team, "POST", "/segments", {
      name: "Customers",
      filter: { field: "status", op: "eq", value: "customer" },
    })
  ).id;

  const grown = await world.admin<{ name: string }[]>`
    select relname as name from pg_class where relkind = 'r' and relnamespace::regnamespace::text in ('public', 'private') and reltuples > ${MANY}`;
  big = new Set(grown.map((r) => r.name));
  for (const name of ["contacts", "messages", "enrollments"]) expect(big).toContain(name);
  expect([...big].some((name) => name.startsWith("message_events_20"))).toBe(true);

  for (const setting of [
    "session_preload_libraries = 'auto_explain'",
    "auto_explain.log_min_duration = 0",
    "auto_explain.log_nested_statements = on",
    "auto_explain.log_format = json",
  ]) {
    await world.admin.unsafe(`alter database postgres set ${setting}`);
  }
  // Sessions that stand already have no such library: everybody signs in again.
  await world.admin`select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()`;
  // The first call after that finds its connection closed.
  const answers = () => world.kernel.database.once((sql) => sql`select 1`).then(() => true);
  for (let n = 0; n < 20; n++) await until(answers, { what: "new sessions" });
  log = join(world.stack.home, "logs", "postgres.log");
}, 400_000);
afterAll(() => world?.close());

/** Runs `act` and returns the whole-table scans that happened meanwhile. */
async function scansOf(act: () => Promise<unknown>): Promise<string[]> {
  const from = statSync(log).size;
  await act();
  // A last statement that is easy to find: when it is in the log, so is everything before it.
  const mark = `mark_${crypto.randomUUID().replaceAll("-", "")}`;
  await until(() => world.kernel.database.once((sql) => sql.unsafe(`select 1 as ${mark}`)).then(() => true), {
    what: "the mark",
  });
  const plans = await until(
    () => {
      const read = readPlans(log, from);
      return read.some((p) => p.query.includes(mark)) ? read : null;
    },
    { what: "the plans in the log" },
  );
  expect(plans.length).toBeGreaterThan(0);
  return wholeScans(plans, big);
}

test("the watcher sees a scan, also inside a function", async () => {
  await world.admin`create or replace function private.scan_it() returns bigint language plpgsql as $$ begin return (select count(*) from public.messages where body_text = 'x'); end $$`;
  expect(await scansOf(() => world.kernel.database.once((sql) => sql`select 1`))).toEqual([]);
  const seen = await scansOf(async () => {
    const { default: postgres } = await import("postgres");
    const sql = postgres(world.stack.adminDbUrl, { max: 1, onnotice: () => {} });
    await sql`select private.scan_it()`;
    await sql.end();
  });
  expect(seen).toEqual([expect.stringMatching(/^messages where /)]);
  await world.admin`drop function private.scan_it()`;
});

test.each(["sales", "pioneer", "3dde", "p12", "head engineer", "zzzzqqq"])(
  "a team that has nearly everybody finds exactly its own by «%s»",
  async (word) => {
    const [share] = await world.admin<{ way: string }[]>`
    select private.probed_tenant() as way from (select set_config('app.tenant_id', ${team.id}, true)) x`;
    expect(share!.way).toBe("c.tenant_id::text = $1::text");
    const expected = await world.admin<{ id: string }[]>`
    select id from public.contacts where tenant_id = ${team.id}
      and (select bool_and(lower(' ' || first_name || ' ' || last_name || ' ' || email || ' ' || title) like '%' || w || '%') from unnest(string_to_array(${word}, ' ')) w)
    order by created_at desc, id desc`;
    const seen: string[] = [];
    for (let cursor = "", pages = 0; pages < 30; pages++) {
      const page = await world.call(
        team,
        "GET",
        `/contacts?limit=100&search=${encodeURIComponent(word)}${cursor && `&cursor=${cursor}`}`,
      );
      seen.push(...page.data.map((c: { id: string }) => c.id));
      if (!page.has_more) break;
      cursor = page.next_cursor;
    }
    expect(seen).toEqual(expected.slice(0, 3000).map((c) => c.id));
    const { count, exact } = await world.call(team, "GET", `/contacts/count?search=${encodeURIComponent(word)}`);
    expect({ count, exact }).toEqual({ count: Math.min(expected.length, 10_000), exact: expected.length <= 10_000 });
  },
);

describe("no whole-table scan in", () => {
  test("any list or page of the API", async () => {
    const reading = world.kernel.registry.operations.filter(
      // A check looks at the whole audience; that it looks at nobody else is tried below, with a small one.
      (o) => o.auth === "tenant" && isRead(o) && !/export|csv|check/.test(o.path),
    );
    const paths = reading.flatMap((o) => {
      let path: `/${string}` = o.path;
      for (const param of pathParams(o.path)) {
        const table = o.path.split(`/{${param}}`)[0]!.split("/").pop()!;
        if (!ids[table]) return [];
        path = path.replace(`{${param}}`, ids[table]!) as `/${string}`;
      }
      return [path];
    });
    expect(paths).toContain(`/campaigns/${ids.campaigns}/leads/${ids.leads}/why`);
    expect(paths.length).toBeGreaterThan(25);
    for (const path of paths) expect(await scansOf(() => world.call(team, "GET", path)), path).toEqual([]);
  }, 180_000);

  test("a further page, a filter or a search", async () => {
    const cursor = async (path: string) =>
      `${path}&cursor=${encodeURIComponent((await world.call(team, "GET", path)).next_cursor)}`;
    const filter = (tree: unknown) => `/contacts?filter=${encodeURIComponent(JSON.stringify(tree))}`;
    for (const path of [
      await cursor("/contacts?limit=100"),
      await cursor("/contacts?limit=100&sort=email"),
      await cursor("/messages?limit=100"),
      await cursor(`/campaigns/${ids.campaigns}/leads?limit=100`),
      await cursor("/activity?limit=100"),
      "/contacts?status=customer",
      "/contacts?search=p123%40",
      "/contacts?search=zzzzzq",
      filter({ field: "country", op: "eq", value: "DE" }),
      filter({ field: "company.domain", op: "eq", value: "c7.example.com" }),
      `/messages?campaign_id=${ids.campaigns}`,
      `/messages?contact_id=${ids.contacts}`,
      `/messages?direction=in`,
      `/messages?status=failed`,
      `/campaigns/${ids.campaigns}/leads?status=finished`,
      // Many, few and nobody, and those who stand at the end of the list.
      ...["sales", "pioneer", "3dde", "zzzzqqq"].flatMap((word) => [
        `/contacts?search=${word}`,
        `/contacts?search=${word}&sort=email`,
        `/contacts?search=${word}&list_id=${ids.lists}`,
        `/contacts?search=${word}&segment_id=${ids.segments}`,
        `/contacts/count?search=${word}`,
        `/companies?search=${word}`,
        `/campaigns/${ids.campaigns}/leads?search=${word}`,
      ]),
      "/contacts?tag=vip",
      "/contacts?tag=early",
      "/contacts/count?tag=early",
      `/contacts?list_id=${ids.lists}`,
      `/campaigns/${ids.campaigns}/stats?range=24h`,
      `/campaigns/${ids.campaigns}/stats?range=14d`,
    ]) {
      expect(await scansOf(() => world.call(team, "GET", path)), path).toEqual([]);
    }
  }, 180_000);

  test("taking in an audience, planning, claiming, settling and what webhooks tell", async () => {
    const drain = async (queue: string) => {
      const consumer = world.kernel.registry.consumers.find((c) => c.queue === queue)!;
      while ((await drainOnce(world.kernel, consumer)) > 0);
    };
    const run = <T>(fn: Parameters<typeof world.kernel.run<T>>[1]) =>
      world.kernel.run({ actor: { kind: "job", name: "growth" }, tenantId: team.id }, fn);
    const campaign = await world.call(team, "POST", "/campaigns", {
      name: "Growing",
      sender_ids: [ids.senders],
      list_id: ids.lists,
      settings: { time_zone: "UTC", window: null },
      steps: [
        { kind: "wait", hours: 0 },
        {
          kind: "condition",
          match: "all",
          rules: [{ if: "matches", filter: { field: "country", op: "eq", value: "DE" } }],
          branches: { yes: [], no: [] },
        },
        { kind: "email", subject: "Hello", body: "Dear" },
        { kind: "wait", days: 1 },
        { kind: "email", subject: "", body: "Again" },
      ],
    });
    const acts: Record<string, () => Promise<unknown>> = {
      check: () => world.call(team, "GET", `/campaigns/${campaign.id}/check`),
      start: () => world.call(team, "POST", `/campaigns/${campaign.id}/start`),
      "take in": () => drain("campaigns_enroll"),
      plan: () => drain("campaigns_plan"),
      "apply guards": () => run((ctx) => ctx.db`select private.apply_guards()`),
      "claim and settle": () =>
        run(async (ctx) => {
          const claimed = await ctx.db<
            { id: string }[]
          >`select id from private.claim_messages(300, 60, ${ids.connections!})`;
          expect(claimed.length).toBe(300);
          await ctx.db`select private.settle_messages(${ctx.db.json(claimed.map(({ id }) => ({ id, outcome: "sent", provider_message_id: `growth-${id}` })))})`;
        }),
      "apply events": () =>
        run(async (ctx) => {
          const events = ["delivered", "opened", "bounced", "unsubscribed"].map((kind, n) => ({
            kind,
            event_key: `growth:${kind}`,
            provider_message_id: `seed-${n + 1}`,
            at: new Date().toISOString(),
            bounce: "permanent",
          }));
          await ctx.db`select private.apply_events(${ids.connections!}, ${ctx.db.json(events)})`;
        }),
      "receive a reply": () =>
        run(
          (ctx) =>
            ctx.db`select private.receive_message(${ids.connections!}, 'email', ${ctx.db.json({ kind: "reply", from_address: "p5@c5.example.com", to_address: "sam@seeded.example", references: ["<5@seeded.example>"], provider_inbound_id: "growth", text: "Hi" })})`,
        ),
      "hear what happened": async () => {
        await drain("campaigns_message_facts");
        await drain("contacts_message_facts");
      },
      "plan what comes next": () => drain("campaigns_plan"),
    };
    for (const [name, act] of Object.entries(acts)) expect(await scansOf(act), name).toEqual([]);
  }, 180_000);

  test("any schedule", async () => {
    const { default: postgres } = await import("postgres");
    const sql = postgres(world.stack.dbUrl, { max: 1, onnotice: () => {} });
    try {
      // The kernel's own too, those of the counters among them.
      const schedules = await sql<{ name: string; statement: string }[]>`
        select name, command as statement from kernel.schedules where name <> 'kernel.wake_functions'`;
      expect(schedules.map((s) => s.name)).toContain("kernel.fold_counters");
      for (const { name, statement } of schedules) expect(await scansOf(() => sql.unsafe(statement)), name).toEqual([]);
    } finally {
      await sql.end();
    }
  }, 180_000);
});
