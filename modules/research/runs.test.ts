import { expect, test } from "vitest";
import { testKernel, type TestTenant } from "../../tests/support/kernel.ts";
import { connect } from "../enrichment/fixtures.ts";
import { emulation as brave } from "../providers/search/brave/emulation.ts";
import { addCompany, fetched, findingsOf, sitesEnv } from "./fixtures.ts";
import { researchRun } from "./work.ts";

const t = testKernel(sitesEnv());
const drain = () => t.drain(researchRun.queue);
const start = async (team: TestTenant, body: object) => {
  const made = await team.api("POST", "/research/runs", body);
  expect(made.status, JSON.stringify(made.body)).toBe(201);
  return made.body;
};
const read = async (team: TestTenant, id: string) => (await team.api("GET", `/research/runs/${id}`)).body;
const items = async (team: TestTenant, id: string) =>
  (await team.api("GET", `/research/runs/${id}/items?limit=100`)).body.data as any[];

test("a run over a list reads each company of its contacts once and counts what came of it", async () => {
  const team = await t.tenant();
  const [plain, closed, wall] = [
    await addCompany(team),
    await addCompany(team, "closed"),
    await addCompany(team, "captcha"),
  ];
  const { body: bare } = await team.api("POST", "/companies", { name: "No domain" });
  const ids: string[] = [];
  for (const [i, c] of [plain, plain, closed, wall].entries()) {
    const { body } = await team.api("POST", "/contacts", { email: `p${i}@${c.host}`, company_domain: c.host });
    ids.push(body.id);
  }
  const { body: list } = await team.api("POST", "/lists", { name: `L ${crypto.randomUUID()}` });
  await team.api("POST", `/lists/${list.id}/contacts`, { contact_ids: ids });
  const run = await start(team, { list_id: list.id });
  await drain();
  const done = await read(team, run.id);
  expect(done).toMatchObject({
    status: "done",
    counts: { total: 3, done: 3, found: 1, skipped: 1, waits: 1 },
    cost_micros: 0,
  });
  const all = await items(team, run.id);
  expect(done.findings).toBe((await findingsOf(team, plain.id)).data.length);
  expect(Object.fromEntries(all.map((i) => [i.company.id, [i.outcome, i.reason]]))).toEqual({
    [plain.id]: ["found", null],
    [closed.id]: ["skipped", "robots"],
    [wall.id]: ["waits", "captcha"],
  });
  expect((await fetched(t, plain.host)).filter((p) => p === "/")).toHaveLength(1);

  // Within the interval nothing is read again, unless somebody says so.
  const asked = await fetched(t, plain.host);
  const again = await start(team, { company_ids: [plain.id, bare.id] });
  await drain();
  expect((await items(team, again.id)).map((i) => i.reason).toSorted()).toEqual(["fresh", "no_domain"]);
  expect(await fetched(t, plain.host)).toEqual(asked);
  const anew = await start(team, { company_ids: [plain.id], refresh: true });
  await drain();
  expect(await read(team, anew.id)).toMatchObject({ counts: { nothing: 1 }, findings: 0 });
});

test("a stopped run fetches nothing more", async () => {
  const team = await t.tenant();
  const company = await addCompany(team);
  const run = await start(team, { company_ids: [company.id] });
  expect((await team.api("POST", `/research/runs/${run.id}/stop`)).body).toMatchObject({ status: "stopped" });
  await drain();
  expect(await fetched(t, company.host)).toEqual([]);
  expect(await read(team, run.id)).toMatchObject({ status: "stopped", stop_reason: "member" });
});

test("the limit of a run holds for its searches", async () => {
  const team = await t.tenant();
  const account = await connect(t, team, brave);
  const before = (await account.charged()).units;
  const companies = [await addCompany(team), await addCompany(team), await addCompany(team)];
  const run = await start(team, { company_ids: companies.map((c) => c.id), cap_micros: 10_000 });
  await drain();
  expect(await read(team, run.id)).toMatchObject({ status: "done", cost_micros: 10_000, cap_micros: 10_000 });
  expect((await account.charged()).units - before).toBe(2);
});

test("a worker that dies after the search asks nobody again, and the company is finished by who takes over", async () => {
  const team = await t.tenant();
  const account = await connect(t, team, brave);
  const before = (await account.charged()).units;
  const company = await addCompany(team);
  const run = await start(team, { company_ids: [company.id] });
  await t.sql.unsafe(`
    create or replace function private.die_once() returns trigger language plpgsql as $$ begin
      if new.tenant_id = '${team.id}' and new.state = 'done' then raise exception 'the worker dies here' using errcode = '57P01'; end if; return new; end $$;
    create trigger die_once before update on public.research_items for each row execute function private.die_once()`);
  await drain();
  expect((await account.charged()).units - before).toBe(1);
  expect((await read(team, run.id)).status).toBe("running");
  await t.sql.unsafe("drop trigger die_once on public.research_items; drop function private.die_once()");
  await t.sql`update public.research_items set lease_until = kernel.now() - interval '1 second' where tenant_id = ${team.id} and run_id = ${run.id}`;
  await t.kernel.run({ actor: { kind: "job", name: "test" }, tenantId: team.id }, (ctx) =>
    ctx.enqueue(researchRun, { tenant_id: team.id, run_id: run.id }),
  );
  await drain();
  expect((await account.charged()).units - before).toBe(1);
  expect(await read(team, run.id)).toMatchObject({ status: "done", counts: { total: 1, done: 1 } });
  const { data } = await findingsOf(team, company.id);
  expect(data.filter((f) => f.provider === "brave").length).toBeGreaterThan(0);
  expect(new Set(data.map((f) => f.statement)).size).toBe(data.length);
});

test("bad input is refused with the field's name", async () => {
  const team = await t.tenant();
  const id = crypto.randomUUID();
  for (const [body, pointer] of [
    [{}, "/list_id"],
    [{ company_ids: [id], contact_ids: [id] }, "/company_ids"],
    [{ list_id: id }, "/list_id"],
    [{ company_ids: [] }, "/company_ids"],
    [{ company_ids: [id], max_pages: 31 }, "/max_pages"],
  ] as const) {
    const answer = await team.api("POST", "/research/runs", body);
    expect([answer.status, answer.body.errors?.[0]?.pointer], JSON.stringify(body)).toEqual([422, pointer]);
  }
  for (const path of [
    `/research/runs/${id}`,
    `/companies/${id}/findings`,
    `/contacts/${id}/findings`,
    `/companies/${id}/research`,
  ])
    expect((await team.api("GET", path)).status, path).toBe(404);
  const viewer = await team.member("viewer");
  expect((await viewer.api("POST", "/research/runs", { company_ids: [id] })).status).toBe(403);
});
