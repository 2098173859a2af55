import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import postgres from "postgres";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startStack, type Stack } from "../../supabase/embedded/stack.ts";
import { until } from "../support/until.ts";
import { sendRaw } from "./raw.ts";

// A working day of an installation that logs everything, with people and secrets nobody else has; then every line of every
// process is searched for them, and so is the audit log.

/** Words that stand for a person or a secret, and nowhere else. */
const PEOPLE = {
  owner: "wilhelmina.ottokar",
  ownerName: "Wilhelmina Ottokar",
  local: "zacharias.quimby",
  first: "Zacharias",
  last: "Quimbyström",
  phone: "4930998877",
  linkedin: "zacharias-quimby-7788",
  note: "prefers-tea-over-coffee-77",
  letter: "the-secret-of-the-letter-4711",
  reply: "my-private-answer-0815",
};
const SECRETS = {
  password: "Ottokar-Password-991-xyz",
  wrongPassword: "Ottokar-Wrong-Guess-773",
  serverToken: "5e57ab1e-1111-4000-8000-c0ffee999111",
  smtpPassword: "smtp-password-sentinel-5512",
};

let stack: Stack;
let sql: postgres.Sql;
/** Tokens and keys made on the way: none may be logged. */
const made: Record<string, string> = {};
let tenantId = "";

beforeAll(async () => {
  stack = await startStack({
    services: { worker: true, sandbox: true, cron: true },
    env: { LOG_LEVEL: "debug", SANDBOX_SPEED: "50" },
  });
  sql = postgres(stack.dbUrl, { max: 2, onnotice: () => {} });
}, 120_000);
afterAll(async () => {
  await sql?.end({ timeout: 5 });
  await stack?.stop();
});

