import { beforeAll, expect, test } from "vitest";
import { createApp } from "../../functions/webhooks/app.ts";
import { uuid7 } from "../../modules/kernel/database/ids.ts";
import { signWebhook } from "../../modules/kernel/secrets/signatures.ts";
import { testKernel, type TestTenant } from "../support/kernel.ts";
import { leakIn, stateReader } from "./watch.ts";

// Forged, stale, repeated and oversized calls of both kinds of proof: a signature (Resend) and a password (Postmark).

const logged: string[] = [];
const t = testKernel({ LOG_LEVEL: "debug" }, [], { writeLog: (line) => logged.push(line) });
const app = createApp(t.kernel);
const encoder = new TextEncoder();
const secretOf = (text: string) => `whsec_${btoa(text.padEnd(24, "0"))}`;
const SECRET = secretOf("the right one");
const OTHER_SECRET = secretOf("of another connection");
const PASSWORD = "webhook-password-sentinel-1";

let mine: TestTenant;
let theirs: TestTenant;
let state: (tenantId: string) => Promise<string>;
const ids = { resend: "", other: "", postmark: "", foreign: "" };
beforeAll(async () => {
  [mine, theirs, state] = [await t.tenant(), await t.tenant(), await stateReader(t)];
  const make = async (by: TestTenant, body: object) => (await by.api("POST", "/connections", body)).body.id as string;
  const resend = (name: string, webhook_secret: string) => ({
    provider: "resend",
    name,
    credentials: { api_key: `re_${crypto.randomUUID().replaceAll("-", "")}`, webhook_secret },
  });
  ids.resend = await make(mine, resend("Resend", SECRET));
  ids.other = await make(mine, resend("Other", OTHER_SECRET));
  ids.foreign = await make(theirs, resend("Foreign", OTHER_SECRET));
  ids.postmark = await make(mine, {
    provider: "postmark",
    name: "Postmark",
    credentials: { server_token: crypto.randomUUID(), webhook_username: "hook", webhook_password: PASSWORD },
  });
});

const now = () => Math.floor(Date.now() / 1000);
const BODY = JSON.stringify({
  type: "email.delivered",
  created_at: "2026-11-20T10:00:00Z",
  data: {
    email_id: "x",
    to: ["zebulon.quist@hostile-input.example"],
    from: "a@b.example",
    subject: "s",
    created_at: "2026-11-20T10:00:00Z",
  },
});

async function signed(
  over: { secret?: string; id?: string; at?: number | string; body?: string; signedBody?: string } = {},
) {
  const { secret = SECRET, id = `msg_${uuid7()}`, at = now(), body = BODY } = over;
  const signature = await signWebhook(secret, id, Number(at), encoder.encode(over.signedBody ?? body));
  return {
    body,
    headers: { "svix-id": id, "svix-timestamp": String(at), "svix-signature": signature } as Record<string, string>,
  };
}

const post = async (
  path: string,
  { body, headers }: { body: string | Uint8Array; headers: Record<string, string> },
) => {
  const response = await app.request(`/webhooks/${path}`, { method: "POST", body: body as BodyInit, headers });
  return { status: response.status, type: response.headers.get("content-type") ?? "", text: await response.text() };
};

