import { spawn } from "node:child_process";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { testKernel } from "../../tests/support/kernel.ts";
import { until } from "../../tests/support/until.ts";
import { addContacts } from "../enrichment/fixtures.ts";
import { uuid7 } from "../kernel/database/ids.ts";
import { complete } from "./complete.ts";
import { about, connectVendors, jobOf, PRICES, setModels, teamWithModels } from "./fixtures.ts";
import { costOf } from "./prices.ts";

const t = testKernel();

const Draft = z.object({ subject: z.string().min(3), body: z.string(), sources: z.array(z.string()).min(1) });

test("the router's model answers, and the call stands in the ledger and in the list with the vendor's tokens", async () => {
  const { team, vendors, ctx } = await teamWithModels(t);
  const input = about("Acme hired 12 engineers in May.");
  const done = await complete(ctx, input);
  expect(done).toMatchObject({ ok: true, provider: "openai", model: "gpt-4o-mini", cached: false, calls: 1 });
  expect(done.route).toEqual({ alias: "standard", cache: false, because: "default" });
  expect((await vendors.openai.charged()).units).toBe(done.tokens.input + done.tokens.output);
  const { body: calls } = await team.api("GET", `/models/calls?run_id=${input.run_id}`);
  expect(calls.data).toEqual([
    expect.objectContaining({
      node: "write",
      prompt_version: "write@1",
      route: "default",
      outcome: "completed",
      tokens_in: done.tokens.input,
      tokens_out: done.tokens.output,
      cost_micros: costOf(PRICES, done.tokens),
      is_repair: false,
    }),
  ]);
  const { body: costs } = await team.api("GET", `/costs?run_id=${input.run_id}&kind=model`);
  expect(costs.data).toEqual([
    expect.objectContaining({
      id: calls.data[0].id,
      state: "settled",
      outcome: "completed",
      amount_micros: done.cost_micros,
      units: done.tokens.input + done.tokens.output,
    }),
  ]);
  expect(done.cost_micros).toBe(costOf(PRICES, done.tokens));
});

describe("failover", () => {
  test.each([["rate_limit"], ["server_error"], ["timeout_after_accept"], ["reset"]])(
    "%s: the next vendor of the alias answers",
    async (kind) => {
      const { vendors, ctx } = await teamWithModels(t);
      await vendors.openai.fault({ kind, accepted: true });
      const done = await complete(ctx, about(`${kind} at Acme.`, { timeout_ms: 12_000 }));
      expect(done).toMatchObject({ ok: true, provider: "anthropic", model: "claude-haiku-5-5", calls: 2 });
    },
  );

  test("what may have been charged counts as charged", async () => {
    const { team, vendors, ctx } = await teamWithModels(t);
    await vendors.openai.fault({ kind: "reset", accepted: true });
    const input = about("Lost at Acme.");
    const done = await complete(ctx, input);
    const { body } = await team.api("GET", `/costs?run_id=${input.run_id}`);
    const [, lost] = body.data;
    expect(lost).toMatchObject({ state: "unknown", outcome: "unknown", provider: "openai" });
    expect(lost.amount_micros).toBeGreaterThan(0);
    expect(done.cost_micros).toBe(body.data.reduce((n: number, c: any) => n + c.amount_micros, 0));
  });

  test("a broken connection is asked no more; a model that does not exist is left for the next", async () => {
    const team = await t.tenant();
    const vendors = await connectVendors(t, team);
    await setModels(team, vendors, [
      ["standard", "openai", "no-such-model"],
      ["standard", "anthropic", "claude-haiku-5-5"],
    ]);
    const ctx = jobOf(t, team);
    expect(await complete(ctx, about("One."))).toMatchObject({ ok: true, provider: "anthropic" });
    await team.run((tx) => tx.db`update public.connections set status = 'issue' where id = ${vendors.anthropic.id}`);
    expect(await complete(ctx, about("Two."))).toMatchObject({
      ok: false,
      reason: "unavailable",
      detail: expect.stringMatching(/no-such-model/),
    });
  });

  test("when all say later, they are asked again as soon as they said", async () => {
    const { vendors, ctx } = await teamWithModels(t, [["standard", "openai", "gpt-4o-mini"]]);
    await vendors.openai.fault({ kind: "rate_limit", retry_after: 1 });
    const done = await complete(ctx, about("Later."));
    expect(done).toMatchObject({ ok: true, calls: 2 });
  });

  test("no model at all is a reason, not an error", async () => {
    const team = await t.tenant();
    expect(await complete(jobOf(t, team), about("None."))).toMatchObject({ ok: false, reason: "no_model", calls: 0 });
  });
});

