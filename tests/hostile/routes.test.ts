import { beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { createApp } from "../../functions/api/app.ts";
import { uuid7 } from "../../modules/kernel/database/ids.ts";
import { type AnyOperation, defineOperation, pathParams } from "../../modules/kernel/operations/operation.ts";
import { fillTenant, type Ids } from "../isolation/rows.ts";
import { testKernel, type TestTenant } from "../support/kernel.ts";
import { BODIES, EXTRA, IDS, KINDS, NUMBERS, QUERIES, TEXT, toJson } from "./payloads.ts";
import { DOMAIN, idFor, PERSON, places, seeded, seedOf, PROVIDER_KEY, SECRET, validInput, withValue } from "./shape.ts";
import { difference, leakIn, stateReader } from "./watch.ts";

// Every route of the registry, with what hostile callers send. New operations are covered the moment they are registered.

const throwing = defineOperation({
  id: "hostile.throws",
  method: "GET",
  path: "/hostile/throws",
  summary: "Fails as code fails that nobody foresaw",
  permission: "contacts:read",
  input: z.object({}),
  output: z.object({}),
  handle() {
    const error = new TypeError(
      `select * from public.contacts failed for ${PERSON.local}@${DOMAIN} with Bearer ovk_${SECRET} at postgresql://postgres:${SECRET}@db/x`,
    );
    throw Object.assign(error, {
      detail: `Key (email)=(${PERSON.local}@${DOMAIN})`,
      parameters: [SECRET],
      email: `${PERSON.local}@${DOMAIN}`,
    });
  },
});

const logged: string[] = [];
const t = testKernel(
  { OVERTURE_API_RATE: "100000", OVERTURE_API_BURST: "1000000", LOG_LEVEL: "debug" },
  [{ name: "hostile", needs: [], operations: [throwing] }],
  { writeLog: (line) => logged.push(line) },
);
const app = createApp(t.kernel);
const operations = t.kernel.registry.operations.filter((o) => o !== throwing);
/** Calls the auth server, whose password hash is slow on purpose: fewer cases. */
const SLOW = new Set([
  "auth.register",
  "auth.signup",
  "auth.login",
  "auth.refresh",
  "auth.claim",
  "auth.invitation_accept",
  "auth.logout",
  "auth.password",
  "auth.sessions_end",
  "auth.reset",
  "auth.address",
]);
/** Each operation's sample; over a hundred operations every payload is met dozens of times. */
const CASES = 45;
const SLOW_CASES = 25;

let state: (tenantId: string) => Promise<string>;
let victim: { tenant: TestTenant; ids: Ids };
beforeAll(async () => {
  state = await stateReader(t);
  victim = { tenant: await t.tenant("Victims"), ids: {} };
  victim.ids = await fillTenant(t.sql, victim.tenant.id);
});

type Case = { name: string; path?: string; query?: string; body?: Uint8Array | string };

/** All hostile requests for an operation: every kind of payload, each at a place chosen by the operation's seed. */
function* cases(op: AnyOperation, ids: Ids): Generator<Case> {
  const random = seeded(seedOf(op.id));
  const params = pathParams(op.path);
  const queried = op.method === "GET" || op.body === "binary";
  const valid = () => {
    const all = validInput(op, ids, random);
    return Object.fromEntries(Object.entries(all).filter(([k]) => !params.includes(k)));
  };
  const send = (name: string, input: Record<string, unknown>): Case =>
    queried ? { name, query: queryOf(input) } : { name, body: toJson(input) };

  yield send("valid", valid());
  yield send("nothing", {});
  for (const [kind, payloads] of Object.entries({ TEXT, NUMBERS, KINDS })) {
    for (const [name, payload] of Object.entries(payloads)) {
      const input = valid();
      const all = places(input);
      if (all.length === 0) {
        yield send(`${kind} ${name}`, { unknown: payload });
        continue;
      }
      const at = random.pick(all);
      yield send(`${kind} ${name} at /${at.join("/")}`, withValue(input, at, payload) as Record<string, unknown>);
    }
  }
  for (const [name, payload] of Object.entries(EXTRA)) yield send(`extra ${name}`, { ...valid(), [name]: payload });
  const full = valid();
  for (const key of Object.keys(full))
    yield send(`without ${key}`, withValue(full, [key], undefined) as Record<string, unknown>);
  for (const [at, id] of places(full).flatMap((p) =>
    /ids?$/.test(String(p.findLast((x) => typeof x === "string"))) ? [[p, victim.ids.contacts!] as const] : [],
  )) {
    yield send(`foreign id at /${at.join("/")}`, withValue(full, at, id) as Record<string, unknown>);
  }
  for (const [name, query] of Object.entries(QUERIES))
    yield { name: `query ${name}`, query, ...(queried ? {} : { body: toJson(valid()) }) };
  if (!queried) for (const [name, body] of Object.entries(BODIES)) yield { name: `body ${name}`, body };
  if (op.body === "binary") for (const [name, body] of Object.entries(BODIES)) yield { name: `file ${name}`, body };
  for (const param of params) {
    for (const [name, text] of Object.entries(IDS))
      yield {
        name: `{${param}} ${name}`,
        path: pathOf(op, (p) => (p === param ? text : idFor(op, p, ids))),
        ...(queried ? {} : { body: toJson(valid()) }),
      };
    yield {
      name: `{${param}} foreign`,
      path: pathOf(op, (p) => idFor(op, p, p === param ? victim.ids : ids)),
      ...(queried ? {} : { body: toJson(valid()) }),
    };
  }
}

const pathOf = (op: AnyOperation, id: (param: string) => string) =>
  op.path.replace(/\{(\w+)\}/g, (_, p: string) => id(p));

const queryOf = (input: Record<string, unknown>) =>
  Object.entries(input)
    .map(
      ([k, v]) =>
        `${encodeURIComponent(k)}=${encodeURIComponent((typeof v === "string" ? v : toJson(v)).toWellFormed())}`,
    )
    .join("&")
    .slice(0, 100_000);

/** Seconds the slowest request took, and which it was: a pattern that backtracks shows here. */
let slowest: [number, string] = [0, ""];
let address = 0;
async function send(
  op: AnyOperation,
  ids: Ids,
  c: Case,
  headers: Record<string, string>,
): Promise<{ status: number; type: string; text: string }> {
  const path = c.path ?? pathOf(op, (p) => idFor(op, p, ids));
  const body = c.body ?? (op.body === "binary" ? "Email\nzoe@example.com\n" : undefined);
  const response = await app.request(`http://api.test/api/v1${path}${c.query ? `?${c.query}` : ""}`, {
    method: op.method,
    headers: {
      ...(body === undefined ? {} : { "content-type": op.body === "binary" ? op.mediaType! : "application/json" }),
      // Everybody comes from somewhere else, or the limit per address would answer most of them.
      "x-forwarded-for": `2001:db8::${(++address).toString(16)}`,
      ...headers,
    },
    ...(body === undefined || op.method === "GET" ? {} : { body: body as BodyInit }),
  });
  return { status: response.status, type: response.headers.get("content-type") ?? "", text: await response.text() };
}

/** Runs all cases against one operation in a fresh team and returns what was wrong, one line each. */
async function attack(op: AnyOperation): Promise<{ wrong: string[]; statuses: Record<number, number> }> {
  const tenant = await t.tenant(`Attackers of ${op.id}`);
  const ids = await fillTenant(t.sql, tenant.id);
  // A connection that works, so that what calls the provider gets as far as the provider.
  const account = {
    provider: "postmark",
    name: "Rehearsal",
    credentials: { server_token: PROVIDER_KEY },
    base_url: `${t.env.OVERTURE_SANDBOX_URL}/postmark`,
  };
  const made = (await tenant.api("POST", "/connections", account)).body.id as string;
  for (const table of ["senders", "webhook_deliveries"])
    await t.sql`update public.${t.sql(table)} set connection_id = ${made} where tenant_id = ${tenant.id}`;
  await t.sql`delete from public.connections where tenant_id = ${tenant.id} and id <> ${made}`;
  ids.connections = made;
  const random = seeded(seedOf(op.id) ^ 0x5eed);
  // Wrong input is the same wherever it goes; the slow routes get a sample, the first two always.
  const all = [...cases(op, ids)];
  const most = SLOW.has(op.id) ? SLOW_CASES : CASES;
  const chosen = all.length <= most ? all : [...all.slice(0, 2), ...shuffled(all.slice(2), random).slice(0, most - 2)];
  const wrong: string[] = [];
  const statuses: Record<number, number> = {};
  let before = await state(tenant.id);
  for (const c of chosen) {
    const person = op.auth === "user" ? await t.sign(uuid7(), `${PERSON.local}@${DOMAIN}`) : tenant.owner.token;
    const headers: Record<string, string> =
      op.auth === "public"
        ? {}
        : { authorization: `Bearer ${person}`, ...(op.auth === "tenant" ? { "x-tenant-id": tenant.id } : {}) };
    const fault = (what: string) => wrong.push(`${op.id}, ${c.name}: ${what}`);
    const started = performance.now();
    const { status, type, text } = await send(op, ids, c, headers);
    const seconds = (performance.now() - started) / 1000;
    if (seconds > slowest[0]) slowest = [seconds, `${op.id}, ${c.name}`];
    statuses[status] = (statuses[status] ?? 0) + 1;
    if (status >= 500) fault(`${status} ${text.slice(0, 200)}`);
    if (status >= 400) {
      if (!type.startsWith("application/problem+json")) fault(`${status} as ${type || "nothing"}`);
      else if (!isProblem(text, status)) fault(`no problem document: ${text.slice(0, 200)}`);
      if (text.length > 60_000) fault(`an answer of ${text.length} characters`);
    }
    const leak = leakIn(text, t.env);
    if (leak) fault(`the answer gives away ${leak}: ${text.slice(0, 300)}`);
    // Reading twice is what tells: an answer to a GET that went well needs no second look.
    if (status < 300 && op.method === "GET") continue;
    const after = await state(tenant.id);
    // An act that calls the outside stands in the audit log before it begins, and with its refusal afterwards.
    const written =
      op.transaction === "manual"
        ? difference(before, after).replace(/^audit_log \S+$/, "")
        : difference(before, after);
    if (status >= 400 && written !== "") fault(`${status}, yet written: ${written}`);
    before = after;
  }
  return { wrong, statuses };
}

const isProblem = (text: string, status: number): boolean => {
  const problem = JSON.parse(text) as Record<string, unknown>;
  return (
    problem.status === status &&
    [problem.type, problem.title, problem.detail, problem.request_id].every((v) => typeof v === "string" && v !== "")
  );
};

function shuffled<T>(list: T[], random: ReturnType<typeof seeded>): T[] {
  const copy = [...list];
  for (let i = copy.length - 1; i > 0; i--) {
    const j = random.int(i + 1);
    [copy[i], copy[j]] = [copy[j]!, copy[i]!];
  }
  return copy;
}

describe("hostile input on every route", () => {
  test(
    "is answered 2xx or 4xx with a problem document, gives nothing away and writes nothing when refused",
    { timeout: 600_000 },
    async () => {
      const untouched = await state(victim.tenant.id);
      const polluted = () => "polluted" in {} || "limit" in {};
      const wrong: string[] = [];
      const totals: Record<number, number> = {};
      // Two at a time: teams do not meet, and the database has a core of its own.
      const queue = [...operations];
      await Promise.all(
        [0, 1].map(async () => {
          for (let op = queue.shift(); op; op = queue.shift()) {
            const result = await attack(op);
            wrong.push(...result.wrong);
            for (const [status, n] of Object.entries(result.statuses))
              totals[Number(status)] = (totals[Number(status)] ?? 0) + n;
            expect(polluted(), op.id).toBe(false);
          }
        }),
      );
      expect(wrong.slice(0, 40), `${wrong.length} findings`).toEqual([]);
      expect(await state(victim.tenant.id)).toBe(untouched);
      // The inputs reached the handlers: a fuzz that is only ever turned away at the door proves nothing.
      const asked = Object.values(totals).reduce((a, b) => a + b, 0);
      const succeeded = Object.entries(totals).reduce(
        (n, [status, count]) => n + (Number(status) < 300 ? count : 0),
        0,
      );
      expect(asked).toBeGreaterThan(operations.length * 20);
      expect(succeeded / asked).toBeGreaterThan(0.1);
      expect(slowest[0], slowest[1]).toBeLessThan(10);
    },
  );

  test("leaves no secret, no person and no error in the log", () => {
    const own = logged.filter((line) => !line.includes("hostile.throws"));
    const telling = own.filter(
      (line) =>
        line.toLowerCase().includes(PERSON.local) ||
        line.includes(PERSON.last) ||
        line.includes(SECRET) ||
        line.includes(PROVIDER_KEY) ||
        leakIn(line, t.env) !== null,
    );
    expect(telling).toEqual([]);
    expect(own.filter((line) => (JSON.parse(line) as { level: string }).level === "error")).toEqual([]);
  });

  test("code that fails unforeseen answers 500 without a word of it, and its log line is masked", async () => {
    const tenant = await t.tenant();
    const seen = logged.length;
    const answer = await tenant.api("GET", "/hostile/throws");
    expect(answer.status).toBe(500);
    expect(leakIn(JSON.stringify(answer.body), t.env)).toBeNull();
    expect(JSON.stringify(answer.body)).not.toContain(SECRET);
    const lines = logged.slice(seen);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(answer.body.request_id);
    for (const secret of [SECRET, PERSON.local]) expect(lines[0]).not.toContain(secret);
  });
});
