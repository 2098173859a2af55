import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type postgres from "postgres";
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, expect, test } from "vitest";
import { giveSender, settlePlans, startedCampaign } from "../../tests/support/campaigns.ts";
import { testKernel, type TestTenant } from "../../tests/support/kernel.ts";

// Alerts are evaluated for all teams at once, as the schedule does it; each test looks at its own team.

type Call = { headers: IncomingMessage["headers"]; body: string };
const calls: Call[] = [];
/** What the receiver answers next; 204 when empty. */
const answers: number[] = [];
const secret = `whsec_${Buffer.from("a secret of thirty-two bytes.....").toString("base64")}`;

const receiver: Server = createServer((request, response) => {
  let body = "";
  request.on("data", (d) => (body += d));
  request.on("end", () => {
    calls.push({ headers: request.headers, body });
    response.writeHead(answers.shift() ?? 204).end();
  });
});
await new Promise<void>((done) => receiver.listen(0, "127.0.0.1", done));
const port = (receiver.address() as AddressInfo).port;
afterAll(() => new Promise((done) => receiver.close(done)));

const t = testKernel({
  OVERTURE_ALERT_WEBHOOK_URL: `http://127.0.0.1:${port}/alerts`,
  OVERTURE_ALERT_WEBHOOK_SECRET: secret,
  OVERTURE_ALLOW_PRIVATE_HOSTS: `127.0.0.1:${port}`,
});
const queue = `test_${crypto.randomUUID().slice(0, 8)}`;

const evaluate = () => t.sql`select private.evaluate_alerts()`;
/** Makes a team's alerts look as if everything about them had happened earlier: the clock is the wall's. */
const age = (tenant: TestTenant, minutes: number) => t.sql`
  update public.alerts set created_at = created_at - make_interval(mins => ${minutes}), clear_since = clear_since - make_interval(mins => ${minutes})
  where tenant_id = ${tenant.id}`;
const alertsOf = async (tenant: TestTenant, query = "") =>
  (await tenant.api("GET", `/alerts${query}`)).body.data as { id: string; kind: string; [key: string]: unknown }[];
const callsFor = (id: string) => calls.filter((c) => c.headers["webhook-id"]?.includes(id));
/** Makes waiting deliveries due now. */
const hurry = () => t.sql`update pgmq.q_operations_notify set vt = clock_timestamp()`;

beforeAll(async () => {
  await t.sql`select kernel.create_queue(${queue})`;
  // Else the first team of the shared database would be told what happens here.
  operators = await t.tenant();
  await t.sql`insert into kernel.settings (key, value) values ('operator_tenant', to_jsonb(${operators.id}::text)) on conflict (key) do update set value = excluded.value`;
});
let operators: TestTenant;
afterAll(async () => {
  await t.sql`delete from kernel.settings where key = 'operator_tenant'`;
  await t.sql`delete from kernel.queues where name = ${queue}`;
});

const die = async (tenant: TestTenant) => {
  await t.sql`insert into kernel.dead_letters (queue, tenant_id, message, reason, attempts, enqueued_at) values (${queue}, ${tenant.id}, '{}', 'x', 1, now())`;
};

/** A campaign that runs, with somebody to write to since long. */
async function runningCampaign(tenant: TestTenant) {
  const started = await startedCampaign(t, tenant, [{ email: `p-${crypto.randomUUID()}@x.test` }]);
  await settlePlans(t, tenant);
  // Nothing was ever sent, although it is due since an hour.
  await t.sql`update public.messages set due_at = now() - interval '1 hour' where tenant_id = ${tenant.id} and status = 'queued'`;
  return {
    campaign: started.id,
    sender: started.senderId,
    connection: started.connectionId,
    contact: started.contactIds[0]!,
  };
}

test("dead letters open one alert, which stays one, closes by itself once they are gone, and is kept", async () => {
  const [mine, theirs] = [await t.tenant(), await t.tenant()];
  await die(mine);
  await evaluate();
  await die(mine);
  await evaluate();
  await evaluate();
  const [open, ...more] = await alertsOf(mine);
  expect(more).toEqual([]);
  expect(open).toMatchObject({
    kind: "dead_letters",
    subject: queue,
    scope: "team",
    severity: "warning",
    status: "open",
    summary: `2 messages of the queue ${queue} failed permanently.`,
    value: 2,
    resolved_at: null,
  });
  expect(await alertsOf(theirs)).toEqual([]);
  const { attention } = (await mine.api("GET", "/dashboard")).body;
  expect(attention.filter((a: { kind: string }) => a.kind === "dead_letters")).toHaveLength(1);

  await t.sql`delete from kernel.dead_letters where tenant_id = ${mine.id}`;
  await evaluate();
  expect(await alertsOf(mine, "?status=open")).toHaveLength(1);
  await age(mine, 3);
  await evaluate();
  expect(await alertsOf(mine, "?status=open")).toEqual([]);
  expect(await alertsOf(mine)).toMatchObject([{ id: open!.id, status: "resolved", resolved_at: expect.any(String) }]);
  // The same again is another alert.
  await die(mine);
  await evaluate();
  expect((await alertsOf(mine)).map((a) => a.status)).toEqual(["open", "resolved"]);
});

