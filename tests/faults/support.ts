import { spawn, type ChildProcess } from "node:child_process";
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect } from "vitest";
import { denoBinary } from "../../supabase/embedded/child.ts";
import { ROOT } from "../../supabase/embedded/home.ts";
import { guard } from "../../supabase/embedded/processes.ts";
import { startStack, type Stack } from "../../supabase/embedded/stack.ts";
import { uuid7 } from "../../modules/kernel/database/ids.ts";
import { emulation } from "../../modules/providers/sms/twilio/emulation.ts";
import { giveList } from "../support/campaigns.ts";
import { testKernel, type TestKernel, type TestTenant } from "../support/kernel.ts";
import { until } from "../support/until.ts";

/**
 * A stack of a suite's own, with workers it may kill. Schedules stay off: `tick` does what they do, so that a test decides
 * when. The sandbox's record of what it accepted is the referee; nothing we store ourselves counts as proof of a send.
 */

export type Worker = {
  pid: number;
  /** Exit code, or the signal that ended it. */
  ended: Promise<number | string>;
  kill(signal: NodeJS.Signals): Promise<number | string>;
  log(): string;
};

export type Mailing = {
  tenant: TestTenant;
  id: string;
  connectionId: string;
  account: string;
  size: number;
  steps: unknown;
};

export type World = TestKernel & {
  stack: Stack;
  /** Folder of the world itself: the referee's record and the workers' logs. */
  own: string;
  worker(env?: Record<string, string>): Promise<Worker>;
  /** Runs before the stack is stopped. */
  onStop(end: () => Promise<void>): void;
  /** Ends every worker that still runs, politely. */
  stopWorkers(): Promise<void>;
  killWorkers(): Promise<void>;
  sandbox<T = any>(method: string, path: string, body?: unknown): Promise<T>;
  accepted(account: string): Promise<number>;
  /** A started campaign of one step to `size` people who never answer, on a connection of its own to the sandbox. */
  mailing(provider: Provider, size: number, options?: MailingOptions): Promise<Mailing>;
  /** Takes in the audience and plans it, in this process, so that every message is there before the first worker. */
  planned(mailing: Mailing): Promise<void>;
  /** One round of the schedules of clocks, campaigns and messaging. */
  tick(): Promise<void>;
  /** Messages of a tenant by status. */
  states(mailing: Mailing): Promise<Record<string, number>>;
  /** As though minutes had passed for what nobody works on any more: leases run out, searches are due. */
  timePasses(mailing: Mailing): Promise<void>;
  /** Ticks until no message is queued, sending or unknown, letting time pass for unknown ones. */
  settle(mailing: Mailing): Promise<void>;
};

/** What messages do is heard on these; people and their timeline change after it. */
const FACT_QUEUES = ["campaigns_message_facts", "contacts_message_facts"];

type Provider = "postmark" | "resend" | "twilio";

/** An account of the sandbox that nobody else uses: its name there, and what the connection form asks for. */
function newAccount(provider: Provider): { account: string; credentials: Record<string, string> } {
  if (provider === "twilio") {
    const { key, credentials } = emulation.example();
    return { account: key, credentials };
  }
  if (provider === "resend") {
    const account = `re_${crypto.randomUUID().replaceAll("-", "")}`;
    return { account, credentials: { api_key: account } };
  }
  const account = crypto.randomUUID();
  return { account, credentials: { server_token: account } };
}

/** What a mailing on each channel is made of. Numbers of this range never answer (modules/sandbox/phones.ts); it has a hundred. */
const CHANNELS = {
  email: {
    sender: () => `sam@${uuid7()}.example`,
    person: (people: string, n: number) => ({ email: `${people}+${n}@example.com` }),
    step: { kind: "email", subject: "Hello", body: "Hello there, this is one message." },
  },
  sms: {
    sender: () => "+15005550006",
    person: (_: string, n: number) => ({ phone: `+447700900${Math.floor(n / 10)}0${n % 10}` }),
    step: { kind: "sms", body: "Hello there, this is one message. Reply STOP to opt out." },
  },
} as const;

