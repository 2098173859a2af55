import { signWebhook } from "../../modules/kernel/secrets/signatures.ts";
import { linkToken } from "../../modules/channels/email/tokens.ts";
import { expect } from "vitest";
import type { TestKernel } from "../support/kernel.ts";
import { sentMessage } from "../support/sent-message.ts";

/** A request to a function and what it answers. `answer` is looked for in the Location header and the body together. */
export type Expected = {
  method?: string;
  path: string;
  headers?: () => Record<string, string> | Promise<Record<string, string>>;
  body?: string;
  status: number;
  type?: RegExp;
  answer: RegExp;
};

export type World = {
  expected: Record<"api" | "links" | "server" | "tick" | "webhooks", Expected[]>;
  /** Posts an event signed as the provider signs it and waits until the database holds it. */
  signedWebhook(url: string): Promise<void>;
  /** Asks the tick to drain and checks that what waited in a queue was read. */
  drainingTick(url: string): Promise<void>;
  /** Enqueues what no consumer can read. Returns how many dead letters it became, which only a running consumer writes. */
  unreadable(mark: string): Promise<() => Promise<number>>;
};

const PROBLEM = /^application\/problem\+json/;
const JSON_TYPE = /^application\/json/;
/** There is a database here, and no gateway with the parts that are asked over HTTP. */
const READY =
  /"name":"database","ok":true.*"name":"auth","ok":false.*"name":"rest","ok":false.*"name":"realtime","ok":false/;
const nobody = "0192f0c1-0000-7000-8000-000000000000";
const SECRET = `whsec_${btoa("0123456789abcdef01234567")}`;
const BROWSER = {
  "user-agent":
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15",
  "accept-language": "en",
};

/** A team with a contact, a connection and a message that has left, and what the functions say about them. */
export async function world(k: TestKernel): Promise<World> {
  const team = await k.tenant("Runtime");
  const key = { authorization: `Bearer ${team.owner.token}`, "x-tenant-id": team.id };
  const made = await team.api("POST", "/connections", {
    provider: "resend",
    name: "Resend",
    credentials: { api_key: "re_0123456789abcdef", webhook_secret: SECRET },
  });
  expect(made).toMatchObject({ status: 201 });
  const connection: string = made.body.id;
  const message = await sentMessage(k, team, connection);
  await k.sql`
    insert into public.tracked_links (tenant_id, message_id, number, url) values (${team.id}, ${message.id}, 1, 'https://example.com/a?b=1')`;
  const token = (purpose: "open" | "click" | "unsubscribe", number: number) =>
    linkToken(k.kernel.vault, purpose, { tenantId: team.id, messageId: message.id, number });
  const [click, unsubscribe] = [await token("click", 1), await token("unsubscribe", 0)];

  const contacts: Expected[] = [
    { path: "/api/v1/contacts", status: 401, type: PROBLEM, answer: /"request_id"/ },
    {
      path: "/api/v1/contacts",
      headers: () => key,
      status: 200,
      type: JSON_TYPE,
      answer: new RegExp(message.email),
    },
  ];
  const links: Expected[] = [
    { path: `/links/c/${click}`, headers: () => BROWSER, status: 302, answer: /^https:\/\/example\.com\/a\?b=1/ },
    { path: `/links/u/${unsubscribe}`, status: 200, type: /^text\/html/, answer: /nsubscribe/ },
    { path: "/links/o/forged", status: 404, type: PROBLEM, answer: /"request_id"/ },
  ];
  const webhooks: Expected[] = [
    { method: "POST", path: `/webhooks/resend/${nobody}`, status: 404, type: PROBLEM, answer: /"request_id"/ },
    {
      method: "POST",
      path: `/webhooks/resend/${connection}`,
      headers: () => signed("{}", "forged", `whsec_${btoa("another secret of 24 b!!")}`),
      body: "{}",
      status: 401,
      type: PROBLEM,
      answer: /"request_id"/,
    },
  ];

  const unreadable: World["unreadable"] = async (mark) => {
    const unique = `${mark}-${crypto.randomUUID()}`;
    const [queue] = await k.sql<{ name: string }[]>`select name from kernel.queues order by name limit 1`;
    await k.sql`select kernel.enqueue(${queue!.name}, array[${k.sql.json({ mark: unique })}]::jsonb[])`;
    return async () => (await k.sql`select from kernel.dead_letters where message ->> 'mark' = ${unique}`).length;
  };

  return {
    expected: {
      api: [
        { path: "/api/v1/health/live", status: 200, type: JSON_TYPE, answer: /"ok"/ },
        { path: "/api/health/ready", status: 503, type: JSON_TYPE, answer: READY },
        { path: "/api/v1/openapi.json", status: 200, type: JSON_TYPE, answer: /"openapi":"3\.1/ },
        { path: "/api/v1/no-such-thing", status: 404, type: PROBLEM, answer: /no-such-thing/ },
        ...contacts,
      ],
      webhooks: [{ path: "/webhooks", status: 404, type: PROBLEM, answer: /No such webhook/ }, ...webhooks],
      links: [{ path: "/links/nowhere", status: 404, type: PROBLEM, answer: /No such link/ }, ...links],
      server: [
        { path: "/health/ready", status: 503, type: JSON_TYPE, answer: READY },
        { method: "POST", path: "/auth/login", status: 422, type: PROBLEM, answer: /"request_id"/ },
        { path: "/nothing", status: 404, type: PROBLEM, answer: /no GET \/nothing/ },
        { path: "/metrics", status: 200, type: /^text\/plain/, answer: /overture_http_request_seconds_bucket/ },
        ...contacts,
        ...webhooks,
        ...links,
      ],
      tick: [{ method: "POST", path: "/tick", status: 401, type: PROBLEM, answer: /secret key/ }],
    },

    async signedWebhook(url) {
      const id = `msg_${crypto.randomUUID()}`;
      const body = JSON.stringify({
        type: "email.delivered",
        created_at: new Date().toISOString(),
        data: { email_id: message.providerMessageId, to: [message.email] },
      });
      const post = async () =>
        await fetch(`${url}/webhooks/resend/${connection}`, { method: "POST", body, headers: await signed(body, id) });
      const first = await post();
      expect({ status: first.status, body: await first.json() }).toEqual({
        status: 200,
        body: { accepted: true, duplicate: false },
      });
      expect(await (await post()).json()).toEqual({ accepted: true, duplicate: true });
      const kept =
        await k.sql`select from public.webhook_deliveries where connection_id = ${connection} and delivery_id = ${id}`;
      expect(kept).toHaveLength(1);
    },

    async drainingTick(url) {
      const letters = await unreadable("tick");
      const headers = { apikey: k.env.SUPABASE_SECRET_KEY! };
      const response = await fetch(`${url}/tick`, { method: "POST", headers });
      expect({ status: response.status, body: await response.text() }).toMatchObject({
        status: 200,
        body: expect.stringMatching(/^\{"handled":[1-9]\d*\}$/),
      });
      expect(await letters()).toBe(1);
    },
    unreadable,
  };
}

async function signed(body: string, id: string, secret = SECRET): Promise<Record<string, string>> {
  const now = Math.floor(Date.now() / 1000);
  return {
    "svix-id": id,
    "svix-timestamp": String(now),
    "svix-signature": await signWebhook(secret, id, now, new TextEncoder().encode(body)),
  };
}