test("a condition that comes back within two minutes does not close the alert", async () => {
  const team = await t.tenant();
  await die(team);
  await evaluate();
  await t.sql`delete from kernel.dead_letters where tenant_id = ${team.id}`;
  await evaluate();
  await die(team);
  await evaluate();
  await age(team, 3);
  // Gone again: the two minutes begin again, too.
  await t.sql`delete from kernel.dead_letters where tenant_id = ${team.id}`;
  await evaluate();
  expect((await alertsOf(team)).map((a) => a.status)).toEqual(["open"]);
});

test("a running campaign with work due that sends nothing is stalled after a quarter of an hour, not before", async () => {
  const team = await t.tenant();
  const { campaign } = await runningCampaign(team);
  await evaluate();
  await age(team, 14);
  await evaluate();
  expect(await alertsOf(team)).toEqual([]);
  await age(team, 2);
  await evaluate();
  expect(await alertsOf(team)).toMatchObject([
    { kind: "campaign_stalled", subject: campaign, severity: "critical", href: `/campaigns/${campaign}` },
  ]);
  expect(await alertsOf(team, `?subject=${campaign}&status=open`)).toHaveLength(1);
  expect(await alertsOf(team, "?subject=another")).toEqual([]);
  const { attention } = (await team.api("GET", "/dashboard")).body;
  expect(attention).toContainEqual(
    expect.objectContaining({
      kind: "alert",
      detail: expect.stringContaining("Spring"),
      href: `/campaigns/${campaign}`,
    }),
  );
});

test("a step that sends nothing counts too, and a sender that is used up hides no other one", async () => {
  const team = await t.tenant();
  const waits = await runningCampaign(team);
  /** In one transaction, so that no planner of another suite's world takes in between what was made due. */
  const stalledAfter = (change: (sql: postgres.TransactionSql) => Promise<unknown>) =>
    t.sql.begin(async (sql) => {
      await change(sql);
      await sql`delete from public.alerts where tenant_id = ${team.id}`;
      await sql`select private.evaluate_alerts()`;
      const found = await sql`select from public.alerts where tenant_id = ${team.id} and kind = 'campaign_stalled'`;
      return found.length === 1;
    });
  const due = (sql: postgres.TransactionSql, kind: string) => sql`
    update public.enrollments e set status = 'waiting', next_at = now() - interval '1 hour', sender_id = null, node_id = n.id, action = n.action
    from public.sequence_nodes n where e.campaign_id = ${waits.campaign} and n.version_id = e.version_id and n.position = (
      select min(o.position) from public.sequence_nodes o where o.version_id = e.version_id and o.kind = ${kind})`;
  const noMessages = (sql: postgres.TransactionSql) =>
    sql`delete from public.messages where campaign_id = ${waits.campaign}`;
  expect(await stalledAfter(noMessages)).toBe(false);
  expect(await stalledAfter((sql) => due(sql, "wait"))).toBe(true);
  await t.sql`update public.sender_limits set cap = 0 where sender_id = ${waits.sender}`;
  expect(await stalledAfter((sql) => due(sql, "wait"))).toBe(true);
  expect(await stalledAfter((sql) => due(sql, "email"))).toBe(false);
  const other = await giveSender(t, team);
  await t.sql`insert into public.campaign_senders (tenant_id, campaign_id, sender_id, position, connection_id) values (${team.id}, ${waits.campaign}, ${other.senderId}, 2, ${other.connectionId})`;
  expect(await stalledAfter((sql) => due(sql, "email"))).toBe(true);
  const ofTheUsedUp = (sql: postgres.TransactionSql) =>
    sql`update public.enrollments set sender_id = ${waits.sender} where campaign_id = ${waits.campaign}`;
  expect(await stalledAfter(async (sql) => (await due(sql, "email"), await ofTheUsedUp(sql)))).toBe(false);
});

