import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { testKernel } from "../../tests/support/kernel.ts";

const FROM = `accounts-${crypto.randomUUID()}@operators.example`;
const t = testKernel({ OVERTURE_MAIL_FROM: FROM });
const silent = testKernel({ OVERTURE_MAIL_FROM: "" });

const PASSWORD = "a long enough password";
const OTHER = "quite another password";
type Session = { access_token: string; refresh_token: string };
type Mail = { from: { address: string }; subject: string; text: string; html: string };

let before: unknown;
beforeAll(async () => {
  const operators = await t.tenant("Operators");
  [before] = await t.sql`select value from kernel.settings where key = 'operator_tenant'`;
  await t.sql`insert into kernel.settings (key, value) values ('operator_tenant', to_jsonb(${operators.id}::text))
    on conflict (key) do update set value = excluded.value`;
  const made = await operators.api("POST", "/connections", {
    provider: "resend",
    name: "Mails",
    credentials: { api_key: `re_${crypto.randomUUID().replaceAll("-", "")}` },
    base_url: `${t.env.OVERTURE_SANDBOX_URL}/resend`,
  });
  expect(made.status, JSON.stringify(made.body)).toBe(201);
  expect((await operators.api("POST", `/connections/${made.body.id}/check`)).body.ok).toBe(true);
  await t.sql`update public.connections set status = 'active' where id = ${made.body.id as string}`;
  const sender = { connection_id: made.body.id, address: FROM, display_name: "Accounts" };
  expect((await operators.api("POST", "/senders", sender)).status).toBe(201);
});
afterAll(async () => {
  const { value } = (before ?? {}) as { value?: string };
  await (value === undefined
    ? t.sql`delete from kernel.settings where key = 'operator_tenant'`
    : t.sql`update kernel.settings set value = to_jsonb(${value}::text) where key = 'operator_tenant'`);
});

/** From an address of its own, so that limits by address do not count here. */
const api = (token: string | null, method: string, path: string, body?: unknown) =>
  t.call(token)(method, path, body, {
    "x-forwarded-for": `203.0.${Math.floor(Math.random() * 250)}.${Math.floor(Math.random() * 250)}`,
  });
/** The mails to an address, the latest first, after the queue has been worked off. */
async function mailsTo(address: string): Promise<Mail[]> {
  await t.drain("accounts_mail");
  const response = await fetch(`${t.env.OVERTURE_SANDBOX_URL}/_sandbox/messages?to=${encodeURIComponent(address)}`);
  return ((await response.json()) as { messages: Mail[] }).messages;
}
const tokenIn = (mail: Mail | undefined) => /#token=(\S+)/.exec(mail?.text ?? "")?.[1] ?? "none";
const titled = (mails: Mail[], word: string) => mails.filter((mail) => mail.subject.includes(word));

async function person() {
  const email = `p-${crypto.randomUUID()}@example.com`;
  const made = await api(null, "POST", "/auth/register", { email, password: PASSWORD, name: "P", tenant_name: "P" });
  expect(made.status).toBe(201);
  const signIn = (password: string, as = email) => api(null, "POST", "/auth/login", { email: as, password });
  return { email, session: made.body as Session, signIn };
}
const reset = (token: string, password = OTHER) => api(null, "POST", "/auth/reset/confirm", { token, password });