describe("budgets", () => {
  test("without room nothing is called", async () => {
    const { team, vendors, ctx } = await teamWithModels(t);
    await team.api("PUT", "/budgets", { scope: "day", cap_micros: 100 });
    const done = await complete(ctx, about("Too dear."));
    expect(done).toMatchObject({ ok: false, reason: "budget", calls: 0, cost_micros: 0 });
    expect((await vendors.openai.charged()).total + (await vendors.anthropic.charged()).total).toBe(0);
  });

  test("twenty at once, with room for some, never spend more than the budget", async () => {
    const { team, vendors, ctx } = await teamWithModels(t, [["standard", "openai", "gpt-4o-mini"]]);
    const cap = 12_000;
    await team.api("PUT", "/budgets", { scope: "day", cap_micros: cap });
    const all = await Promise.all(Array.from({ length: 20 }, (_, i) => complete(ctx, about(`Race ${i}.`))));
    const answered = all.filter((d) => d.ok).length;
    expect(answered).toBeGreaterThan(0);
    expect(answered).toBeLessThan(20);
    expect(all.filter((d) => !d.ok && d.reason === "budget").length).toBe(20 - answered);
    expect((await vendors.openai.charged()).total).toBe(answered);
    const { body } = await team.api("GET", "/budgets");
    const day = body.data.find((b: any) => b.scope === "day");
    expect(day.spent_micros).toBe(all.reduce((n, d) => n + d.cost_micros, 0));
    expect(day.spent_micros).toBeLessThanOrEqual(cap);
  });

  test("the most that is reserved is at least what is charged, also for text that is dear in tokens", async () => {
    const { team, ctx } = await teamWithModels(t);
    const input = about("Ünïcödé 漢字 🙂 ".repeat(50));
    await complete(ctx, input);
    const rows = await team.run(
      (tx) => tx.db<{ reserved: number; amount: number }[]>`
        select reserved_micros::int as reserved, amount_micros::int as amount from public.costs
        where tenant_id = (select kernel.tenant()) and run_id = ${input.run_id}`,
    );
    expect(rows[0]!.reserved).toBeGreaterThanOrEqual(rows[0]!.amount);
  });
});

test("tokens over a whole run are the sum of what the vendors count, repairs and the provider's cache included", async () => {
  const { team, vendors } = await teamWithModels(t, [
    ["standard", "openai", "sandbox-badjson"],
    ["premium", "anthropic", "claude-sonnet-5-5"],
  ]);
  const ctx = jobOf(t, team);
  const run_id = uuid7();
  const system = "Rules of the house. ".repeat(300);
  const facts = { company_employees: 5000 };
  const done = [
    await complete(ctx, about("One.", { run_id, facts, system })),
    await complete(ctx, about("Two.", { run_id, facts, system })),
    await complete(ctx, { ...about("Three.", { run_id }), schema: Draft }),
  ];
  const sum = (pick: (d: (typeof done)[number]) => number) => done.reduce((n, d) => n + pick(d), 0);
  const charged = (await vendors.openai.charged()).units + (await vendors.anthropic.charged()).units;
  expect(sum((d) => d.tokens.input + d.tokens.output)).toBe(charged);
  expect(done[0]!.tokens.written).toBeGreaterThan(1024);
  expect(done[1]!.tokens.cached).toBe(done[0]!.tokens.written);
  expect(done[1]!.cost_micros).toBeLessThan(done[0]!.cost_micros / 3);
  const { body } = await team.api("GET", "/models/usage");
  expect(body.total.tokens_in + body.total.tokens_out).toBe(charged);
  expect(body.total.cost_micros).toBe(sum((d) => d.cost_micros));
  expect(body.mix.map((m: any) => [m.model, m.calls])).toEqual([
    ["claude-sonnet-5-5", 2],
    ["sandbox-badjson", 2],
  ]);
  expect(body.mix[0].share).toBe(0.5);
  await complete(ctx, about("Of another run.", { node: "other" }));
  const { body: ofRun } = await team.api("GET", `/models/usage?run_id=${run_id}`);
  expect(ofRun.total).toEqual(body.total);
  expect(ofRun.nodes).toEqual([{ node: "write", ...body.total }]);
  expect(body.days.reduce((n: number, d: any) => n + d.calls, 0)).toBe(4);
});