test.each([
  [
    "outside its window",
    (c: Made) =>
      t.sql`update public.campaigns set settings = '{"window":{"days":[],"start":"00:00","end":"23:59"}}' where id = ${c.campaign}`,
  ],
  ["paused", (c: Made) => t.sql`update public.campaigns set status = 'paused' where id = ${c.campaign}`],
  [
    "with a sender who is paused",
    (c: Made) => t.sql`update public.senders set status = 'paused' where id = ${c.sender}`,
  ],
  [
    "whose connection has an issue",
    (c: Made) => t.sql`update public.connections set status = 'issue' where id = ${c.connection}`,
  ],
  [
    "whose sender has spent the day's cap",
    (c: Made) =>
      t.sql`insert into public.sender_usage (tenant_id, sender_id, action, hour, day, day_reserved, week)
        select l.tenant_id, l.sender_id, l.action, date_trunc('hour', kernel.now()), (kernel.now() at time zone s.time_zone)::date, l.cap, '2026-01-05'
        from public.sender_limits l join public.senders s on s.id = l.sender_id where l.sender_id = ${c.sender}`,
  ],
  [
    "that sent something a moment ago",
    (
      c: Made,
    ) => t.sql`insert into public.messages (tenant_id, direction, channel, action, status, from_address, to_address, thread_id, contact_id, campaign_id, sent_at)
    select tenant_id, 'out', 'email', 'email.send', 'sent', 'sam@us.test', email, kernel.uuid7(), id, ${c.campaign}, kernel.now() from public.contacts where id = ${c.contact}`,
  ],
  [
    "with nothing due",
    (c: Made) =>
      t.sql`update public.messages set due_at = now() + interval '1 day' where campaign_id = ${c.campaign} and status = 'queued'`,
  ],
])("a campaign %s is not stalled", async (_, change) => {
  const team = await t.tenant();
  await change(await runningCampaign(team));
  await evaluate();
  await age(team, 60);
  await evaluate();
  expect(await alertsOf(team)).toEqual([]);
});
type Made = Awaited<ReturnType<typeof runningCampaign>>;

test("what concerns all teams is an alert of the team that operates the installation, and of no other", async () => {
  const others = await t.tenant();
  const name = `test.${crypto.randomUUID()}`;
  try {
    // A queue nobody takes from, a schedule that is late and one that fails.
    await t.sql`select kernel.enqueue(${queue}, array[jsonb_build_object('tenant_id', ${others.id}::text)])`;
    await t.sql`update pgmq.${t.sql(`q_${queue}`)} set vt = now() - interval '20 minutes'`;
    await t.sql`insert into kernel.schedules (name, cron, command, expected_seconds, registered_at, last_started_at, last_error)
      values (${`${name}.late`}, '* * * * *', 'select 1', 60, now() - interval '2 hours', now() - interval '1 hour', null),
             (${`${name}.failing`}, '* * * * *', 'select 1', 60, now(), now(), 'it failed')`;
    await evaluate();
    await age(operators, 10);
    await evaluate();
    const found = (await alertsOf(operators)).filter((a) =>
      [queue, `${name}.late`, `${name}.failing`].includes(a.subject as string),
    );
    expect(found.map((a) => [a.kind, a.scope, a.severity]).sort()).toEqual([
      ["queue_late", "installation", "critical"],
      ["schedule_failing", "installation", "warning"],
      ["schedule_late", "installation", "critical"],
    ]);
    expect(await alertsOf(others)).toEqual([]);
  } finally {
    await t.sql`delete from kernel.schedules where name like ${`${name}%`}`;
    await t.sql`delete from pgmq.${t.sql(`q_${queue}`)}`;
  }
});