describe("a forgotten password", () => {
  test("is replaced through a link that works once, for an hour; every session ends and the owner is told", async () => {
    const { email, session, signIn } = await person();
    expect((await api(null, "POST", "/auth/reset", { email: email.toUpperCase() })).status).toBe(202);
    const [mail] = await mailsTo(email);
    expect(mail).toMatchObject({ subject: expect.stringContaining("choose a new password") });
    expect(mail!.from.address).toBe(FROM);
    const token = tokenIn(mail);
    expect(mail!.html).toContain(`/reset#token=${token}`);
    // What is refused does not use the link up.
    expect((await reset(token, "short")).status).toBe(422);
    const done = await reset(token);
    expect(done.status).toBe(200);
    expect((await api(done.body.access_token, "GET", "/auth/me")).body.user.email).toBe(email);
    expect((await api(session.access_token, "GET", "/auth/me")).status).toBe(401);
    expect((await api(null, "POST", "/auth/refresh", { refresh_token: session.refresh_token })).status).toBe(401);
    expect([(await signIn(PASSWORD)).status, (await signIn(OTHER)).status]).toEqual([401, 200]);
    expect((await reset(token, PASSWORD)).status).toBe(410);
    expect(titled(await mailsTo(email), "password was changed")).toHaveLength(1);
  });

  test("an address without an account gets the same answer, and no mail", async () => {
    const { email } = await person();
    const stranger = `nobody-${crypto.randomUUID()}@example.com`;
    const [known, unknown] = [
      await api(null, "POST", "/auth/reset", { email }),
      await api(null, "POST", "/auth/reset", { email: stranger }),
    ];
    expect([unknown.status, unknown.body]).toEqual([known.status, known.body]);
    expect(await mailsTo(stranger)).toEqual([]);
    expect(await mailsTo(email)).toHaveLength(1);
  });

  test("a link ends with a later one, with its hour, and with a password or address that was changed since", async () => {
    const { email, session, signIn } = await person();
    const ask = async () => {
      expect((await api(null, "POST", "/auth/reset", { email })).status).toBe(202);
      return tokenIn((await mailsTo(email))[0]);
    };
    const tokens = [await ask(), await ask(), await ask()];
    expect(new Set(tokens).size).toBe(3);
    for (const token of tokens.slice(0, 2)) expect((await reset(token)).status).toBe(410);
    const mine = () => t.sql`update private.account_tokens set expires_at = kernel.now() where address = ${email}`;
    await mine();
    expect((await reset(tokens[2]!)).status).toBe(410);
    await t.sql`update private.account_tokens set expires_at = kernel.now() + interval '1 hour' where address = ${email}`;
    await t.sql`update auth.users set email = ${`moved-${email}`} where email = ${email}`;
    expect((await reset(tokens[2]!)).status).toBe(410);
    await t.sql`update auth.users set email = ${email} where email = ${`moved-${email}`}`;
    const change = { current_password: PASSWORD, password: OTHER };
    expect((await api(session.access_token, "POST", "/auth/password", change)).status).toBe(200);
    expect((await reset(tokens[2]!, PASSWORD)).status).toBe(410);
    expect((await signIn(OTHER)).status).toBe(200);
  });

  test("two who open a link at once: one gets it; a link of another kind or a made-up one opens nothing", async () => {
    const { email } = await person();
    await api(null, "POST", "/auth/reset", { email });
    const token = tokenIn((await mailsTo(email))[0]);
    for (const odd of [
      token.toUpperCase(),
      `${token}x`,
      token.slice(0, -1),
      "ovr_",
      "' or true --",
      token.replace("ovr_", "ove_"),
    ])
      expect((await reset(odd)).status, odd.slice(0, 6)).toBe(410);
    expect((await api(null, "POST", "/auth/email/confirm", { token })).status).toBe(410);
    expect((await api(null, "POST", "/auth/invitation/accept", { token, password: OTHER })).status).toBe(410);
    const both = await Promise.all([reset(token, `${OTHER} one`), reset(token, `${OTHER} two`)]);
    expect(both.map((answer) => answer.status).toSorted()).toEqual([200, 410]);
  });

  test("fills nobody's mailbox, and is refused where no mails are sent", async () => {
    const { email } = await person();
    const statuses = [];
    for (let i = 0; i < 5; i++) statuses.push((await api(null, "POST", "/auth/reset", { email })).status);
    expect(statuses).toEqual([202, 202, 202, 429, 429]);
    expect((await silent.call(null)("POST", "/auth/reset", { email })).status).toBe(403);
    expect((await silent.call(null)("GET", "/auth/options")).body.account_mail).toBe(false);
    expect((await t.call(null)("GET", "/auth/options")).body.account_mail).toBe(true);
  });
});