describe("an answer's form", () => {
  test("JSON that fits is parsed", async () => {
    const { ctx } = await teamWithModels(t);
    const done = await complete(ctx, { ...about("Acme moved to Bonn."), schema: Draft });
    expect(done).toMatchObject({
      ok: true,
      calls: 1,
      value: { sources: ["f1"], body: expect.stringMatching(/Acme moved to Bonn/) },
    });
  });

  test("JSON that does not fit is asked for once more, and the repair is a call of its own", async () => {
    const { team, ctx } = await teamWithModels(t, [["standard", "openai", "sandbox-badjson"]]);
    const input = { ...about("Repaired."), schema: Draft };
    expect(await complete(ctx, input)).toMatchObject({ ok: true, calls: 2, value: { sources: ["f1"] } });
    const { body } = await team.api("GET", `/models/calls?run_id=${input.run_id}`);
    expect(body.data.map((c: any) => [c.outcome, c.is_repair])).toEqual([
      ["completed", true],
      ["invalid", false],
    ]);
  });

  test("once, not for ever", async () => {
    const { vendors, ctx } = await teamWithModels(t, [
      ["standard", "openai", "sandbox-badjson-always"],
      ["standard", "anthropic", "claude-haiku-5-5"],
    ]);
    const done = await complete(ctx, { ...about("Never."), schema: Draft });
    expect(done).toMatchObject({ ok: false, reason: "invalid", calls: 2, detail: expect.stringMatching(/subject/) });
    expect((await vendors.openai.charged()).total).toBe(2);
  });

  test("JSON that was cut off is no answer; a text that was cut off says so", async () => {
    const { ctx } = await teamWithModels(t);
    const cut = { max_output_tokens: 5 };
    expect(await complete(ctx, { ...about("Cut.", cut), schema: Draft })).toMatchObject({
      ok: false,
      reason: "length",
    });
    expect(await complete(ctx, about("Cut.", cut))).toMatchObject({ ok: true, stop: "length" });
  });

  test("a model that declines is told, and paid", async () => {
    const { ctx } = await teamWithModels(t, [["standard", "openai", "sandbox-decline"]]);
    const done = await complete(ctx, about("No."));
    expect(done).toMatchObject({ ok: false, reason: "declined" });
    expect(done.cost_micros).toBeGreaterThan(0);
  });
});

describe("kept answers", () => {
  test("the same request is paid once; another text, model or team is another request", async () => {
    const { team, vendors, ctx } = await teamWithModels(t);
    const first = await complete(ctx, { ...about("Acme."), schema: Draft });
    const second = await complete(ctx, { ...about("Acme."), schema: Draft });
    expect(second).toMatchObject({ ok: true, cached: true, calls: 0, cost_micros: 0, saved_micros: first.cost_micros });
    expect(second.ok && second.value).toEqual(first.ok && first.value);
    expect((await vendors.openai.charged()).total).toBe(1);
    const { body } = await team.api("GET", "/costs?kind=model");
    expect(body.data.map((c: any) => [c.outcome, c.amount_micros])).toEqual([
      ["cached", 0],
      ["completed", first.cost_micros],
    ]);
    await complete(ctx, { ...about("Acme!"), schema: Draft });
    expect((await vendors.openai.charged()).total).toBe(2);
    const other = await teamWithModels(t);
    expect(await complete(other.ctx, { ...about("Acme."), schema: Draft })).toMatchObject({ cached: false });
  });

  test("fresh asks all the same; with 0 hours nothing is kept", async () => {
    const { team, vendors, ctx } = await teamWithModels(t);
    await complete(ctx, about("Again."));
    expect(await complete(ctx, about("Again.", { fresh: true }))).toMatchObject({ cached: false, calls: 1 });
    expect((await team.api("PATCH", "/tenant", { settings: { model_cache_hours: 0 } })).status).toBe(200);
    expect(await complete(ctx, about("Again."))).toMatchObject({ cached: false, calls: 1 });
    expect((await vendors.openai.charged()).total).toBe(3);
  });

  test("what was kept about a contact goes with the contact", async () => {
    const { team, ctx } = await teamWithModels(t);
    const [contact_id] = await addContacts(team, [{ email: "ada@famous.com" }]);
    const input = about("Ada likes trains.", { contact_id: contact_id! });
    await complete(ctx, input);
    expect((await team.api("DELETE", `/contacts/${contact_id}`)).status).toBeLessThan(300);
    expect(await complete(ctx, input)).toMatchObject({ cached: false });
  });
});

