import { describe, expect, it } from "vitest";
import { enrollmentsOf, settlePlans, wakePlanner } from "../../../tests/support/campaigns.ts";
import { testKernel, type TestTenant } from "../../../tests/support/kernel.ts";
import { applyGuards, claim, email, hours, reply, settle, story } from "../../../tests/support/sequences.ts";

/** What comes late or in another order than planned: outcomes, bounces, releases, moves and retries. */

const t = testKernel();
const runsOf = async (campaign: string) => [
  ...(await t.sql<{ state: string; outcome: string | null; step: string | null }[]>`
    select r.state, r.outcome, n.config ->> 'subject' as step from public.step_runs r
    join public.enrollments e on e.id = r.enrollment_id join public.sequence_nodes n on n.id = r.node_id
    where e.campaign_id = ${campaign} order by r.id`),
];
/** Told by the provider, as its webhook consumer writes it down. */
const bounce = (
  tenant: TestTenant,
  connectionId: string,
  message: string,
  kind: "permanent" | "transient" | "block" = "block",
) =>
  tenant.run(
    (ctx) =>
      ctx.db`select private.apply_events(${connectionId}, ${ctx.db.json([
        {
          event_key: `b-${kind}-${message}`,
          kind: "bounced",
          at: new Date().toISOString(),
          message_id: message,
          bounce: kind,
        },
      ] as never)})`,
  );

describe("an e-mail deleted while it is at the provider", () => {
  it("and the sequence edited again before its outcome: the outcome moves nobody, and no step is left open", async () => {
    const tenant = await t.tenant();
    const k = await story(t, tenant, [email("A"), email("B"), email("C")]);
    await k.plan();
    const [first] = await claim(tenant, k.connectionId);
    const rest = await k.edit([k.steps[1], k.steps[2]]);
    await k.edit([...rest, email("D")]);
    await settle(tenant, [first!.id], "sent");
    await k.go();
    expect(await k.sent()).toEqual(["A", "B", "C", "D"]);
    expect((await runsOf(k.id)).filter((r) => r.state === "open")).toEqual([]);
    expect(await k.lead()).toMatchObject({ status: "finished" });
  });
});

it("a move that comes after a later one leaves people at the later version", async () => {
  const tenant = await t.tenant();
  const k = await story(t, tenant, [email("A"), hours(24), email("B")]);
  await k.go();
  await k.edit([...k.steps, email("C")]);
  await k.edit([...k.steps, email("D")]);
  const [older] = await t.sql<{ id: string }[]>`
    select id from public.sequence_versions where campaign_id = ${k.id} order by number desc offset 1 limit 1`;
  await t.sql`select kernel.enqueue('campaigns_move', array[jsonb_build_object(
    'tenant_id', ${tenant.id}::text, 'campaign_id', ${k.id}::text, 'version_id', ${older!.id}::text)])`;
  await settlePlans(t, tenant);
  await k.pass(25);
  await k.go();
  expect(await k.sent()).toEqual(["A", "B", "D"]);
});

it("a message sent before its person was stopped keeps its outcome in the history", async () => {
  const tenant = await t.tenant();
  const k = await story(t, tenant, [email("A"), email("B")]);
  await k.plan();
  const [first] = await claim(tenant, k.connectionId);
  await settle(tenant, [first!.id], "sent");
  // The stop comes before the campaign has heard of the outcome.
  await tenant.api("POST", `/campaigns/${k.id}/leads/${(await k.lead()).id}/stop`);
  await k.go();
  expect(await runsOf(k.id)).toEqual([{ state: "done", outcome: "sent", step: "A" }]);
});

it("a bounce of an earlier run ends no later one", async () => {
  const tenant = await t.tenant();
  const k = await story(t, tenant, [email("A"), hours(24), email("B")]);
  await k.go();
  const [first] = await k.messages();
  await tenant.api("POST", `/campaigns/${k.id}/leads/${(await k.lead()).id}/stop`);
  await tenant.api("POST", `/campaigns/${k.id}/leads`, { contact_ids: k.contactIds, restart: true });
  await k.go();
  await bounce(tenant, k.connectionId, first!.id);
  await settlePlans(t, tenant);
  expect(await k.lead()).toMatchObject({ status: "waiting" });
  const second = (await k.messages()).find((m) => m.id !== first!.id)!;
  await bounce(tenant, k.connectionId, second.id);
  await settlePlans(t, tenant);
  expect(await k.lead()).toMatchObject({ status: "bounced" });
});