test("a burning error budget is an alert, and so are slow answers; without requests there is neither", async () => {
  const undone = new Error("undone");
  const look = t.sql.begin(async (sql) => {
    // Nobody else's requests may count, and nobody may miss theirs: all of it is taken back.
    await sql`lock table kernel.samples in exclusive mode`;
    await sql`delete from kernel.samples`;
    const found = async () =>
      (
        await sql`select kind, subject, severity from private.installation_findings() where kind in ('error_rate', 'latency') order by 1, 2`
      ).map((r) => Object.values(r));
    const sample = (n: number, errors: number, bucket: number, minutesAgo: number) => sql`
      insert into kernel.samples (span, at, kind, name, n, errors, total, buckets)
      values ('minute', date_trunc('minute', now()) - make_interval(mins => ${minutesAgo}), 'http', ${crypto.randomUUID()}, ${n}, ${errors}, 1,
        ${Array.from({ length: 14 }, (_, i) => (i === bucket ? n : 0))})`;
    expect(await found()).toEqual([]);
    // Two failures are no trend.
    await sample(100, 2, 3, 1);
    expect(await found()).toEqual([]);
    await sql`delete from kernel.samples`;
    // 3 % over the long windows, nothing in the short ones: it is over.
    await sample(10_000, 300, 3, 40);
    expect(await found()).toEqual([]);
    await sample(10_000, 400, 3, 1);
    const burning = [
      ["error_rate", "fast", "critical"],
      ["error_rate", "slow", "warning"],
    ];
    expect(await found()).toEqual(burning);
    // Of 12,000 requests 2,000 took more than half a second.
    await sample(2_000, 0, 8, 2);
    expect(await found()).toEqual([...burning, ["latency", "", "warning"]]);
    throw undone;
  });
  await expect(look).rejects.toBe(undone);
});

test("a backup that does not come is an alert; where none is planned there is none", async () => {
  const undone = new Error("undone");
  const look = t.sql.begin(async (sql) => {
    const found = () => sql`select kind, summary from private.installation_findings() where kind = 'backup_late'`;
    expect(await found()).toEqual([]);
    await sql`insert into kernel.settings (key, value)
      values ('backup', jsonb_build_object('every_seconds', 86400, 'planned_at', now() - interval '9 days', 'last_at', now() - interval '47 hours'))`;
    expect(await found()).toEqual([]);
    await sql`update kernel.settings set value = value || jsonb_build_object('last_at', now() - interval '50 hours') where key = 'backup'`;
    expect(await found()).toEqual([
      { kind: "backup_late", summary: "The last backup is 50 hours old, although one is planned every 24 hours." },
    ]);
    throw undone;
  });
  await expect(look).rejects.toBe(undone);
});

test("opening and closing are each posted once, signed as Standard Webhooks, and tried again under the same id until taken", async () => {
  const team = await t.tenant();
  await t.drain("operations_notify");
  await die(team);
  answers.push(500);
  await evaluate();
  await evaluate();
  const [alert] = await alertsOf(team);
  await t.drain("operations_notify");
  await hurry();
  await t.drain("operations_notify");
  await hurry();
  await t.drain("operations_notify");
  const opened = callsFor(alert!.id);
  expect(opened.map((c) => c.headers["webhook-id"])).toEqual(Array(2).fill(`alert_${alert!.id}_opened`));
  const verified = new Webhook(secret).verify(opened[1]!.body, opened[1]!.headers as Record<string, string>);
  expect(verified).toMatchObject({
    type: "alert.opened",
    timestamp: alert!.opened_at,
    data: {
      id: alert!.id,
      tenant_id: team.id,
      kind: "dead_letters",
      status: "open",
      href: expect.stringMatching(/^http.*\/queues\?tab=dead/),
    },
  });
  expect(() =>
    new Webhook(secret).verify(`${opened[1]!.body} `, opened[1]!.headers as Record<string, string>),
  ).toThrow();

  await t.sql`delete from kernel.dead_letters where tenant_id = ${team.id}`;
  await evaluate();
  await age(team, 3);
  await evaluate();
  await evaluate();
  await t.drain("operations_notify");
  expect(
    callsFor(alert!.id)
      .slice(2)
      .map((c) => JSON.parse(c.body)),
  ).toMatchObject([{ type: "alert.resolved", data: { status: "resolved", resolved_at: expect.any(String) } }]);
});

test("a receiver that is gone for good gets no more of it; the rest of the configuration is checked at the start", async () => {
  const team = await t.tenant();
  await die(team);
  answers.push(410);
  await evaluate();
  const [alert] = await alertsOf(team);
  await t.drain("operations_notify");
  expect(
    await t.sql`select reason from kernel.dead_letters where tenant_id = ${team.id} and queue = 'operations_notify'`,
  ).toEqual([{ reason: expect.stringContaining("410") }]);
  await t.drain("operations_notify");
  expect(callsFor(alert!.id)).toHaveLength(1);
});

test("members see alerts, viewers do not", async () => {
  const team = await t.tenant();
  expect((await (await team.member("member")).api("GET", "/alerts")).status).toBe(200);
  expect((await (await team.member("viewer")).api("GET", "/alerts")).status).toBe(403);
});