test("what is forged, stale, altered or meant for another connection is 401 and leaves nothing", async () => {
  const good = await signed();
  const v1 = good.headers["svix-signature"]!;
  const attempts: Record<string, Awaited<ReturnType<typeof signed>>> = {
    "no signature": { ...good, headers: {} },
    "an empty signature": { ...good, headers: { ...good.headers, "svix-signature": "" } },
    "another version": { ...good, headers: { ...good.headers, "svix-signature": v1.replace("v1,", "v2,") } },
    "a cut signature": { ...good, headers: { ...good.headers, "svix-signature": v1.slice(0, -4) } },
    "a thousand wrong ones": {
      ...good,
      headers: {
        ...good.headers,
        "svix-signature": Array(1000)
          .fill(`v1,${"A".repeat(43)}=`)
          .join(" "),
      },
    },
    "another connection's secret": await signed({ secret: OTHER_SECRET }),
    "a body of another": await signed({ body: `${BODY} `, signedBody: BODY }),
    "a body of the same length": await signed({ body: BODY.replace("zebulon", "zebulun"), signedBody: BODY }),
    "the same JSON in other bytes": await signed({ body: JSON.stringify(JSON.parse(BODY), null, 1), signedBody: BODY }),
    "ten minutes old": await signed({ at: now() - 600 }),
    "from the future": await signed({ at: now() + 600 }),
    "a time that is no number": { ...good, headers: { ...good.headers, "svix-timestamp": "now" } },
    "a negative time": { ...good, headers: { ...good.headers, "svix-timestamp": `-${now()}` } },
    "a time moved on": { ...good, headers: { ...good.headers, "svix-timestamp": String(now() + 1) } },
    "an id of a kilobyte": await signed({ id: "x".repeat(1000) }),
    "another id": { ...good, headers: { ...good.headers, "svix-id": "msg_other" } },
  };
  const before = await state(mine.id);
  for (const [name, attempt] of Object.entries(attempts)) {
    const answer = await post(`resend/${ids.resend}`, attempt);
    expect([name, answer.status, answer.type], answer.text).toEqual([name, 401, "application/problem+json"]);
    expect(leakIn(answer.text, t.env), name).toBeNull();
    expect(answer.text).not.toContain(SECRET);
  }
  for (const authorization of [
    "",
    "Basic",
    "Basic !!!",
    `Basic ${btoa("hook")}`,
    `Basic ${btoa("hook:")}`,
    `Basic ${btoa(`:${PASSWORD}`)}`,
    `Basic ${btoa(`hook:${PASSWORD} `)}`,
    `Bearer ${PASSWORD}`,
    `Basic ${"A".repeat(100_000)}`,
  ]) {
    const answer = await post(`postmark/${ids.postmark}`, {
      body: "{}",
      headers: authorization ? { authorization } : {},
    });
    expect([answer.status, answer.type]).toEqual([401, "application/problem+json"]);
  }
  expect(await state(mine.id)).toBe(before);
  // The good one is good, or all of this proves nothing.
  expect((await post(`resend/${ids.resend}`, good)).status).toBe(200);
  expect(await state(mine.id)).not.toBe(before);
});

test("a replay inside the five minutes is taken once", async () => {
  const delivery = await signed();
  expect(JSON.parse((await post(`resend/${ids.resend}`, delivery)).text)).toEqual({ accepted: true, duplicate: false });
  const after = await state(mine.id);
  for (let i = 0; i < 3; i++)
    expect(JSON.parse((await post(`resend/${ids.resend}`, delivery)).text)).toEqual({
      accepted: true,
      duplicate: true,
    });
  expect(await state(mine.id)).toBe(after);
});

test("nobody learns which connections exist: unknown, of another team with a wrong proof, another provider's, no id at all", async () => {
  const before = [await state(mine.id), await state(theirs.id)];
  const delivery = await signed();
  const strangers = [
    `resend/${uuid7()}`,
    `resend/${ids.postmark}`,
    `postmark/${ids.resend}`,
    `smtp/${ids.resend}`,
    "resend/x",
    `resend/${"0".repeat(5000)}`,
    `__proto__/${ids.resend}`,
    `constructor/${ids.resend}`,
    `resend/${ids.resend}%00`,
    `resend/%27%20or%201=1`,
  ];
  const seen = new Set<string>();
  for (const path of strangers) {
    const answer = await post(path, delivery);
    expect(answer.status, path).toBe(404);
    seen.add(JSON.stringify({ ...(JSON.parse(answer.text) as object), request_id: "" }));
  }
  expect([...seen]).toHaveLength(1);
  // A foreign connection answers as our own does: with the proof it lacks, not with whose it is.
  const strip = (text: string) => JSON.stringify({ ...(JSON.parse(text) as object), request_id: "" });
  expect(strip((await post(`resend/${ids.foreign}`, delivery)).text)).toBe(
    strip((await post(`resend/${ids.other}`, delivery)).text),
  );
  expect([await state(mine.id), await state(theirs.id)]).toEqual(before);
});

test("huge bodies are 413; broken ones with a good proof are kept for the queue, never a crash", async () => {
  const before = await state(mine.id);
  const huge = await post(`resend/${ids.resend}`, { body: new Uint8Array(26 * 1024 * 1024), headers: {} });
  expect([huge.status, huge.type]).toEqual([413, "application/problem+json"]);
  expect(await state(mine.id)).toBe(before);
  for (const body of [
    "",
    "null",
    "[]",
    '{"type":"email.delivered"}',
    "{".repeat(50_000),
    '{"__proto__":{"polluted":1}}',
    "\u0000",
  ]) {
    const answer = await post(`resend/${ids.resend}`, await signed({ body }));
    expect([200, 400, 401, 422], body.slice(0, 20)).toContain(answer.status);
  }
  await t.drain("webhooks_in");
  expect(({} as { polluted?: number }).polluted).toBeUndefined();
});

test("no secret, password or person of a webhook is in the log", () => {
  for (const line of logged)
    for (const word of [SECRET, OTHER_SECRET, PASSWORD, "zebulon.quist"]) expect(line).not.toContain(word);
});