it("held messages of a campaign that runs leave, also when nobody released them", async () => {
  const tenant = await t.tenant();
  const k = await story(t, tenant, [email("A")]);
  await k.plan();
  await tenant.api("POST", `/campaigns/${k.id}/pause`);
  await applyGuards(tenant);
  // As a worker that holds a message back in the moment of the resume leaves it.
  await t.sql`update public.campaigns set status = 'running' where id = ${k.id}`;
  expect((await k.messages()).map((m) => m.status)).toEqual(["held"]);
  await t.sql`select private.wake_releasing()`;
  await settlePlans(t, tenant);
  await k.go();
  expect(await k.sent()).toEqual(["A"]);
});

it("who is blocked again by a retry is not retried by it for ever", async () => {
  const tenant = await t.tenant();
  const k = await story(t, tenant, [hours(1), email("A")]);
  await k.plan();
  await t.sql`update public.enrollments set status = 'blocked', next_at = null, reason = 'step_fault' where campaign_id = ${k.id}`;
  const [now] = await t.sql<
    { at: string }[]
  >`select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at`;
  const retried = async () =>
    await tenant.run(
      async (ctx) =>
        (await ctx.db<{ n: number }[]>`select private.retry_blocked(${k.id}, ${now!.at}::text::timestamptz) as n`)[0]!
          .n,
    );
  // Blocked before that moment: once.
  await t.sql`update public.enrollments set updated_at = ${now!.at}::text::timestamptz - interval '1 second' where campaign_id = ${k.id}`;
  expect(await retried()).toBe(1);
  await t.sql`update public.enrollments set status = 'blocked', next_at = null, reason = 'step_fault', updated_at = kernel.now() where campaign_id = ${k.id}`;
  expect(await retried()).toBe(0);
});

it("a campaign stopped while its audience is being taken in takes in nobody more", async () => {
  const tenant = await t.tenant();
  const k = await story(t, tenant, [email("A")]);
  expect((await tenant.api("POST", `/campaigns/${k.id}/stop`)).status).toBe(200);
  await k.go();
  expect(await enrollmentsOf(t, k.id)).toEqual([]);
  expect(await t.sql`select enrolling from public.campaigns where id = ${k.id}`).toMatchObject([{ enrolling: 0 }]);
});

it("an audience whose segment is gone ends the taking in, with the reason, and the campaign can finish", async () => {
  const tenant = await t.tenant();
  const k = await story(t, tenant, [email("A")]);
  await k.go();
  await t.sql`update public.campaigns set enrolling = 1 where id = ${k.id}`;
  await t.sql`select kernel.enqueue('campaigns_enroll', array[jsonb_build_object('tenant_id', ${tenant.id}::text,
    'campaign_id', ${k.id}::text, 'source', jsonb_build_object('segment_id', gen_random_uuid()), 'cursor', null)])`;
  await settlePlans(t, tenant);
  expect(await t.sql`select enrolling from public.campaigns where id = ${k.id}`).toMatchObject([{ enrolling: 0 }]);
  expect(
    await t.sql`select source, verdict, reason from public.decisions where subject_id = ${k.id} and reason = 'audience_fault'`,
  ).toMatchObject([{ source: "enroll", verdict: "ended" }]);
  expect(await t.sql`select 1 from kernel.dead_letters where tenant_id = ${tenant.id}`).toEqual([]);
});