describe("another email address", () => {
  test("takes the password and a link in its own mailbox; the old address is told", async () => {
    const { email, session, signIn } = await person();
    const next = `next-${crypto.randomUUID()}@example.com`;
    const ask = (current_password: string, to = next) =>
      api(session.access_token, "POST", "/auth/email", { email: to, current_password });
    const wrong = await ask("not my password");
    expect([wrong.status, wrong.body.errors?.[0].pointer]).toEqual([422, "/current_password"]);
    expect((await ask(PASSWORD, email)).status).toBe(422);
    expect(await mailsTo(next)).toEqual([]);
    expect((await ask(PASSWORD)).status).toBe(202);
    // Until the link is opened nothing has changed.
    expect([(await signIn(PASSWORD, next)).status, (await signIn(PASSWORD)).status]).toEqual([401, 200]);
    const token = tokenIn((await mailsTo(next))[0]);
    const confirmed = await api(null, "POST", "/auth/email/confirm", { token });
    expect([confirmed.status, confirmed.body]).toEqual([200, { email: next }]);
    expect((await api(null, "POST", "/auth/email/confirm", { token })).status).toBe(410);
    expect([(await signIn(PASSWORD, next)).status, (await signIn(PASSWORD)).status]).toEqual([200, 401]);
    // A token of before, which holds the old address for an hour, is shown the new one, and writes the new one.
    expect((await api(session.access_token, "GET", "/auth/me")).body.user.email).toBe(next);
    const team = (await api(session.access_token, "POST", "/tenants", { name: "Another" })).body.id as string;
    expect((await t.call(session.access_token, team)("GET", "/members")).body.data).toMatchObject([{ email: next }]);
    const signed = (await signIn(PASSWORD, next)).body as Session;
    expect((await api(signed.access_token, "GET", "/members")).body.data).toMatchObject([{ email: next }]);
    await later();
    expect(titled(await mailsTo(email), "address was changed")).toHaveLength(1);
  });

  test("that another account has is not taken, and the link may be opened again", async () => {
    const [ada, eve] = [await person(), await person()];
    const body = { email: eve.email, current_password: PASSWORD };
    expect((await api(ada.session.access_token, "POST", "/auth/email", body)).status).toBe(202);
    const token = tokenIn((await mailsTo(eve.email))[0]);
    for (const _ of [1, 2]) expect((await api(null, "POST", "/auth/email/confirm", { token })).status).toBe(409);
    expect((await ada.signIn(PASSWORD)).status).toBe(200);
    expect((await eve.signIn(PASSWORD)).status).toBe(200);
  });
});

test("the owner hears of a refresh token that was used twice", async () => {
  const { email, session } = await person();
  await api(null, "POST", "/auth/refresh", { refresh_token: session.refresh_token });
  // The gateway's own clock wrote it; eleven seconds are over.
  await t.sql`update auth.refresh_tokens set updated_at = now() - interval '11 seconds' where token = ${session.refresh_token}`;
  expect((await api(null, "POST", "/auth/refresh", { refresh_token: session.refresh_token })).status).toBe(401);
  expect(titled(await mailsTo(email), "a session was ended")).toHaveLength(1);
});

test("a mail that has no sender to leave by waits, and says why to whoever runs the installation", async () => {
  const { email } = await person();
  await t.sql`update public.senders set status = 'paused' where address = ${FROM}`;
  try {
    await api(null, "POST", "/auth/reset", { email });
    await t.drain("accounts_mail");
    const [waiting] =
      await t.sql`select count(*)::int as n from pgmq.q_accounts_mail where message ->> 'kind' = 'reset'`;
    expect(waiting!.n).toBeGreaterThan(0);
  } finally {
    await t.sql`update public.senders set status = 'active' where address = ${FROM}`;
  }
  await t.sql`update pgmq.q_accounts_mail set vt = clock_timestamp()`;
  expect(await mailsTo(email)).toHaveLength(1);
});

