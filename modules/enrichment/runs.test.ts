import { expect, test } from "vitest";
import { testKernel, type TestTenant } from "../../tests/support/kernel.ts";
import { emulation } from "../providers/enrichment/hunter/emulation.ts";
import { addContacts, connect, setOrder } from "./fixtures.ts";
import { enrichmentRun } from "./work.ts";

const t = testKernel();

const letters = "abcdefghijklmnopqrstuvwxyz";
/** So many people whose names everybody knows, at one company. */
const famous = (n: number, prefix = "run") =>
  Array.from({ length: n }, (_, i) => ({
    email: `${prefix}${letters[i % 26]}${letters[Math.floor(i / 26)]}.person@famous.com`,
  }));

async function listOf(team: TestTenant, rows: Record<string, unknown>[]): Promise<{ list: string; ids: string[] }> {
  const ids = await addContacts(team, rows);
  const { body } = await team.api("POST", "/lists", { name: `L ${crypto.randomUUID().slice(0, 8)}` });
  expect((await team.api("POST", `/lists/${body.id}/contacts`, { contact_ids: ids })).status).toBeLessThan(300);
  return { list: body.id, ids };
}
const start = async (team: TestTenant, body: object) => {
  const made = await team.api("POST", "/enrichment/runs", body);
  expect(made.status, JSON.stringify(made.body)).toBe(201);
  return made.body;
};
const read = async (team: TestTenant, id: string) => (await team.api("GET", `/enrichment/runs/${id}`)).body;
const drain = () => t.drain(enrichmentRun.queue);

test("a run over a list fills its contacts, asks about their company once, and its sums are those of the ledger", async () => {
  const team = await t.tenant();
  const pdl = await connect(t, team);
  await setOrder(team, { person: [pdl.id], company: [pdl.id] });
  const { list } = await listOf(team, [...famous(12), { email: "nobody.one@unknown.example" }]);
  const run = await start(team, { list_id: list });
  await drain();
  const done = await read(team, run.id);
  expect(done).toMatchObject({ status: "done", counts: { total: 13, done: 13, nothing: 1 } });
  const charged = await pdl.charged();
  expect(charged.charges.filter((c) => c.question === "company:famous.com")).toHaveLength(1);
  expect(done.cost_micros).toBe(charged.units * 4000);
  const [sums] = await t.sql<{ amount: number; spent: number; rows: number }[]>`
    select sum(amount_micros)::int as amount, (select micros::int from public.spending where tenant_id = ${team.id} and scope = 'run' and scope_id = ${run.id}) as spent,
      count(*)::int as rows from public.costs where tenant_id = ${team.id} and run_id = ${run.id}`;
  expect(sums).toMatchObject({ amount: done.cost_micros, spent: done.cost_micros });
  const { body: items } = await team.api("GET", `/enrichment/runs/${run.id}/items?outcome=nothing`);
  expect(items.data).toEqual([expect.objectContaining({ outcome: "nothing", filled: [], cost_micros: 0 })]);
  const { body: all } = await team.api("GET", `/enrichment/runs/${run.id}/items?limit=5`);
  expect(all.data[0].values).toContainEqual(
    expect.objectContaining({ field: "last_name", value: "Person", provider: "people_data_labs" }),
  );
  expect(all.has_more).toBe(true);
});

test("a stopped run makes no further call; what was found stays", async () => {
  const team = await t.tenant();
  const pdl = await connect(t, team);
  await setOrder(team, { person: [pdl.id] });
  const { list } = await listOf(team, famous(3, "halt"));
  const run = await start(team, { list_id: list });
  expect((await team.api("POST", `/enrichment/runs/${run.id}/stop`)).body.status).toBe("stopped");
  await drain();
  expect((await pdl.charged()).total).toBe(0);
  expect(await read(team, run.id)).toMatchObject({ status: "stopped", stop_reason: "member" });
});

