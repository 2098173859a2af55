import { createReadStream, readFileSync } from "node:fs";
import { basename } from "node:path";
import { Readable } from "node:stream";
import { parseArgs } from "node:util";
import {
  DEMO_FIELDS,
  demoPerson,
  demoSteps,
  SANDBOX_NUMBER,
  sandboxDataProviders,
  sandboxTwilio,
} from "../modules/demo/people.ts";
import { startStack } from "../supabase/embedded/stack.ts";

/**
 * The main job, headless, on a throw-away home: a CSV is enriched and becomes a sent, tracked, answered campaign through the real API.
 * Prints one JSON object; exits 1 unless nothing was lost and nothing sent twice.
 */

const USAGE = `npm run demo -- [--contacts 200] [--csv FILE] [--speed 10] [--json]

--contacts  how many invented people, 1 to 100000; --csv takes your own file instead
--speed     how much faster than people the sandbox's recipients act
--json      prints the result as one line of JSON`;

const { values: args } = parsed();
if (args.help) {
  console.log(USAGE);
  process.exit(0);
}
if (!(Number(args.speed) > 0)) {
  console.error("--speed takes a number above 0.");
  process.exit(1);
}
const count = Number(args.contacts);
if (!Number.isInteger(count) || count < 1 || count > 100_000) {
  console.error("--contacts takes a whole number from 1 to 100000.");
  process.exit(1);
}

const started = performance.now();
const live = process.stderr.isTTY;
const say = (line: string) => process.stderr.write(live ? `\x1b[2K\r${line}` : "");
const step = (line: string) => process.stderr.write(live ? `\x1b[2K\r${line}\n` : `${line}\n`);
const bar = (label: string, done: number, total: number) => {
  const width = 28;
  const filled = total > 0 ? Math.round((width * Math.min(done, total)) / total) : 0;
  say(`${label.padEnd(10)} ${"█".repeat(filled)}${"░".repeat(width - filled)} ${done}/${total}`);
};

const stack = await startStack({
  services: { worker: true, sandbox: true, cron: true },
  env: { SANDBOX_SPEED: args.speed, LOG_LEVEL: "warn", OVERTURE_API_RATE: "1000", OVERTURE_API_BURST: "5000" },
  onStep: args.json ? undefined : step,
});
let peak = 0;
const sampler = setInterval(() => (peak = Math.max(peak, residentMb())), 500);
process.on("SIGINT", () => void stack.stop(true).then(() => process.exit(130)));

let failed = true;
try {
  failed = !(await run());
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
} finally {
  clearInterval(sampler);
  await stack.stop();
}
process.exit(failed ? 1 : 0);

