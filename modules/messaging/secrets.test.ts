import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, expect, inject, test, vi } from "vitest";
import { testKernel, type TestTenant } from "../../tests/support/kernel.ts";
import { uuid7 } from "../kernel/database/ids.ts";
import { fetchInbound } from "./inbound.ts";

/** A server of nobody's making that quotes what it was sent, as providers do in their errors. */
type Answer = { status: number; body: unknown };
let answer: (path: string, secret: string) => Answer;
const peer = createServer((req, res) => {
  const { authorization, "x-postmark-server-token": token } = req.headers;
  const { status, body } = answer(req.url!, String(token ?? authorization).replace("Bearer ", ""));
  res.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
});
await new Promise<void>((resolve) => peer.listen(0, "127.0.0.1", resolve));
afterAll(() => new Promise((resolve) => peer.close(resolve)));
const host = `127.0.0.1:${(peer.address() as AddressInfo).port}`;

const t = testKernel({
  OVERTURE_ALLOW_PRIVATE_HOSTS: [inject("stackEnv").OVERTURE_ALLOW_PRIVATE_HOSTS, host].join(","),
  LOG_LEVEL: "debug",
});
const logged: string[] = [];
vi.spyOn(console, "error").mockImplementation((line: string) => void logged.push(line));

/** An active connection to that server. */
async function connected(team: TestTenant, provider: "postmark" | "resend", credentials: Record<string, string>) {
  const made = await team.api("POST", "/connections", {
    provider,
    name: uuid7(),
    credentials,
    base_url: `http://${host}`,
  });
  const id = made.body.id as string;
  await t.sql`update public.connections set status = 'active' where id = ${id}`;
  return id;
}

/** A message of that connection: queued, or with a call an hour ago whose outcome nobody knows. */
async function message(team: TestTenant, connection: string, status: "queued" | "unknown"): Promise<string> {
  const id = uuid7();
  await t.sql`
    with sender as (
      insert into public.senders (tenant_id, channel, connection_id, address) values (${team.id}, 'email', ${connection}, ${`${id}@us.example`}) returning id
    ), message as (
      insert into public.messages (tenant_id, id, direction, channel, action, status, due_at, attempts, connection_id, sender_id, from_address, to_address, subject, thread_id)
      select ${team.id}, ${id}::uuid, 'out', 'email', 'email.send', ${status}, ${status === "queued" ? new Date(0) : null}::timestamptz, ${status === "queued" ? 0 : 1},
        ${connection}, s.id, 'me@us.example', 'you@example.com', 'Hi', ${id}::uuid from sender s returning id
    ), attempt as (
      insert into public.attempts (tenant_id, message_id, number, outcome, started_at, slow_at)
      select ${team.id}, id, 1, 'unknown', clock_timestamp() - interval '1 hour', kernel.slow_clock() - interval '1 hour' from message where ${status} = 'unknown'
    )
    insert into public.email_details (tenant_id, message_id, rfc_message_id) select ${team.id}, id, ${`<${id}@us.example>`} from message`;
  return id;
}

test("what a provider quotes of the credentials is stored nowhere when it refuses a message", async () => {
  const team = await t.tenant();
  const secret = crypto.randomUUID();
  const connection = await connected(team, "postmark", { server_token: secret });
  const id = await message(team, connection, "queued");
  answer = (_, quoted) => ({
    status: 200,
    body: [{ ErrorCode: 300, Message: `The server ${quoted} may not do this.` }],
  });
  await t.sql`select private.wake_sending()`;
  await t.drain("messaging_send");
  const [stored] = await t.sql<{ error: string; whole: string }[]>`
    select m.error, concat(row_to_json(m), row_to_json(c), (select json_agg(a) from public.attempts a where a.message_id = m.id),
      (select json_agg(e) from public.message_events e where e.message_id = m.id)) as whole
    from public.messages m join public.connections c on c.id = m.connection_id where m.id = ${id}`;
  expect(stored!.error).toBe("The server [secret] may not do this.");
  expect(stored!.whole).not.toContain(secret);
  const [health] = await t.sql`select last_error from public.connections where id = ${connection}`;
  expect(health).toEqual({ last_error: "The server [secret] may not do this." });
});

test("what a provider answers is stored whatever characters it has: those of its batch are not left in doubt", async () => {
  const team = await t.tenant();
  const connection = await connected(team, "postmark", { server_token: crypto.randomUUID() });
  const first = await message(team, connection, "queued");
  // U+0000, and an emoji that lies across the limit.
  const sender = `Nobody\u0000 ${"x".repeat(991)}😀`;
  answer = () => ({ status: 200, body: [{ ErrorCode: 300, Message: sender }] });
  await t.sql`select private.wake_sending()`;
  await t.drain("messaging_send");
  const [refused] = await t.sql`select status, error from public.messages where id = ${first}`;
  expect(refused).toEqual({ status: "failed", error: `Nobody ${"x".repeat(991)}` });
  const id = await message(team, connection, "queued");
  answer = () => ({ status: 200, body: [{ ErrorCode: 0, Message: "OK", MessageID: "p-\u00001\ud83d" }] });
  await t.sql`select private.wake_sending()`;
  await t.drain("messaging_send");
  const [sent] = await t.sql`select status, provider_message_id from public.messages where id = ${id}`;
  expect(sent).toEqual({ status: "sent", provider_message_id: "p-1\ufffd" });
});

test("nor when it cannot say what became of one", async () => {
  const team = await t.tenant();
  const secret = crypto.randomUUID();
  await message(team, await connected(team, "postmark", { server_token: secret }), "unknown");
  let searched = 0;
  answer = (path, quoted) => {
    if (path.startsWith("/messages/outbound")) searched++;
    return { status: 500, body: { ErrorCode: 500, Message: `Nothing is known of ${quoted}.` } };
  };
  await t.sql`select private.wake_reconciling()`;
  await t.drain("messaging_reconcile");
  expect(searched).toBeGreaterThan(0);
  expect(logged.join("\n")).toContain("Nothing is known of [secret].");
  expect(logged.join("\n")).not.toContain(secret);
});

test("nor when it does not hand over a received message", async () => {
  const team = await t.tenant();
  const secret = `re_${crypto.randomUUID()}`;
  const connection_id = await connected(team, "resend", { api_key: secret });
  answer = (_, quoted) => ({ status: 401, body: { name: "invalid_api_key", message: `No access for ${quoted}.` } });
  await team.run((ctx) => ctx.enqueue(fetchInbound, { tenant_id: team.id, connection_id, ref: "in_1" }));
  await t.sql`update pgmq.q_providers_inbound set read_ct = 9 where message ->> 'tenant_id' = ${team.id}`;
  await t.drain("providers_inbound");
  const [dead] = await t.sql<{ reason: string }[]>`
    select reason from kernel.dead_letters where tenant_id = ${team.id} and queue = 'providers_inbound'`;
  expect(dead!.reason).toContain("No access for [secret].");
  expect(dead!.reason).not.toContain(secret);
});
