import { drainOnce } from "../modules/kernel/queues/drain.ts";
import { type Figure, median, ratioFigure, seconds } from "./figure.ts";
import { readyCampaign } from "./ready.ts";
import { inWorld, type World } from "./world.ts";

/**
 * A campaign's sends into the sandbox, against a loop that makes the same HTTP calls, as many side by side, and nothing else:
 * with a provider that takes one message a call, and with one that takes 500.
 */

export type Row = {
  id: string;
  status: string;
  from_name: string;
  from_address: string;
  to_address: string;
  subject: string;
  html: string;
  body_text: string;
  headers: Record<string, string>;
};
export type Bare = { path: string; headers: Record<string, string>; body: unknown };
export type Side = {
  provider: string;
  /** An account of its own for each side of a round. */
  newKey: () => string;
  credentials: (key: string) => Record<string, string>;
  /** Messages in flight at once on the bare side; the campaign's side works in the same portions. */
  portion: number;
  calls: (rows: Row[], key: string) => Bare[];
};

export const ONE_EACH: Side = {
  provider: "resend",
  newKey: () => `re_${crypto.randomUUID().replaceAll("-", "")}`,
  credentials: (key) => ({ api_key: key }),
  portion: 100,
  calls: (rows, key) =>
    rows.map((m) => ({
      path: "/emails",
      headers: { authorization: `Bearer ${key}`, "idempotency-key": m.id },
      body: {
        from: `"${m.from_name}" <${m.from_address}>`,
        to: [m.to_address],
        subject: m.subject,
        html: m.html,
        text: m.body_text,
        headers: m.headers,
        tags: [{ name: "message_id", value: m.id }],
      },
    })),
};

export const BATCHES: Side = {
  provider: "postmark",
  newKey: () => crypto.randomUUID(),
  credentials: (key) => ({ server_token: key }),
  portion: 500,
  calls: (rows, key) => [
    {
      path: "/email/batch",
      headers: { "x-postmark-server-token": key },
      body: rows.map((m) => ({
        From: `"${m.from_name}" <${m.from_address}>`,
        To: m.to_address,
        Subject: m.subject,
        HtmlBody: m.html,
        TextBody: m.body_text,
        Metadata: { message_id: m.id },
        MessageStream: "outbound",
        TrackOpens: false,
        TrackLinks: "None",
        Headers: Object.entries(m.headers).map(([Name, Value]) => ({ Name, Value })),
      })),
    },
  ],
};

export const send = (people = 5_000): Promise<Figure[]> =>
  inWorld({ services: { sandbox: true } }, async (world) => {
    const figures: Figure[] = [];
    for (const [name, side] of [
      ["send", ONE_EACH],
      ["send_batches", BATCHES],
    ] as const) {
      const runs: { ours: number; bare: number; plan: number }[] = [];
      // The first run warms both sides up and counts for neither.
      for (let round = 0; round < 4; round++) {
        const run = await once(world, side, people);
        if (round > 0) runs.push(run);
      }
      const perSecond = (of: "ours" | "bare" | "plan") => Math.round(people / median(runs.map((r) => r[of])));
      figures.push(
        ratioFigure(name, perSecond("ours") / perSecond("bare"), ">= 0.5", {
          messages: people,
          ours_per_s: perSecond("ours"),
          bare_http_per_s: perSecond("bare"),
          planned_per_s: perSecond("plan"),
          side_by_side: side.portion,
          provider: `${side.provider} in the sandbox`,
        }),
      );
    }
    return figures;
  });

async function once(world: World, side: Side, people: number) {
  const { kernel, admin, team, call, stack } = world;
  const me = await team("Sends");
  const key = side.newKey();
  const base = `${stack.env.OVERTURE_SANDBOX_URL}/${side.provider}`;
  const connection = { provider: side.provider, credentials: side.credentials(key), base_url: base };
  const id = await readyCampaign(world, me, connection, people);
  await call(me, "POST", `/campaigns/${id}/start`);
  const consumer = (queue: string) => kernel.registry.consumers.find((c) => c.queue === queue)!;
  const drain = async (...queues: string[]) => {
    for (let n = 1; n > 0;) {
      n = 0;
      for (const queue of queues) n += await drainOnce(kernel, consumer(queue));
    }
  };
  const plan = await seconds(() => drain("campaigns_enroll", "campaigns_plan"));
  await admin`select private.wake_sending()`;
  const ours = await seconds(() => drain("messaging_send"));
  const sent = await admin<Row[]>`
    select m.id, m.status, m.from_name, m.from_address, m.to_address, m.subject, d.html, m.body_text, d.headers from public.messages m
    join public.email_details d on d.tenant_id = m.tenant_id and d.message_id = m.id where m.tenant_id = ${me.id}`;
  const open = sent.filter((m) => m.status !== "sent").length;
  if (sent.length !== people || open > 0)
    throw new Error(`${sent.length} of ${people} messages were planned, ${open} of them not sent.`);

  const other = side.newKey();
  const bare = await seconds(async () => {
    for (let i = 0; i < sent.length; i += side.portion)
      await Promise.all(side.calls(sent.slice(i, i + side.portion), other).map((c) => post(base, c)));
  });
  const stats = async (name: string) =>
    (await (await fetch(`${stack.env.OVERTURE_SANDBOX_URL}/_sandbox/stats?account=${name}`)).json()) as {
      accepted: number;
    };
  for (const name of [key, other])
    if ((await stats(name)).accepted !== people)
      throw new Error(`The sandbox accepted ${(await stats(name)).accepted} of ${people}.`);
  return { plan, ours, bare };
}

export async function post(base: string, { path, headers, body }: Bare): Promise<void> {
  const response = await fetch(`${base}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/json", ...headers },
    body: JSON.stringify(body),
  });
  const answer = (await response.json()) as unknown;
  const refused = Array.isArray(answer) && answer.some((a: { ErrorCode: number }) => a.ErrorCode !== 0);
  if (!response.ok || refused)
    throw new Error(`The bare loop was refused: ${response.status} ${JSON.stringify(answer).slice(0, 300)}`);
}