type MailingOptions = { webhooks?: boolean; perSecond?: number; dailyCap?: number; start?: boolean; people?: string };

export type WorldOptions = {
  gateway?: boolean;
  /** As an installation runs, with every commit on disk; throw-away stacks trade that for speed. */
  durable?: boolean;
  /** The data folder; one of the world's own when absent. Durable. */
  home?: string;
  /** As npm start does: a worker beside the gateway, and whatever dies is started again. */
  supervised?: boolean;
  /** Told what the supervisor says after the start. */
  onEvent?: (line: string) => void;
};

export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const own = mkdtempSync(join(tmpdir(), "overture-faults-"));
  const home = options.home ?? (options.durable ? own : undefined);
  const stack = await startStack({
    home,
    yes: true,
    gateway: options.gateway ?? true,
    services: { worker: options.supervised ?? false, sandbox: true, cron: false, functions: true },
    restart: options.supervised ?? false,
    onEvent: options.onEvent,
    env: {
      // The recipients' second is a hundredth of ours. Nobody here measures the API's rate limit.
      SANDBOX_SPEED: "100",
      OVERTURE_API_RATE: "1000",
      OVERTURE_API_BURST: "5000",
      LOG_LEVEL: "warn",
      // The referee's record stands where no fault reaches it.
      SANDBOX_DATA: join(own, "sandbox.jsonl"),
    },
  });
  const workers = new Set<Worker>();
  const ends: (() => Promise<void>)[] = [];
  afterAll(async () => {
    await Promise.all([...workers].map((w) => w.kill("SIGKILL")));
    for (const end of ends) await end();
    await stack.stop();
    rmSync(own, { recursive: true, force: true, maxRetries: 5 });
  });
  const t = testKernel({ ...stack.env, LOG_LEVEL: "silent", OVERTURE_DB_POOL: "10" });
  const { sql } = t;

  /** These attempts began five minutes earlier, by every clock. */
  const older = (which: ReturnType<typeof sql>) => sql`
    update public.attempts set started_at = started_at - interval '5 minutes', slow_at = slow_at - interval '5 minutes',
      fast_at = fast_at - interval '5 minutes' where ${which}`;

  const world: World = {
    ...t,
    stack,
    own,
    async worker(env = {}) {
      const worker = await spawnWorker({ ...stack.env, OVERTURE_DB_POOL: "10", LOG_LEVEL: "info", ...env }, own);
      workers.add(worker);
      void worker.ended.then(() => workers.delete(worker));
      return worker;
    },
    onStop: (end) => void ends.push(end),
    async stopWorkers() {
      const codes = await Promise.all([...workers].map((w) => w.kill("SIGTERM")));
      expect(
        codes.every((c) => c === 0),
        `exit codes ${codes}`,
      ).toBe(true);
    },
    async killWorkers() {
      await Promise.all([...workers].map((w) => w.kill("SIGKILL")));
    },
    async sandbox(method, path, body) {
      const response = await fetch(`${stack.env.OVERTURE_SANDBOX_URL}/_sandbox${path}`, {
        method,
        ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
      });
      if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
      return (await response.json()) as never;
    },
    accepted: async (account) =>
      (await world.sandbox<{ accepted: number }>("GET", `/stats?account=${account}`)).accepted,
    async mailing(
      provider,
      size,
      { webhooks = false, perSecond = 200, dailyCap = 100_000, start = true, people = "silent" } = {},
    ) {
      const tenant = await t.tenant();
      const api = async (method: string, path: string, body?: unknown) => {
        const answer = await tenant.api(method, path, body);
        if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
        return answer.body;
      };
      const { account, credentials } = newAccount(provider);
      const channel = provider === "twilio" ? "sms" : "email";
      const made = CHANNELS[channel];
      const connection = await api("POST", "/connections", {
        provider,
        name: `Sandbox ${account}`,
        credentials,
        base_url: `${stack.env.OVERTURE_SANDBOX_URL}/${provider}`,
      });
      if (webhooks) await api("POST", `/connections/${connection.id}/register-webhook`);
      await api("POST", `/connections/${connection.id}/check`);
      await api("POST", `/connections/${connection.id}/activate`);
      await sql`update public.connections set settings = settings || ${sql.json({ per_second: perSecond })} where id = ${connection.id}`;
      const sender = await api("POST", "/senders", {
        connection_id: connection.id,
        address: made.sender(),
        display_name: "Sam",
        limits: [{ action: `${channel}.send`, per: "day", cap: dailyCap }],
      });
      const list = await giveList(
        t,
        tenant,
        Array.from({ length: size }, (_, n) => made.person(people, n)),
      );
      if (channel === "sms")
        await api("POST", "/consents", { channel, contact_ids: list.contactIds, source: "Form at a fair" });
      const campaign = await api("POST", "/campaigns", {
        name: "Faults",
        sender_ids: [sender.id],
        list_id: list.listId,
        settings: { time_zone: "UTC", track_opens: false, track_clicks: false },
        steps: [made.step],
      });
      if (start) await api("POST", `/campaigns/${campaign.id}/start`);
      return { tenant, id: campaign.id, connectionId: connection.id, account, size, steps: campaign.steps };
    },
    async planned(mailing) {
      await t.drain("campaigns_enroll", "campaigns_plan");
      expect(await world.states(mailing)).toEqual({ queued: mailing.size });
    },
    async tick() {
      await sql`select kernel.tick(), private.wake_planning(), private.wake_sending(),
        private.expire_leases(), private.wake_reconciling()`;
    },
    async states({ tenant }) {
      const rows = await sql<{ status: string; n: number }[]>`
        select status, count(*)::int as n from public.messages where tenant_id = ${tenant.id} and direction = 'out' group by 1`;
      return Object.fromEntries(rows.map((r) => [r.status, r.n]));
    },
    async timePasses({ tenant }) {
      await sql`update public.messages set lease_until = kernel.slow_clock() - interval '1 second' where tenant_id = ${tenant.id} and status = 'sending'`;
      await older(sql`tenant_id = ${tenant.id}`);
      // What a dead worker had read from a queue is visible again after a minute or two.
      for (const queue of [
        "campaigns_enroll",
        "campaigns_plan",
        "messaging_send",
        "messaging_reconcile",
        ...FACT_QUEUES,
      ]) {
        await sql`update ${sql(`pgmq.q_${queue}`)} set vt = clock_timestamp() where message ->> 'tenant_id' = ${tenant.id}`;
      }
      // The rest of a connection after a row of failures, and the wait of what is to be tried again.
      await sql`update public.connections set circuit_open_until = null where tenant_id = ${tenant.id}`;
      await sql`update public.messages set due_at = kernel.now() where tenant_id = ${tenant.id} and status = 'queued'`;
    },
    async settle(mailing) {
      let turn = 0;
      await until(
        async () => {
          if (turn++ % 10 === 0) {
            await older(sql`tenant_id = ${mailing.tenant.id} and outcome = 'unknown'`);
            await sql`update public.connections set circuit_open_until = null where tenant_id = ${mailing.tenant.id}`;
            await sql`update public.messages set due_at = kernel.now() where tenant_id = ${mailing.tenant.id} and status = 'queued'`;
          }
          await world.tick();
          const s = await world.states(mailing);
          const planned = Object.values(s).reduce((a, b) => a + b, 0);
          return planned === mailing.size && !s.queued && !s.sending && !s.unknown;
        },
        { what: "every message to reach a final state", timeoutMs: 90_000, everyMs: 100 },
      ).catch(async (error: Error) => {
        const said = [...workers].flatMap((w) => w.log().split("\n")).filter((l) => /"level":"(warn|error)"/.test(l));
        throw new Error(
          `${error.message}; ${JSON.stringify(await world.states(mailing))}\n${said.slice(-20).join("\n")}`,
        );
      });
    },
  };
  return world;
}

