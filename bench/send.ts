import { drainOnce } from "../modules/kernel/drain.ts";
import { type Figure, median, ratioFigure, seconds } from "./figure.ts";
import { inWorld, type World } from "./world.ts";

/** A campaign's sends into the sandbox, against a loop that makes the same HTTP calls and nothing else. */

export const send = (people = 5_000): Promise<Figure[]> =>
  inWorld({ services: { sandbox: true } }, async (world) => {
    const runs: { ours: number; bare: number; plan: number }[] = [];
    // The first run warms both sides up and counts for neither.
    for (let round = 0; round < 4; round++) {
      const run = await once(world, people);
      if (round > 0) runs.push(run);
    }
    const of = (name: "ours" | "bare" | "plan") => median(runs.map((r) => r[name]));
    return [
      ratioFigure("send", of("bare") / of("ours"), ">= 0.5", {
        messages: people,
        ours_per_s: Math.round(people / of("ours")),
        bare_http_per_s: Math.round(people / of("bare")),
        planned_per_s: Math.round(people / of("plan")),
        batch: 500,
        provider: "postmark in the sandbox",
      }),
    ];
  });

async function once({ kernel, admin, team, call, stack }: World, people: number) {
  const me = await team("Sends");
  const key = crypto.randomUUID();
  const base = `${stack.env.OVERTURE_SANDBOX_URL}/postmark`;
  // Faster than any real account allows: the rate must not be what is measured.
  const connection = await call(me, "POST", "/connections", {
    provider: "postmark",
    name: "Sandbox",
    credentials: { server_token: key },
    base_url: base,
    settings: { per_second: 1_000 },
  });
  await call(me, "POST", `/connections/${connection.id}/check`);
  // Without a webhook the recipients' acts do not come back and take time from either side.
  await admin`update public.connections set status = 'active', webhook_registered = true where id = ${connection.id}`;
  const sender = await call(me, "POST", "/senders", {
    connection_id: connection.id,
    from_email: "sam@outreach.example",
    from_name: "Sam",
    daily_cap: 100_000,
  });
  const list = await call(me, "POST", "/lists", { name: "Audience" });
  await admin`
    with people as (insert into public.contacts (tenant_id, email, first_name, last_name) select ${me.id}, 'p' || n || '@example.com', 'Pia', 'N' || n from generate_series(1, ${people}) n returning id)
    insert into public.list_contacts (tenant_id, list_id, contact_id) select ${me.id}, ${list.id}, id from people`;
  await admin`vacuum analyze public.contacts`;
  const campaign = await call(me, "POST", "/campaigns", {
    name: "Bench",
    sender_id: sender.id,
    list_id: list.id,
    settings: { time_zone: "UTC", window: null, track_opens: true, track_clicks: true, stop_on_reply: true },
    steps: [
      {
        wait_hours: 0,
        subject: "Hello {{firstName}}",
        body: "Dear {{firstName}},\n\nplease look at https://example.com/offer\n\nSam",
      },
    ],
  });
  await call(me, "POST", `/campaigns/${campaign.id}/start`);
  const consumer = (queue: string) => kernel.registry.consumers.find((c) => c.queue === queue)!;
  const drain = async (...queues: string[]) => {
    for (let n = 1; n > 0;) {
      n = 0;
      for (const queue of queues) n += await drainOnce(kernel, consumer(queue));
    }
  };
  const plan = await seconds(() => drain("campaigns_enroll", "campaigns_plan"));
  await admin`vacuum analyze public.messages`;
  await admin`select private.wake_tenants('messaging_send')`;
  const ours = await seconds(() => drain("messaging_send"));
  const sent = await admin<{ body: Record<string, unknown>; status: string }[]>`
    select status, jsonb_build_object('From', '"' || from_name || '" <' || from_email || '>', 'To', to_email, 'Subject', subject, 'HtmlBody', body_html, 'TextBody', body_text,
      'Metadata', jsonb_build_object('message_id', id), 'MessageStream', 'outbound', 'TrackOpens', false, 'TrackLinks', 'None',
      'Headers', (select jsonb_agg(jsonb_build_object('Name', h.key, 'Value', h.value)) from jsonb_each_text(headers) h)) as body
    from public.messages where tenant_id = ${me.id}`;
  const open = sent.filter((m) => m.status !== "sent").length;
  if (sent.length !== people || open > 0)
    throw new Error(`${sent.length} of ${people} messages were planned, ${open} of them not sent.`);

  const token = crypto.randomUUID();
  const bare = await seconds(async () => {
    for (let i = 0; i < sent.length; i += 500) {
      const response = await fetch(`${base}/email/batch`, {
        method: "POST",
        headers: { "content-type": "application/json", accept: "application/json", "x-postmark-server-token": token },
        body: JSON.stringify(sent.slice(i, i + 500).map((m) => m.body)),
      });
      const answers = (await response.json()) as { ErrorCode: number; Message: string }[];
      const bad = Array.isArray(answers) ? answers.find((a) => a.ErrorCode !== 0) : answers;
      if (!response.ok || bad) throw new Error(`The bare loop was refused: ${response.status} ${JSON.stringify(bad)}`);
    }
  });
  const stats = async (account: string) =>
    (await (await fetch(`${stack.env.OVERTURE_SANDBOX_URL}/_sandbox/stats?account=${account}`)).json()) as {
      accepted: number;
    };
  for (const account of [key, token])
    if ((await stats(account)).accepted !== people)
      throw new Error(`The sandbox accepted ${(await stats(account)).accepted} of ${people}.`);
  return { plan, ours, bare };
}