test("the token limit of a connection holds calls back until there is room, and costs nothing meanwhile", async () => {
  const team = await t.tenant();
  const vendors = await connectVendors(t, team, { tokens_per_minute: 1200 });
  await setModels(team, vendors, [["standard", "openai", "gpt-4o-mini"]]);
  const ctx = jobOf(t, team);
  const input = (n: number) => about(`Number ${n}.`, { timeout_ms: 3000 });
  expect(await complete(ctx, input(1))).toMatchObject({ ok: true });
  const held = await complete(ctx, input(2));
  expect(held).toMatchObject({ ok: false, reason: "unavailable", calls: 0 });
  const { body } = await team.api("GET", "/costs");
  expect(body.data.length).toBe(1);
});

test("a call that waits for the token limit is made as soon as there is room, however often it had none", async () => {
  const team = await t.tenant();
  const vendors = await connectVendors(t, team, { tokens_per_minute: 60_000 });
  await setModels(team, vendors, [["standard", "openai", "gpt-4o-mini"]]);
  const ctx = jobOf(t, team);
  // A thousand tokens a second, and each of these takes more than that: all but the first burst wait for those before them.
  const all = await Promise.all(
    Array.from({ length: 8 }, (_, i) => complete(ctx, about(`Crowd ${i}.`, { max_output_tokens: 10_000 }))),
  );
  expect(all.map((d) => d.ok)).toEqual(Array.from({ length: 8 }, () => true));
});

test("kill -9 between the vendor's answer and our note: the ledger keeps the call, and counts it as spent", async () => {
  const { team, vendors, ctx } = await teamWithModels(t);
  const input = about("Killed.");
  await vendors.openai.fault({ kind: "slow", delay_ms: 20_000 });
  const root = join(import.meta.dirname, "../..");
  const script = `
    const { createKernel } = await import(${JSON.stringify(join(root, "modules/kernel/kernel.ts"))});
    const { modules } = await import(${JSON.stringify(join(root, "modules/boot.ts"))});
    const { complete } = await import(${JSON.stringify(join(root, "modules/models/complete.ts"))});
    const kernel = createKernel(process.env, modules);
    await complete(kernel.manual({ actor: { kind: "job", name: "victim" }, tenantId: ${JSON.stringify(team.id)}, action: "victim" }), ${JSON.stringify(input)});
  `;
  const victim = spawn(process.execPath, ["--input-type=module", "-e", script], {
    env: { ...process.env, ...t.env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  victim.stderr.on("data", (chunk) => (said += chunk));
  const died = new Promise((resolve) => victim.on("exit", (code, signal) => resolve(signal ?? `${code}: ${said}`)));
  try {
    await until(async () => (await vendors.openai.charged()).total === 1, {
      what: "the vendor to answer",
      timeoutMs: 30_000,
    });
  } finally {
    victim.kill("SIGKILL");
  }
  expect(await died).toBe("SIGKILL");
  const ledger = () => team.api("GET", `/costs?run_id=${input.run_id}`).then((r) => r.body.data);
  const [open] = await ledger();
  expect(open).toMatchObject({ state: "reserved", kind: "model" });
  expect(open.amount_micros).toBeGreaterThan(0);
  // A quarter of an hour later the schedules close what nobody will.
  await t.sql`update public.costs set at = at - interval '20 minutes' where tenant_id = ${team.id}`;
  await t.sql`update public.model_calls set at = at - interval '20 minutes' where tenant_id = ${team.id}`;
  await t.sql`select private.close_lost_costs()`;
  await t.sql`select private.close_lost_model_calls()`;
  expect(await ledger()).toEqual([
    expect.objectContaining({ id: open.id, state: "unknown", amount_micros: open.amount_micros }),
  ]);
  const { body } = await team.api("GET", `/models/calls?run_id=${input.run_id}`);
  expect(body.data).toEqual([
    expect.objectContaining({ id: open.id, outcome: "lost", cost_micros: open.amount_micros }),
  ]);
  // The run goes on: its answer was lost, so it is asked again; from then on it is kept.
  expect(await complete(ctx, input)).toMatchObject({ ok: true, cached: false });
  expect(await complete(ctx, input)).toMatchObject({ ok: true, cached: true });
});