test("a stop between two providers takes effect before the next call", async () => {
  const team = await t.tenant();
  const [first, second] = [await connect(t, team), await connect(t, team)];
  await setOrder(team, { person: [first.id, second.id] });
  const { list } = await listOf(team, famous(2, "mid"));
  const run = await start(team, { list_id: list, fields: ["title", "phone"] });
  // The first provider is slow; the stop comes meanwhile.
  await first.fault({ kind: "slow", delay_ms: 700 });
  const working = drain();
  await expect
    .poll(async () => (await team.api("GET", `/costs?run_id=${run.id}`)).body.data.length, {
      timeout: 5000,
      interval: 30,
    })
    .toBe(2);
  await team.api("POST", `/enrichment/runs/${run.id}/stop`);
  await working;
  expect((await first.charged()).units).toBe(2);
  expect((await second.charged()).total).toBe(0);
  const { body } = await team.api("GET", `/enrichment/runs/${run.id}/items`);
  expect(body.data.map((i: any) => i.filled)).toEqual([["title"], ["title"]]);
});

test("the limit of a run holds over all its portions", async () => {
  const team = await t.tenant();
  const pdl = await connect(t, team);
  await setOrder(team, { person: [pdl.id] });
  const { list } = await listOf(team, famous(9, "cap"));
  const run = await start(team, { list_id: list, cap_micros: 4 * 4000 });
  await drain();
  expect(await read(team, run.id)).toMatchObject({
    status: "done",
    cost_micros: 16_000,
    cap_micros: 16_000,
    counts: { total: 9, nothing: 5 },
  });
  expect((await pdl.charged()).units).toBe(4);
  const { body } = await team.api("GET", `/enrichment/runs/${run.id}/items?outcome=nothing`);
  expect(body.data.every((i: any) => i.reason === "budget")).toBe(true);
});

test("a worker that dies after the calls leaves answers that nobody pays for again", async () => {
  const team = await t.tenant();
  const pdl = await connect(t, team);
  await setOrder(team, { person: [pdl.id] });
  const { list } = await listOf(team, famous(5, "die"));
  const run = await start(team, { list_id: list });
  // Dies once when it writes what came of the contacts: after the answers were kept, before anything was made of them.
  await t.sql.unsafe(`
    create or replace function private.die_once() returns trigger language plpgsql as $$ begin
      if new.tenant_id = '${team.id}' then raise exception 'the worker dies here' using errcode = '57P01'; end if; return new; end $$;
    create trigger die_once before insert on public.enriched_values for each row execute function private.die_once()`);
  await drain();
  expect((await pdl.charged()).units).toBe(5);
  await t.sql.unsafe("drop trigger die_once on public.enriched_values; drop function private.die_once()");
  await t.sql`update public.enrichment_items set lease_until = kernel.now() - interval '1 second', state = case when state = 'done' then state else 'working' end
    where tenant_id = ${team.id} and run_id = ${run.id} and state <> 'done'`;
  await t.kernel.run({ actor: { kind: "job", name: "test" }, tenantId: team.id }, (ctx) =>
    ctx.enqueue(enrichmentRun, { tenant_id: team.id, run_id: run.id }),
  );
  await drain();
  expect((await pdl.charged()).units).toBe(5);
  expect((await read(team, run.id)).counts).toMatchObject({ total: 5, done: 5 });
  const { body } = await team.api("GET", `/enrichment/runs/${run.id}/items`);
  expect(body.data.every((i: any) => i.filled.includes("title"))).toBe(true);
});

test("an estimate asks nobody, and knows who lacks what", async () => {
  const team = await t.tenant();
  const pdl = await connect(t, team);
  await setOrder(team, { person: [pdl.id] });
  const { list } = await listOf(team, famous(4, "est"));
  const { body } = await team.api("POST", "/enrichment/estimate", { list_id: list });
  expect(body).toMatchObject({ contacts: 4, missing: 4, most_micros: 16_000, likely_micros: 8_000, sampled: false });
  expect((await pdl.charged()).total).toBe(0);
});