/** 0 duplicates, 0 lost, every message and person in a final state with its reason, and the campaign as it was. */
export async function verdict(world: World, mailing: Mailing): Promise<void> {
  const { sql } = world;
  const referee = await world.sandbox<{
    accepted: number;
    duplicates: number;
    without_own_id: number;
    by_recipient: Record<string, number>;
  }>("GET", `/stats?account=${mailing.account}&detail=true`);
  expect({ ...referee, by_recipient: Object.keys(referee.by_recipient).length }).toMatchObject({
    accepted: mailing.size,
    duplicates: 0,
    without_own_id: 0,
    by_recipient: mailing.size,
  });
  expect(await world.states(mailing)).toEqual({ sent: mailing.size });
  await heard(world, mailing);
  const [ledger] = await sql`
    select count(*)::int as messages, count(distinct m.enrollment_id)::int as people,
      count(*) filter (where m.provider_message_id is null)::int as without_provider_id,
      (select count(*)::int from public.attempts a where a.tenant_id = ${mailing.tenant.id} and a.outcome is null) as open_attempts,
      (select count(*)::int from public.contacts c where c.tenant_id = ${mailing.tenant.id} and c.status = 'contacted'
        and c.last_interaction_at is not null) as contacted
    from public.messages m where m.tenant_id = ${mailing.tenant.id} and m.direction = 'out'`;
  expect(ledger).toEqual({
    messages: mailing.size,
    people: mailing.size,
    without_provider_id: 0,
    open_attempts: 0,
    contacted: mailing.size,
  });
  const people = await sql`select e.status, n.kind, e.reason, count(*)::int as n from public.enrollments e
      left join public.sequence_nodes n on n.tenant_id = e.tenant_id and n.id = e.node_id where e.campaign_id = ${mailing.id} group by 1, 2, 3`;
  expect([...people]).toEqual([{ status: "finished", kind: "email", reason: null, n: mailing.size }]);
  const runs =
    await sql`select state, outcome, count(*)::int as n from public.step_runs where tenant_id = ${mailing.tenant.id} group by 1, 2`;
  expect([...runs]).toEqual([{ state: "done", outcome: "sent", n: mailing.size }]);
  const campaign = await mailing.tenant.api("GET", `/campaigns/${mailing.id}`);
  expect(campaign.body).toMatchObject({ status: "running", steps: mailing.steps });
  const [dead] = await sql<
    { n: number }[]
  >`select count(*)::int as n from kernel.dead_letters where tenant_id = ${mailing.tenant.id}`;
  expect(dead!.n).toBe(0);
}