test("the embedded auth server's admin API takes the secret key alone", async () => {
  const { email, session, signIn } = await person();
  const { sub } = JSON.parse(atob(session.access_token.split(".")[1]!.replaceAll("-", "+").replaceAll("_", "/")));
  const put = async (headers: Record<string, string>, body: unknown, id = sub) => {
    const response = await fetch(`${t.env.SUPABASE_URL}/auth/v1/admin/users/${id}`, {
      method: "PUT",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
    });
    await response.body?.cancel();
    return response.status;
  };
  const [publishable, secret] = [t.env.SUPABASE_PUBLISHABLE_KEY!, t.env.SUPABASE_SECRET_KEY!];
  for (const headers of [
    {},
    { apikey: publishable },
    { apikey: publishable, authorization: `Bearer ${session.access_token}` },
    { apikey: session.access_token },
    { apikey: secret.slice(0, -1) },
    { apikey: `${secret}x` },
    { authorization: `Bearer ${secret}` },
  ])
    expect(await put(headers as Record<string, string>, { password: OTHER, email: "x@example.com" })).toBe(401);
  expect(await put({ apikey: secret }, { password: "short" })).toBe(422);
  expect(await put({ apikey: secret }, { password: OTHER }, crypto.randomUUID())).toBe(404);
  expect((await signIn(PASSWORD)).status).toBe(200);
  expect(await put({ apikey: secret }, { password: OTHER })).toBe(200);
  expect((await signIn(OTHER, email)).status).toBe(200);
});

/** What becomes of a request to the auth server on its way: nothing, a refusal, or a connection that breaks before or after the work. */
type Fault = "none" | "refused" | "request lost" | "answer lost";
let fault: (method: string, path: string) => Fault = () => "none";
const between = createServer(async (request, response) => {
  const [method, path] = [request.method!, request.url!];
  const body = await text(request);
  const what = fault(method, path);
  if (what === "request lost") return void request.socket.destroy();
  if (what === "refused") return void response.writeHead(429, { "content-type": "application/json" }).end("{}");
  const headers = new Headers();
  for (const name of ["apikey", "authorization", "content-type", "x-forwarded-for", "x-supabase-api-version"])
    if (typeof request.headers[name] === "string") headers.set(name, request.headers[name]);
  const answer = await fetch(`${t.env.SUPABASE_URL}${path}`, { method, headers, ...(body === "" ? {} : { body }) });
  const answered = await answer.text();
  if (what === "answer lost") return void request.socket.destroy();
  response.writeHead(answer.status, { "content-type": "application/json" }).end(answered);
});
await new Promise<void>((done) => between.listen(0, "127.0.0.1", done));
afterAll(() => between.close());
const faulty = testKernel({
  OVERTURE_MAIL_FROM: FROM,
  SUPABASE_URL: `http://127.0.0.1:${(between.address() as AddressInfo).port}`,
});
const over = (token: string | null, path: string, body: unknown) =>
  faulty.call(token)("POST", path, body, { "x-forwarded-for": "203.0.113.77" });

/** Thirty seconds later: what waits in the queue is due. */
const later = () => t.sql`update pgmq.q_accounts_mail set vt = clock_timestamp()`;
const idOf = async (email: string) =>
  (await t.sql<{ id: string }[]>`select id from auth.users where email = ${email}`)[0]!.id;

/** A person with a link to another address that nobody has opened yet. */
async function moving() {
  const who = await person();
  const next = `next-${crypto.randomUUID()}@example.com`;
  const ask = { email: next, current_password: PASSWORD };
  expect((await api(who.session.access_token, "POST", "/auth/email", ask)).status).toBe(202);
  const token = tokenIn((await mailsTo(next))[0]);
  expect(token).toMatch(/^ove_/);
  return { ...who, next, token, confirm: () => api(null, "POST", "/auth/email/confirm", { token }) };
}
const atAuth = (method: string, path: string, headers: Record<string, string>, body: unknown) =>
  fetch(`${t.env.SUPABASE_URL}/auth/v1${path}`, {
    method,
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });

describe("links and changes of the account:", () => {
  const doors: [string, (who: Awaited<ReturnType<typeof moving>>) => Promise<number>][] = [
    [
      "a password changed at the API",
      async ({ session }) => {
        const change = { current_password: PASSWORD, password: OTHER };
        return (await api(session.access_token, "POST", "/auth/password", change)).status;
      },
    ],
    [
      "a password changed at the auth server",
      async ({ session }) => {
        const headers = {
          apikey: t.env.SUPABASE_PUBLISHABLE_KEY!,
          authorization: `Bearer ${session.access_token}`,
        };
        return (await atAuth("PUT", "/user", headers, { password: OTHER, current_password: PASSWORD })).status;
      },
    ],
    [
      "a password set by the auth server's administrator",
      async ({ email }) => {
        const headers = { apikey: t.env.SUPABASE_SECRET_KEY! };
        return (await atAuth("PUT", `/admin/users/${await idOf(email)}`, headers, { password: OTHER })).status;
      },
    ],
    [
      "a password chosen by a link",
      async ({ email }) => {
        await api(null, "POST", "/auth/reset", { email });
        return (await reset(tokenIn(titled(await mailsTo(email), "choose a new password")[0]))).status;
      },
    ],
    [
      "another address",
      async ({ email }) => {
        await t.sql`update auth.users set email = ${`moved-${email}`} where email = ${email}`;
        return 200;
      },
    ],
  ];
  test.each(doors)("%s ends a link that was asked for before", async (_door, change) => {
    const who = await moving();
    await api(null, "POST", "/auth/reset", { email: who.email });
    const link = tokenIn(titled(await mailsTo(who.email), "choose a new password")[0]);
    expect(await change(who)).toBe(200);
    expect((await who.confirm()).status).toBe(410);
    expect((await reset(link, PASSWORD)).status).toBe(410);
    expect(await t.sql`select 1 from auth.users where email = ${who.next}`).toHaveLength(0);
  });

  test("nor does a mail leave with a link that was asked for before", async () => {
    const { email, session } = await person();
    const next = `next-${crypto.randomUUID()}@example.com`;
    await api(session.access_token, "POST", "/auth/email", { email: next, current_password: PASSWORD });
    await t.sql`update auth.users set encrypted_password = encrypted_password || 'x' where email = ${email}`;
    expect(await mailsTo(next)).toEqual([]);
  });

  test("but not a sign-in, and the owner hears of a change of address when it is asked for", async () => {
    const { email, signIn, confirm } = await moving();
    const [told] = titled(await mailsTo(email), "somebody asked to change your email address");
    expect(told!.text).toContain("change your password now");
    expect((await signIn(PASSWORD)).status).toBe(200);
    expect((await confirm()).status).toBe(200);
  });
});

describe("a connection to the auth server that breaks", () => {
  afterEach(() => void (fault = () => "none"));
  const changes = (method: string) => method === "PUT";

  test("after a change of address loses neither the notice nor the copies", async () => {
    const { email, next, token, confirm } = await moving();
    fault = (method) => (changes(method) ? "answer lost" : "none");
    expect((await over(null, "/auth/email/confirm", { token })).status).toBe(503);
    expect((await confirm()).status).toBe(410);
    await later();
    expect(titled(await mailsTo(email), "address was changed")).toHaveLength(1);
    expect(titled(await mailsTo(next), "address was changed")).toEqual([]);
    expect(await t.sql`select email from public.members where user_id = ${await idOf(next)}`).toEqual([
      { email: next },
    ]);
  });

  test("before it tells nobody of a change, and leaves the link", async () => {
    const { email, token, confirm } = await moving();
    fault = (method) => (changes(method) ? "request lost" : "none");
    expect((await over(null, "/auth/email/confirm", { token })).status).toBe(503);
    await later();
    expect(titled(await mailsTo(email), "address was changed")).toEqual([]);
    expect((await confirm()).status).toBe(200);
    await later();
    expect(titled(await mailsTo(email), "address was changed")).toHaveLength(1);
  });

  test("or a limit after a change of password takes nothing from the notice", async () => {
    const { email, next, session, confirm, signIn } = await moving();
    let signIns = 0;
    fault = (_method, path) => (path.includes("grant_type=password") && ++signIns === 2 ? "refused" : "none");
    const change = { current_password: PASSWORD, password: OTHER };
    expect((await over(session.access_token, "/auth/password", change)).status).toBe(429);
    expect(titled(await mailsTo(email), "password was changed")).toHaveLength(1);
    expect(await t.sql`select 1 from private.account_tokens where address = ${next}`).toHaveLength(0);
    expect([(await confirm()).status, (await signIn(OTHER)).status]).toEqual([410, 200]);
  });
});