describe("a sequence that ends with a step that could not happen", () => {
  it("fails with the reason where nothing reached the person, and is finished where something did", async () => {
    const tenant = await t.tenant();
    const reached = await story(t, tenant, [email("A"), email("B")], ["ada@acme.test"]);
    await reached.go();
    expect(await reached.lead()).toMatchObject({ status: "finished" });
    const k = await story(t, tenant, [email("A")], ["bob@acme.test", "cy@acme.test"]);
    await wakePlanner(t, tenant);
    const [run] = await t.sql<{ id: string }[]>`
      select r.id from public.step_runs r join public.enrollments e on e.id = r.enrollment_id where e.campaign_id = ${k.id} and r.state = 'open' limit 1`;
    await tenant.run(
      (ctx) =>
        ctx.db`select private.advance_enrollments(${ctx.db.json([
          { step_run_id: run!.id, branch: null, outcome: "refused", at: new Date().toISOString() },
        ] as never)})`,
    );
    expect((await enrollmentsOf(t, k.id)).map((e) => [e.status, e.reason]).toSorted()).toEqual([
      ["failed", "refused"],
      ["sending", null],
    ]);
  });
});

it("a bounce that is only for the moment ends nothing; one that lasts does", async () => {
  const tenant = await t.tenant();
  const k = await story(t, tenant, [email("A"), hours(24), email("B"), hours(24), email("C")]);
  await k.go();
  await bounce(tenant, k.connectionId, (await k.messages())[0]!.id, "transient");
  await settlePlans(t, tenant);
  expect(await k.lead()).toMatchObject({ status: "waiting" });
  await k.pass(25);
  await k.go();
  expect(await k.sent()).toEqual(["A", "B"]);
  await bounce(tenant, k.connectionId, (await k.messages())[1]!.id, "permanent");
  await settlePlans(t, tenant);
  expect(await k.lead()).toMatchObject({ status: "bounced" });
});

it("a word that asks for help is no answer: the sequence goes on", async () => {
  const tenant = await t.tenant();
  const k = await story(t, tenant, [email("A"), email("B")]);
  await k.plan();
  for (const m of await claim(tenant, k.connectionId)) await settle(tenant, [m.id], "sent");
  await reply(tenant, k.connectionId, "ada@acme.test", "help");
  await settlePlans(t, tenant);
  await k.go();
  expect(await k.sent()).toEqual(["A", "B"]);
  expect(
    await t.sql`select replied_at from public.messages where campaign_id = ${k.id} and direction = 'out' and replied_at is not null`,
  ).toEqual([]);
});

describe("where an answer stops only its own campaign", () => {
  const start = async () => {
    const tenant = await t.tenant();
    await t.sql`update public.tenants set settings = settings || '{"reply_stops": "campaign"}' where id = ${tenant.id}`;
    const shared = { settings: { exclusive: false } };
    const first = await story(t, tenant, [email("A"), hours(24), email("B")], ["ada@acme.test"], shared);
    return { tenant, shared, first };
  };

  it("one to the address that wrote earlier is an answer to that, whoever wrote last", async () => {
    const { tenant, shared, first } = await start();
    await first.go();
    const second = await story(t, tenant, [email("C"), hours(24), email("D")], ["bob@acme.test"], shared);
    await t.sql`update public.senders set address = 'kim@us.test' where id = ${second.senderId}`;
    await tenant.api("POST", `/campaigns/${second.id}/leads`, { contact_ids: first.contactIds });
    await second.go();
    await reply(tenant, first.connectionId, "ada@acme.test");
    await settlePlans(t, tenant);
    expect(await first.lead()).toMatchObject({ status: "replied" });
    expect(await second.lead("ada@acme.test")).toMatchObject({ status: "waiting" });
    const threads = await t.sql`
      select o.thread_id = i.thread_id as same from public.messages i join public.messages o on o.campaign_id = ${first.id} and o.direction = 'out'
      where i.tenant_id = ${tenant.id} and i.direction = 'in'`;
    expect(threads).toMatchObject([{ same: true }]);
  });

  it("one that is faster than the provider's answer to the send ends its sequence too", async () => {
    const { tenant, first } = await start();
    await first.plan();
    const [m] = await claim(tenant, first.connectionId);
    await settle(tenant, [m!.id], "unknown");
    await reply(tenant, first.connectionId, "ada@acme.test");
    await settlePlans(t, tenant);
    expect(await first.lead()).toMatchObject({ status: "replied" });
  });
});