/** Waits until everything that was told of this team's messages is heard; in this process too, where no worker is left. */
async function heard(world: World, { tenant }: Mailing): Promise<void> {
  await until(
    async () => {
      await world.drain(...FACT_QUEUES);
      const left = await Promise.all(
        FACT_QUEUES.map(async (queue) => {
          const [row] = await world.sql<{ n: number }[]>`
            select count(*)::int as n from ${world.sql(`pgmq.q_${queue}`)} q where q.message ->> 'tenant_id' = ${tenant.id}`;
          return row!.n;
        }),
      );
      return left.every((n) => n === 0);
    },
    { what: "what was told of the messages to be heard", timeoutMs: 30_000 },
  );
}

async function spawnWorker(env: Record<string, string>, folder: string): Promise<Worker> {
  const logFile = join(folder, `worker-${uuid7()}.log`);
  appendFileSync(logFile, "");
  const child: ChildProcess = spawn(denoBinary(), ["run", "-A", "--no-lock", join(ROOT, "functions/worker/index.ts")], {
    cwd: ROOT,
    env: { ...process.env, ...env, DENO_NO_UPDATE_CHECK: "1", NO_COLOR: "1" },
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  for (const stream of [child.stdout!, child.stderr!])
    stream.on("data", (chunk: Buffer) => appendFileSync(logFile, chunk));
  const ended = new Promise<number | string>((done) =>
    child.once("exit", (code, signal) => done(code ?? signal ?? -1)),
  );
  void ended.then(guard(child.pid!, "TERM"));
  const log = () => readFileSync(logFile, "utf8");
  const worker: Worker = {
    pid: child.pid!,
    ended,
    kill: (signal) => (child.kill(signal), ended),
    log,
  };
  await until(
    () => {
      if (child.exitCode !== null) throw new Error(`The worker ended: ${log()}`);
      return log().includes("worker started");
    },
    { what: "the worker to run", timeoutMs: 30_000 },
  );
  return worker;
}