describe("mails that somebody asks for", () => {
  test("fill no mailbox from many accounts, whatever the letters of its address", async () => {
    const victim = `victim-${crypto.randomUUID()}@example.com`;
    const statuses = [];
    for (let i = 0; i < 5; i++) {
      const { session } = await person();
      const ask = { email: i % 2 ? victim.toUpperCase() : victim, current_password: PASSWORD };
      statuses.push((await api(session.access_token, "POST", "/auth/email", ask)).status);
    }
    expect(statuses).toEqual([202, 202, 202, 429, 429]);
    const { session } = await person();
    const other = { email: `x-${victim}`, current_password: PASSWORD };
    expect((await api(session.access_token, "POST", "/auth/email", other)).status).toBe(202);
  });

  test("are counted for a network, within which a device changes its IPv6 address", async () => {
    const block = () => Math.floor(Math.random() * 0xffff).toString(16);
    const network = `2001:db8:${block()}:${block()}`;
    const ask = async (address: string) =>
      (
        await t.call(null)(
          "POST",
          "/auth/reset",
          { email: `n-${crypto.randomUUID()}@example.com` },
          { "x-forwarded-for": address },
        )
      ).status;
    const statuses = new Set<number>();
    for (let i = 1; i <= 20; i++) statuses.add(await ask(`${network}::${i.toString(16)}:1`));
    expect([...statuses]).toEqual([202]);
    expect(await ask(`${network}:ffff::9`)).toBe(429);
    expect(await ask(`2001:db8:${block()}:ffff::9`)).toBe(202);
  });
});

test("the account of an address is found by an index, however many accounts there are", async () => {
  const [{ email }] = [await person(), await person()];
  const [read] = await t.sql.begin(async (tx) => {
    await tx`set local enable_seqscan = off`;
    await tx`select private.request_reset(${email.toUpperCase()})`;
    return await tx`select seq_scan::int as scans, idx_tup_fetch::int as rows
      from pg_stat_xact_all_tables where relid = 'auth.users'::regclass`;
  });
  expect(read).toEqual({ scans: 0, rows: 1 });
});

describe("what is kept of an account beside it", () => {
  test("goes with the account", async () => {
    const { email } = await moving();
    const id = await idOf(email);
    await t.sql`insert into private.second_factors (person, secret) values (${id}, 'sealed')`;
    await t.sql`insert into private.recovery_codes (person, digest) values (${id}, 'd')`;
    await t.sql`insert into private.proven_sessions (session, person) values (${crypto.randomUUID()}, ${id})`;
    await t.sql`delete from auth.users where id = ${id}`;
    const [left] = await t.sql`
      select (select count(*) from private.account_tokens where person = ${id})
        + (select count(*) from private.second_factors where person = ${id})
        + (select count(*) from private.recovery_codes where person = ${id})
        + (select count(*) from private.proven_sessions where person = ${id}) as n`;
    expect(Number(left!.n)).toBe(0);
  });

  test("is forgotten within the hour in which a link expired", async () => {
    const [expired, open] = [await moving(), await moving()];
    await t.sql`update private.account_tokens set expires_at = kernel.now() where address = ${expired.next}`;
    const [schedule] = await t.sql`select command, cron from kernel.schedules where name = 'accounts.prune'`;
    expect(schedule!.cron).toBe("23 * * * *");
    await t.sql.unsafe(schedule!.command);
    const kept = await t.sql`
      select address from private.account_tokens where address in (${expired.next}, ${open.next})`;
    expect(kept).toEqual([{ address: open.next }]);
  });
});