test("contacts of a low score are left out, and a viewer may look but not start", async () => {
  const team = await t.tenant();
  const pdl = await connect(t, team);
  await setOrder(team, { person: [pdl.id] });
  const { list, ids } = await listOf(team, famous(3, "low"));
  await t.sql`update public.contacts set warmth_score = 60 where tenant_id = ${team.id} and id = ${ids[1]!}`;
  const run = await start(team, { list_id: list, min_score: 50 });
  await drain();
  expect((await read(team, run.id)).counts).toMatchObject({ total: 1, done: 1 });
  const viewer = await team.member("viewer");
  expect((await viewer.api("GET", `/enrichment/runs/${run.id}`)).status).toBe(200);
  expect((await viewer.api("POST", "/enrichment/runs", { list_id: list })).status).toBe(403);
  const member = await team.member("member");
  expect((await member.api("PUT", "/enrichment/sources", { order: { person: [] } })).status).toBe(403);
  const another = await t.tenant();
  expect((await another.api("GET", `/enrichment/runs/${run.id}`)).status).toBe(404);
});

test("a team that wants so has its new contacts enriched by themselves, once, from the score on that it sets", async () => {
  const team = await t.tenant();
  const pdl = await connect(t, team);
  await setOrder(team, { person: [pdl.id] });
  const { ids } = await listOf(team, famous(3, "new"));
  await t.sql`update public.contacts set warmth_score = 40 where tenant_id = ${team.id} and id <> ${ids[0]!}`;
  const wake = async () => {
    await t.sql`select private.wake_enriching_new()`;
    await t.drain("enrichment_new");
    await drain();
  };
  await wake();
  expect((await team.api("GET", "/enrichment/runs")).body.data).toEqual([]);
  await team.api("PATCH", "/tenant", { settings: { enrichment_on_create: true, enrichment_min_score: 40 } });
  await wake();
  await wake();
  const { body } = await team.api("GET", "/enrichment/runs");
  expect(body.data).toMatchObject([{ name: "New contacts", status: "done", counts: { total: 2, done: 2 } }]);
  expect((await pdl.charged()).units).toBe(2);
});

test("a run that asks anew asks each question once, also when a portion is repeated", async () => {
  const team = await t.tenant();
  const pdl = await connect(t, team);
  await setOrder(team, { person: [pdl.id] });
  const { list } = await listOf(team, famous(2, "again"));
  const first = await start(team, { list_id: list });
  await drain();
  const run = await start(team, { list_id: list, refresh: true });
  await drain();
  expect((await pdl.charged()).units).toBe(4);
  expect(await read(team, run.id)).toMatchObject({ cached: 0, cost_micros: 8000 });
  // A portion that is repeated, as after a crash: the answers of this run count, those of the first do not.
  await t.sql`update public.enrichment_items set state = 'waiting', outcome = null, finished_at = null where tenant_id = ${team.id} and run_id = ${run.id}`;
  await t.sql`update public.enrichment_runs set status = 'running' where tenant_id = ${team.id} and id = ${run.id}`;
  await t.kernel.run({ actor: { kind: "job", name: "test" }, tenantId: team.id }, (ctx) =>
    ctx.enqueue(enrichmentRun, { tenant_id: team.id, run_id: run.id }),
  );
  await drain();
  expect((await pdl.charged()).units).toBe(4);
  expect(first.id).not.toBe(run.id);
});

test("a stop among calls that are reserved together ends with the one under way, and gives the others' money back", async () => {
  const team = await t.tenant();
  const hunter = await connect(t, team, emulation, { per_second: 1000 });
  await setOrder(team, { email: [hunter.id] });
  const { list } = await listOf(team, famous(12, "slow"));
  await hunter.fault({ kind: "slow", delay_ms: 400, times: 12 });
  const run = await start(team, { list_id: list, concurrency: 1 });
  const working = drain();
  await expect.poll(async () => (await hunter.charged()).total, { timeout: 8000, interval: 30 }).toBeGreaterThan(0);
  await team.api("POST", `/enrichment/runs/${run.id}/stop`);
  await working;
  const { total, units } = await hunter.charged();
  expect(total).toBeLessThan(6);
  const [sums] = await t.sql<{ spent: number; open: number }[]>`
    select (select micros::int from public.spending where tenant_id = ${team.id} and scope = 'run' and scope_id = ${run.id}) as spent,
      (select count(*)::int from public.costs where tenant_id = ${team.id} and state = 'reserved') as open`;
  expect(sums).toEqual({ spent: units * 2450, open: 0 });
});