type Answer = { status: number; body: any };
async function call(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const raw = typeof body === "string";
  const response = await fetch(`${stack.url}${path}`, {
    method,
    redirect: "manual",
    headers: { ...(body === undefined || raw ? {} : { "content-type": "application/json" }), ...headers },
    ...(body === undefined ? {} : { body: raw ? (body as string) : JSON.stringify(body) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    body: /json/.test(response.headers.get("content-type") ?? "") && text ? JSON.parse(text) : text,
  };
}
const api = (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
  call(method, `/api/v1${path}`, body, {
    authorization: `Bearer ${made.accessToken}`,
    ...(tenantId ? { "x-tenant-id": tenantId } : {}),
    ...headers,
  });
const good = async (answer: Promise<Answer>): Promise<any> => {
  const { status, body } = await answer;
  expect(status, JSON.stringify(body)).toBeLessThan(300);
  return body;
};

const person = (n: string) => ({
  email: `${n}+${PEOPLE.local}@example.com`,
  first_name: PEOPLE.first,
  last_name: PEOPLE.last,
  phone: `+${PEOPLE.phone}`,
  linkedin_url: `https://www.linkedin.com/in/${PEOPLE.linkedin}`,
  title: PEOPLE.note,
});

/** Accounts, keys and invitations; right, wrong and twice. */
async function accounts() {
  const email = `${PEOPLE.owner}@example.com`;
  const account = { email, password: SECRETS.password, name: PEOPLE.ownerName, tenant_name: "Day" };
  const claim = new URL(stack.claimUrl!).searchParams.get("token")!;
  made.claim = claim;
  const session = await good(call("POST", "/api/v1/auth/claim", { token: claim, ...account }));
  made.accessToken = session.access_token;
  made.refreshToken = session.refresh_token;
  tenantId = session.tenant.id;
  const key = { apikey: stack.env.SUPABASE_PUBLISHABLE_KEY! };
  await call("POST", "/api/v1/auth/register", account);
  await call("POST", "/auth/v1/signup", { email, password: SECRETS.password, data: { name: PEOPLE.ownerName } }, key);
  await call("POST", "/auth/login", { email, password: SECRETS.wrongPassword });
  await call("POST", "/auth/v1/token?grant_type=password", { email, password: SECRETS.wrongPassword }, key);
  await call("POST", "/auth/v1/recover", { email }, key);
  await call("POST", "/auth/v1/otp", { email }, key);
  await call("POST", "/auth/refresh", { refresh_token: made.refreshToken });
  await call("GET", `/rest/v1/contacts?email=eq.${PEOPLE.local}@example.com&select=nothing`, undefined, key);
  await call("GET", `/rest/v1/members?user_id=eq.${email}`, undefined, {
    ...key,
    authorization: `Bearer ${made.accessToken}`,
  });
  await call("POST", "/rest/v1/contacts", person("rest"), { ...key, authorization: `Bearer ${made.accessToken}` });
  const invitation = await good(api("POST", "/invitations", { email: `${PEOPLE.local}@example.com`, role: "member" }));
  made.invitation = new URL(invitation.url).searchParams.get("token")!;
  await call("GET", `/api/v1/auth/invitation?token=${made.invitation}`);
  await good(
    call("POST", "/api/v1/auth/invitation/accept", {
      token: made.invitation,
      password: SECRETS.password,
      name: PEOPLE.first,
    }),
  );
  made.apiKey = (await good(api("POST", "/api-keys", { name: "Program", scopes: ["*:read"] }))).key;
  await call("GET", "/api/v1/contacts", undefined, { "x-api-key": made.apiKey! });
  await call("POST", "/api/v1/contacts", person("key"), { "x-api-key": made.apiKey! });
  await call("GET", "/api/v1/contacts", undefined, { authorization: `Bearer ${made.accessToken}x` });
}

/** People by every door, good, bad and twice. */
async function people(): Promise<string> {
  const list = await good(api("POST", "/lists", { name: "Day" }));
  const names = ["reply", "open", "click", "bounce", "complain", "unsubscribe", "ooo"];
  const contacts = names.map((name) => ({
    ...person(name),
    phone: undefined,
    linkedin_url: undefined,
    lists: [list.id],
  }));
  await good(api("POST", "/contacts/bulk", { on_duplicate: "skip", contacts }));
  const one = await good(api("POST", "/contacts", person("one")));
  await api("POST", "/contacts", person("one"));
  await api("POST", "/contacts", { ...person("bad"), phone: "not a phone", email: `${PEOPLE.local}@` });
  await api("PATCH", `/contacts/${one.id}`, { email: `reply+${PEOPLE.local}@example.com` });
  await api("PATCH", `/contacts/${one.id}`, { last_name: PEOPLE.last, status: "interested" });
  await api("GET", `/contacts?search=${PEOPLE.local}`);
  await api("POST", "/contacts/select", { filter: { field: "email", op: "contains", value: PEOPLE.local } });
  await api("POST", "/segments", { name: "S", filter: { field: "last_name", op: "eq", value: PEOPLE.last } });
  await good(api("POST", "/suppressions", { address: `no+${PEOPLE.local}@example.com`, reason: "manual" }));
  const suppressed = (await api("GET", "/suppressions")).body.data[0].id;
  await api("DELETE", `/suppressions/${suppressed}`);
  const file = `Email,First name,Phone\nfile+${PEOPLE.local}@example.com,${PEOPLE.first},+${PEOPLE.phone}\n${PEOPLE.local} at nowhere,${PEOPLE.first},x\n`;
  const uploaded = await good(api("POST", "/imports?file_name=day.csv", file, { "content-type": "text/csv" }));
  await good(
    api("PUT", `/imports/${uploaded.id}/mapping`, { mapping: uploaded.detected.suggested_mapping, options: {} }),
  );
  await good(api("POST", `/imports/${uploaded.id}/start`));
  await until(async () => (await api("GET", `/imports/${uploaded.id}`)).body.status === "done", { what: "the import" });
  await api("GET", `/imports/${uploaded.id}/errors.csv`);
  await api("GET", "/contacts/export.csv");
  // What the database itself refuses: its own log would quote the row.
  await sql`insert into public.contacts (tenant_id, email, first_name) values (${tenantId}, ${`one+${PEOPLE.local}@example.com`}, ${PEOPLE.first})`.catch(
    () => {},
  );
  await sql`insert into public.invitations (tenant_id, email, role, token_hash, expires_at) values (${tenantId}, ${PEOPLE.local}, 'member', ${PEOPLE.note}, now())`.catch(
    () => {},
  );
  await sql.unsafe(`select '${PEOPLE.local}@example.com'::uuid`).catch(() => {});
  await sql.unsafe(`selec '${PEOPLE.note}'`).catch(() => {});
  return list.id as string;
}

/** A campaign through the sandbox, with everything its recipients do. */
async function campaign(listId: string) {
  await api("POST", "/connections", {
    provider: "smtp",
    name: "Bad",
    credentials: { username: PEOPLE.local, password: SECRETS.smtpPassword },
    settings: { host: "127.0.0.1" },
    base_url: `smtp://${PEOPLE.local}:${SECRETS.smtpPassword}@127.0.0.1:1`,
  });
  const connection = await good(
    api("POST", "/connections", {
      provider: "postmark",
      name: "Day",
      credentials: { server_token: SECRETS.serverToken },
      base_url: `${stack.env.OVERTURE_SANDBOX_URL}/postmark`,
    }),
  );
  await good(api("POST", `/connections/${connection.id}/register-webhook`));
  await good(api("POST", `/connections/${connection.id}/check`));
  await good(api("POST", `/connections/${connection.id}/activate`));
  const sender = await good(
    api("POST", "/senders", {
      connection_id: connection.id,
      address: "sam@us.example",
      display_name: "Sam",
      limits: [{ action: "email.send", per: "day", cap: 500 }],
    }),
  );
  const written = await good(
    api("POST", "/campaigns", {
      name: "Day",
      sender_ids: [sender.id],
      list_id: listId,
      settings: { time_zone: "UTC", track_opens: true, track_clicks: true, stop_on_reply: true },
      steps: [
        { subject: "Hello {{firstName}}", body: `Dear {{fullName}}, ${PEOPLE.letter} [there](https://us.example/)` },
      ],
    }),
  );
  await good(api("POST", `/campaigns/${written.id}/start`));
  const sent = async () => (await api("GET", `/messages?campaign_id=${written.id}&limit=100`)).body.data as any[];
  await until(async () => (await sent()).filter((m) => m.status === "sent" || m.bounced_at).length >= 6, {
    what: "the campaign to be sent",
    timeoutMs: 60_000,
    everyMs: 200,
  });
  // An answer in the person's own words.
  const to = `reply+${PEOPLE.local}@example.com`;
  const inbox = `${stack.env.OVERTURE_SANDBOX_URL}/_sandbox/messages?to=${encodeURIComponent(to)}`;
  const { messages } = (await (await fetch(inbox)).json()) as { messages: any[] };
  const original = messages[0];
  await fetch(`${stack.env.OVERTURE_SANDBOX_URL}/_sandbox/deliver`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      account: original.account,
      from: to,
      from_name: `${PEOPLE.first} ${PEOPLE.last}`,
      to: original.reply_to ?? "sam@us.example",
      subject: `Re: ${PEOPLE.note}`,
      text: `Dear Sam, ${PEOPLE.reply}. Call +${PEOPLE.phone}.`,
      html: `<p>${PEOPLE.reply}</p>`,
      headers: original.rfc_message_id ? { "In-Reply-To": original.rfc_message_id } : {},
    }),
  });
  await until(
    async () =>
      (await sql`select 1 from public.messages where direction = 'in' and body_text like ${`%${PEOPLE.reply}%`}`)
        .length > 0,
    {
      what: "the answer to arrive",
      timeoutMs: 60_000,
      everyMs: 200,
    },
  );
  const links = [...(original.html as string).matchAll(/\/links\/(\w)\/([\w-]{88})/g)];
  expect(links.length).toBeGreaterThan(2);
  for (const [path, kind, token] of links) {
    made[`link ${kind}`] = token!;
    await call("GET", path!);
    await call("GET", `${path!.slice(0, -1)}x`);
  }
  await call("POST", `/links/u/${made["link u"]}`, `List-Unsubscribe=One-Click`);
  // Callbacks that prove nothing, and one that is well proved and says nothing sensible.
  const [row] = await sql<{ id: string }[]>`select id from public.connections where id = ${connection.id as string}`;
  const hook = `/webhooks/postmark/${row!.id}`;
  const strange = { RecordType: "Bounce", Email: to, Description: PEOPLE.reply, Details: SECRETS.serverToken };
  await call("POST", hook, strange, { authorization: `Basic ${btoa(`${PEOPLE.local}:${SECRETS.wrongPassword}`)}` });
  await call("POST", `${hook}?password=${SECRETS.wrongPassword}`, strange);
}

/** Requests no client would make, with people in the address itself. */
async function odd() {
  const host = `Host: ${new URL(stack.url).host}`;
  for (const path of [
    `/api/v1/contacts/${PEOPLE.local}@example.com`,
    `/${PEOPLE.local}@example.com`,
    `/realtime/v1/api/broadcast/${PEOPLE.local}/events/%ff`,
    `/realtime/v1/websocket?apikey=${made.accessToken}&vsn=9`,
    `/auth/v1/verify?token=${made.refreshToken}&type=signup`,
    `/rest/v1/contacts?email=eq.${PEOPLE.local}@example.com&apikey=${stack.env.SUPABASE_SECRET_KEY}`,
  ])
    await sendRaw(stack.url, [`GET ${path} HTTP/1.1`, host, `Authorization: Bearer ${made.accessToken}`]);
  await call("POST", "/api/v1/contacts", `{"email":"${PEOPLE.local}@example.com", broken`, {
    authorization: `Bearer ${made.accessToken}`,
    "content-type": "application/json",
  });
  await call("POST", "/functions/v1/tick", {}, { apikey: `${stack.env.SUPABASE_SECRET_KEY}x` });
  await api("POST", "/auth/logout", {});
}

/** Signs in again, because the day before ended with signing out. */
async function accountsAgain() {
  const session = await good(
    call("POST", "/auth/login", { email: `${PEOPLE.owner}@example.com`, password: SECRETS.password }),
  );
  made.secondAccessToken = session.access_token;
  made.secondRefreshToken = session.refresh_token;
  made.accessToken = session.access_token;
}

test(
  "of a working day nothing personal and nothing secret is in any process's log, nor in the audit log",
  { timeout: 240_000 },
  async () => {
    await accounts();
    await odd();
    await accountsAgain();
    const listId = await people();
    await campaign(listId);

    const folder = join(stack.home, "logs");
    const files = readdirSync(folder);
    expect(files.sort()).toEqual(expect.arrayContaining(["gateway.log", "postgres.log", "sandbox.log", "worker.log"]));
    const secrets: Record<string, string> = {
      ...SECRETS,
      ...made,
      ...Object.fromEntries(
        ["SUPABASE_SECRET_KEY", "SUPABASE_JWT_SECRET", "OVERTURE_KEYS", "POSTGRES_PASSWORD"].map((k) => [
          k,
          stack.env[k]!,
        ]),
      ),
    };
    const found: string[] = [];
    for (const file of files) {
      for (const line of readFileSync(join(folder, file), "utf8").split("\n")) {
        for (const [what, word] of Object.entries({ ...PEOPLE, ...secrets }))
          if (word && line.toLowerCase().includes(word.toLowerCase()))
            found.push(`${file}: ${what}: ${line.slice(0, 300)}`);
      }
    }
    expect(found).toEqual([]);

    // Who belongs to the team may stand in its own records; everybody else, and every secret, may not.
    const rows = await sql<
      { row: string }[]
    >`select to_jsonb(a)::text as row from public.audit_log a where tenant_id = ${tenantId}`;
    expect(rows.length).toBeGreaterThan(15);
    const { owner: _, ownerName: __, ...others } = PEOPLE;
    const inAudit = rows.flatMap(({ row }) =>
      row.includes('"invitations.accept"')
        ? []
        : Object.entries({ ...others, ...secrets })
            .filter(([, word]) => row.toLowerCase().includes(word.toLowerCase()))
            .map(([what]) => `${what}: ${row.slice(0, 300)}`),
    );
    expect(inAudit).toEqual([]);
  },
);