function parsed() {
  try {
    return parseArgs({
      options: {
        contacts: { type: "string", default: "200" },
        csv: { type: "string" },
        json: { type: "boolean", default: false },
        speed: { type: "string", default: "10" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    process.exit(1);
  }
}

/** Resident memory of all processes of the stack, in MB (Linux; elsewhere this process alone). */
function residentMb(): number {
  let kb = process.memoryUsage().rss / 1024;
  for (const pid of Object.values(stack.pids())) {
    try {
      kb += Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
    } catch {
      // gone, or no /proc here
    }
  }
  return Math.round(kb / 1024);
}

async function run(): Promise<boolean> {
  let token = "";
  const api = async <T = any>(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<T> => {
    const raw = body instanceof ReadableStream || typeof body === "string";
    const response = await fetch(`${stack.url}/api/v1${path}`, {
      method,
      headers: {
        ...(token ? { authorization: `Bearer ${token}` } : {}),
        ...(body && !raw ? { "content-type": "application/json" } : {}),
        ...headers,
      },
      ...(body ? { body: raw ? (body as BodyInit) : JSON.stringify(body), duplex: "half" } : {}),
    } as RequestInit);
    const text = await response.text();
    const answer = text && /json/.test(response.headers.get("content-type") ?? "") ? JSON.parse(text) : text;
    if (!response.ok)
      throw new Error(
        `${method} ${path} answered ${response.status}: ${answer.detail ?? text} ${JSON.stringify(answer.errors ?? "")}`,
      );
    return answer as T;
  };

  const claim = new URL(stack.claimUrl!).searchParams.get("token");
  const session = await api("POST", "/auth/claim", {
    token: claim,
    email: "demo@overture.example",
    password: crypto.randomUUID(),
    name: "Demo",
    tenant_name: "Demo",
  });
  token = session.access_token;

  const mailKey = crypto.randomUUID();
  const phones = sandboxTwilio();
  const connect = async (provider: string, name: string, credentials: Record<string, string>, webhook = true) => {
    const base_url = `${stack.env.OVERTURE_SANDBOX_URL}/${provider}`;
    const { id } = await api("POST", "/connections", { provider, name, credentials, base_url });
    if (webhook) await api("POST", `/connections/${id}/register-webhook`);
    await api("POST", `/connections/${id}/check`);
    await api("POST", `/connections/${id}/activate`);
    return id as string;
  };
  const sender = await api("POST", "/senders", {
    connection_id: await connect("postmark", "Sandbox", { server_token: mailKey }),
    address: "sam@outreach.example",
    display_name: "Sam",
    limits: [{ action: "email.send", per: "day", cap: 100_000 }],
  });
  const texter = await api("POST", "/senders", {
    connection_id: await connect("twilio", "Sandbox phones", phones),
    address: SANDBOX_NUMBER,
    display_name: "Sam",
    limits: [{ action: "sms.send", per: "day", cap: 100_000 }],
  });
  const list = await api("POST", "/lists", { name: "Audience" });

  const upload = args.csv ? (Readable.toWeb(createReadStream(args.csv)) as ReadableStream) : demoCsv(count);
  let job = await api(
    "POST",
    `/imports?file_name=${encodeURIComponent(args.csv ? basename(args.csv) : "demo.csv")}`,
    upload,
    { "content-type": "text/csv" },
  );
  job = await api("PUT", `/imports/${job.id}/mapping`, {
    mapping: job.detected.suggested_mapping,
    options: {
      on_duplicate: "skip",
      list_id: list.id,
      consent_source: "Demo file",
      lawful_basis: "legitimate_interests",
    },
  });
  await api("POST", `/imports/${job.id}/start`);
  job = await poll(
    () => api("GET", `/imports/${job.id}`),
    (i) => {
      bar("Import", i.rows_done, i.rows_total ?? i.rows_done);
      return ["done", "failed", "cancelled"].includes(i.status);
    },
  );
  if (job.status !== "done") throw new Error(`The import ended as ${job.status}: ${job.error}`);

  const data = sandboxDataProviders();
  const order: Record<string, { connection_id: string }[]> = { person: [], company: [], email: [] };
  for (const { provider, name, credentials, kinds } of data) {
    const connection_id = await connect(provider, name, credentials, false);
    for (const kind of kinds) order[kind]!.push({ connection_id });
  }
  await api("PUT", "/enrichment/sources", { order });
  let enriched = await api("POST", "/enrichment/runs", { list_id: list.id, fields: DEMO_FIELDS });
  enriched = await poll(
    () => api("GET", `/enrichment/runs/${enriched.id}`),
    (r) => {
      bar("Enrichment", r.counts.done, r.counts.total);
      return ["done", "stopped"].includes(r.status);
    },
  );

  // Text messages need consent; everybody in the file gave it.
  for (let cursor: string | null = ""; cursor !== null;) {
    const page: { data: { id: string }[]; next_cursor: string | null } = await api(
      "GET",
      `/contacts?limit=100${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`,
    );
    const contact_ids = page.data.map((c) => c.id);
    if (contact_ids.length > 0) await api("POST", "/consents", { channel: "sms", contact_ids, source: "Demo file" });
    cursor = page.next_cursor;
  }

  const campaign = await api("POST", "/campaigns", {
    name: "Demo campaign",
    sender_ids: [sender.id, texter.id],
    list_id: list.id,
    settings: { time_zone: "UTC", track_opens: true, track_clicks: true, stop_on_reply: true },
    steps: demoSteps(0.003, 0.003),
  });
  await api("POST", `/campaigns/${campaign.id}/start`);

  // A person works through the calls, so that the sequence comes to its end.
  let called = 0;
  const callEverybody = async () => {
    const { data } = await api<{ data: { id: string }[] }>("GET", "/tasks?status=open&limit=100");
    for (const { id } of data)
      await api("POST", `/tasks/${id}/finish`, { outcome: called++ % 3 ? "no_answer" : "reached" });
    return data.length;
  };

  // Done when nobody waits, no task is open and the recipients have fallen silent for a while.
  let quietSince = performance.now();
  let last = "";
  const stats = await poll(
    async () => {
      if ((await callEverybody()) > 0) quietSince = performance.now();
      return await api("GET", `/campaigns/${campaign.id}/stats`);
    },
    (s) => {
      bar("Campaign", s.enrolled - s.pending, s.enrolled);
      const now = JSON.stringify([s.sent, s.delivered, s.opened, s.clicked, s.replied, s.bounced, s.unsubscribed]);
      if (now !== last) quietSince = performance.now();
      last = now;
      return s.enrolled > 0 && s.pending === 0 && performance.now() - quietSince > 6_000;
    },
  );
  say("");

  // The referees: what the providers themselves accepted.
  const refereeOf = async (account: string) =>
    (await (await fetch(`${stack.env.OVERTURE_SANDBOX_URL}/_sandbox/stats?account=${account}`)).json()) as {
      accepted: number;
      duplicates: number;
    };
  const [mails, texts] = await Promise.all([refereeOf(mailKey), refereeOf(phones.account_sid)]);
  const accepted = mails.accepted + texts.accepted;
  const duplicates = mails.duplicates + texts.duplicates;
  // What each data provider charged for, by its own count: a question that is paid for twice is one too many.
  const paid: string[] = [];
  for (const { provider, credentials } of data) {
    const url = `${stack.env.OVERTURE_SANDBOX_URL}/_sandbox/charges?account=${credentials.api_key}`;
    const { charges } = (await (await fetch(url)).json()) as { charges: { question: string; units: number }[] };
    paid.push(...charges.filter((c) => c.units > 0).map((c) => `${provider} ${c.question}`));
  }
  const result = {
    imported: job.created + job.updated,
    rejected_rows: job.rejected,
    enriched: enriched.counts.complete + enriched.counts.partial,
    coverage: Math.round((100 * enriched.filled) / Math.max(1, enriched.counts.total * DEMO_FIELDS.length)) / 100,
    enrichment_usd: enriched.cost_micros / 1e6,
    paid_twice: paid.length - new Set(paid).size,
    enrolled: stats.enrolled,
    sent: stats.sent,
    emails: mails.accepted,
    texts: texts.accepted,
    calls: called,
    delivered: stats.delivered,
    opened: stats.opened,
    clicked: stats.clicked,
    replied: stats.replied,
    bounced: stats.bounced,
    unsubscribed: stats.unsubscribed,
    duplicates_at_provider: duplicates,
    lost: Math.abs(stats.sent - (accepted - duplicates)) + stats.unknown,
    elapsed_s: Math.round((performance.now() - started) / 100) / 10,
    peak_rss_mb: peak,
  };
  if (args.json) console.log(JSON.stringify(result));
  else for (const [name, value] of Object.entries(result)) console.log(`${name.padEnd(24)}${value}`);
  return result.duplicates_at_provider === 0 && result.lost === 0 && result.paid_twice === 0;
}

async function poll<T>(load: () => Promise<T>, over: (value: T) => boolean, timeoutMs = 900_000): Promise<T> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const value = await load();
    if (over(value)) return value;
    if (performance.now() > end)
      throw new Error(`Not finished after ${timeoutMs / 1000} s; last: ${JSON.stringify(value)}`);
    await new Promise((r) => setTimeout(r, 400));
  }
}

/** A file as a person would have it: mostly fine, with a few rows no import can use and one duplicate. */
function demoCsv(people: number): string {
  const quote = (v: string) => (/[",\n]/.test(v) ? `"${v.replaceAll('"', '""')}"` : v);
  const rows = Array.from({ length: people }, (_, n) => demoPerson(n)).map((p) =>
    [p.email, p.phone ?? "", p.first_name, p.last_name, p.title, p.company_name, p.company_domain, p.country]
      .map(quote)
      .join(","),
  );
  const bad = ["not-an-address,,Bad,Row,,,,", `${demoPerson(0).email},,Twice,Again,,,,`];
  return ["Email,Phone,First name,Last name,Job title,Company,Website,Country", ...rows, ...bad].join("\n") + "\n";
}
