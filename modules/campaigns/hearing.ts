import { addressSuppressed, contactOptedOut } from "../compliance/facts.ts";
import type { Ctx } from "../kernel/context.ts";
import { hear, type Heard } from "../kernel/queues/fact.ts";
import {
  messageBounced,
  messageCancelled,
  messageFailed,
  messageReceived,
  messageSent,
  messageUndelivered,
} from "../messaging/facts.ts";
import { campaignsPlan } from "./plan/plan.ts";

/**
 * What messages and people do moves sequences on or ends them. Nothing here keeps a message from leaving: that is the guards' work, at
 * once; hearing of it later only writes what follows.
 */
const facts = [
  messageSent,
  messageFailed,
  messageCancelled,
  messageBounced,
  messageUndelivered,
  messageReceived,
  addressSuppressed,
  contactOptedOut,
] as const;
type Item = Heard<(typeof facts)[number]>;
type Of<Name extends Item["fact"]> = Extract<Item, { fact: Name }>["payload"];

export const messageHearing = hear(facts, {
  queue: "campaigns_message_facts",
  concurrency: 2,
  async handle(ctx, items) {
    const of = <N extends Item["fact"]>(name: N): Of<N>[] =>
      items.flatMap((i) => (i.fact === name ? [i.payload as Of<N>] : []));
    // First who goes on: an answer to a message ends what the message's own settlement moved.
    await advance(
      ctx,
      of("message.sent").map((m) => ({ step_run_id: m.step_run_id, branch: "next", outcome: "sent", at: m.at })),
    );
    // An answer says more than what became of a message meanwhile.
    const answers = of("message.received").filter((m) => m.is_answer);
    await replied(
      ctx,
      answers.filter((m) => m.kind === "reply"),
    );
    // Why an address or a person gets nothing more says more than that a message failed for it.
    await suppressed(ctx, of("address.suppressed"));
    await optedOut(ctx, of("contact.opted_out"));
    // What goes on elsewhere after an opt-out on one channel ends where the person wrote it in words.
    await replied(
      ctx,
      answers.filter((m) => m.kind === "opt_out"),
    );
    await stopped(
      ctx,
      of("message.cancelled").map((m) => ({ ...m, outcome: m.code ?? "cancelled" })),
    );
    await stopped(
      ctx,
      of("message.failed").map((m) => ({ ...m, outcome: "refused" })),
    );
    // What was only for the moment (a full mailbox, a phone that is off) ends nothing: the next step may arrive.
    const lasting = [...of("message.bounced"), ...of("message.undelivered")].filter((m) => m.bounce !== "transient");
    await bounced(ctx, lasting);
    await ctx.enqueue(campaignsPlan, { tenant_id: ctx.tenantId });
  },
});

type Settled = { step_run_id: string | null; branch: string | null; outcome: string; at: string };

async function advance(ctx: Ctx, settled: readonly Settled[]): Promise<void> {
  const known = settled.filter((s) => s.step_run_id !== null);
  if (known.length > 0) await ctx.db`select private.advance_enrollments(${ctx.db.json(known as never)})`;
}

/** Reasons that already ended the sequence, or will: nothing follows from the message. */
const ENDED = new Set(["sequence_ended", "campaign_stopped", "contact_removed", "stopped_by_person"]);
/** How a sequence ends by the reason that stopped its message. */
const STATUS: Record<string, string> = {
  suppressed: "suppressed",
  opted_out: "unsubscribed",
  no_consent: "suppressed",
  replied: "replied",
  colleague_replied: "stopped",
};
/** Reasons that end the whole sequence, whatever other channels it has. */
const ANSWERED = new Set(["replied", "colleague_replied"]);
/** Reasons that concern this message alone: the person goes on to the next step. */
const NOT_APPROVED = new Set(["approval_rejected", "approval_expired"]);

/**
 * Messages that did not leave. Where the sequence has steps on another channel, the person goes on without this one; else it ends with
 * the reason.
 */
async function stopped(
  ctx: Ctx,
  messages: readonly {
    step_run_id: string | null;
    enrollment_id: string | null;
    channel: string;
    outcome: string;
    at: string;
  }[],
): Promise<void> {
  const ours = messages.filter((m) => m.step_run_id !== null);
  if (ours.length === 0) return;
  // Of a run that is over, or of a step they were moved away from, a message says nothing about where they are now.
  const here = new Set(
    (
      await ctx.db<{ id: string }[]>`
        select r.id from public.step_runs r
        join public.enrollments e on e.tenant_id = (select kernel.tenant()) and e.id = r.enrollment_id and e.run = r.visit and e.node_id = r.node_id
        where r.tenant_id = (select kernel.tenant()) and r.id = any(${ours.map((m) => m.step_run_id!)}::uuid[])`
    ).map((r) => r.id),
  );
  const open = ours.filter((m) => m.enrollment_id !== null && !ENDED.has(m.outcome) && here.has(m.step_run_id!));
  const others = await withOtherChannels(
    ctx,
    open.map((m) => ({ enrollment_id: m.enrollment_id!, channel: m.channel })),
  );
  const goesOn = (m: (typeof open)[number]) =>
    !ANSWERED.has(m.outcome) && (NOT_APPROVED.has(m.outcome) || others.has(m.enrollment_id!));
  for (const [outcome, group] of Map.groupBy(
    open.filter((m) => !goesOn(m)),
    (m) => m.outcome,
  ))
    await end(
      ctx,
      group.map((m) => m.enrollment_id!),
      STATUS[outcome] ?? "failed",
      outcome,
      "claim",
    );
  await advance(
    ctx,
    open.filter(goesOn).map((m) => ({ step_run_id: m.step_run_id, branch: null, outcome: m.outcome, at: m.at })),
  );
  await ctx.db`select private.close_runs(${ctx.db.json(ours.map(({ step_run_id, outcome, at }) => ({ step_run_id, outcome, at })) as never)})`;
}

const end = (ctx: Ctx, ids: string[], status: string, reason: string, source: string) =>
  ctx.db`select private.end_enrollments(${ids}::uuid[], ${status}, ${reason}, ${source})`;

/** Of these, the enrollments whose version also sends on another channel. */
async function withOtherChannels(
  ctx: Ctx,
  items: readonly { enrollment_id: string; channel: string }[],
): Promise<Set<string>> {
  if (items.length === 0) return new Set();
  const rows = await ctx.db<{ id: string }[]>`
    select distinct e.id
    from jsonb_to_recordset(${ctx.db.json(items as never)}) as i(enrollment_id uuid, channel text)
    join public.enrollments e on e.tenant_id = (select kernel.tenant()) and e.id = i.enrollment_id
    join public.sequence_nodes n on n.tenant_id = (select kernel.tenant()) and n.version_id = e.version_id
    where n.action is not null and split_part(n.action, '.', 1) <> i.channel`;
  return new Set(rows.map((r) => r.id));
}

/**
 * Writing on after a bounce harms the sender: the sequence ends, unless it can go on elsewhere: on another channel, or at another address
 * that the contact got meanwhile. That of an earlier run ends no later one.
 */
async function bounced(
  ctx: Ctx,
  messages: readonly { enrollment_id: string | null; step_run_id: string | null; channel: string; address: string }[],
): Promise<void> {
  const items = messages.filter((m) => m.enrollment_id !== null && m.step_run_id !== null);
  if (items.length === 0) return;
  const present = await ctx.db<{ id: string }[]>`
    select r.id from jsonb_to_recordset(${ctx.db.json(items as never)}) as i(step_run_id uuid, channel text, address text)
    join public.step_runs r on r.tenant_id = (select kernel.tenant()) and r.id = i.step_run_id
    join public.enrollments e on e.tenant_id = (select kernel.tenant()) and e.id = r.enrollment_id and e.run = r.visit
    where not exists (select from public.contact_addresses a
      where a.tenant_id = (select kernel.tenant()) and a.contact_id = e.contact_id and a.channel = i.channel and a.is_primary
        and a.address <> i.address)`;
  const ids = new Set(present.map((r) => r.id));
  const here = items.flatMap((m) =>
    ids.has(m.step_run_id!) ? [{ enrollment_id: m.enrollment_id!, channel: m.channel }] : [],
  );
  const others = await withOtherChannels(ctx, here);
  const over = here.filter((i) => !others.has(i.enrollment_id)).map((i) => i.enrollment_id);
  if (over.length > 0) await end(ctx, over, "bounced", "bounced", "event");
}

/** A person's answer ends what the tenant's policy says: this campaign, every campaign of the person, or also their colleagues'. */
async function replied(ctx: Ctx, received: readonly Of<"message.received">[]): Promise<void> {
  const answers = received.filter((m) => m.contact_id !== null);
  if (answers.length === 0) return;
  const rows = await ctx.db<{ id: string; colleague: boolean }[]>`
    with answers as (
      select a.* from jsonb_to_recordset(${ctx.db.json(answers as never)}) as a(contact_id uuid, campaign_id uuid, at timestamptz, by_reference boolean, our_address text)
    ), people as (
      select a.contact_id, a.campaign_id, a.at, case when not a.by_reference then a.our_address end as our_address, false as colleague
      from answers a
      union all
      select o.id, null, a.at, null, true from answers a
      join public.contacts c on c.tenant_id = (select kernel.tenant()) and c.id = a.contact_id
      join public.contacts o on o.tenant_id = (select kernel.tenant()) and o.company_id = c.company_id and o.id <> c.id
      where private.reply_policy() = 'company'
    )
    select e.id, bool_and(p.colleague) as colleague from people p
    -- Person by person: as a plain join the planner, which takes the answers for a hundred, may read all enrollments.
    cross join lateral (
      select x.id, x.campaign_id, x.status from public.enrollments x
      where x.tenant_id = (select kernel.tenant()) and x.contact_id = p.contact_id and x.started_at <= p.at
        and x.status in ('waiting', 'sending', 'task', 'blocked', 'finished') offset 0) e
    join public.campaigns k on k.tenant_id = (select kernel.tenant()) and k.id = e.campaign_id
    where coalesce((k.settings ->> 'stop_on_reply')::boolean, true)
      -- What names no message answers every sequence that wrote from that address.
      and (p.colleague or e.campaign_id = p.campaign_id or private.reply_policy() <> 'campaign'
        or exists (select from public.messages o where o.tenant_id = (select kernel.tenant()) and o.enrollment_id = e.id
          and o.direction = 'out' and o.from_address = p.our_address and o.sent_at is not null))
      -- What is over is an answered sequence only where the answer was to it.
      and (e.status <> 'finished' or e.campaign_id = p.campaign_id)
    group by e.id`;
  const own = rows.filter((r) => !r.colleague).map((r) => r.id);
  const colleagues = rows.filter((r) => r.colleague).map((r) => r.id);
  if (own.length > 0) await end(ctx, own, "replied", "replied", "reply");
  if (colleagues.length > 0) await end(ctx, colleagues, "stopped", "colleague_replied", "reply");
}

const BY_SUPPRESSION: Record<string, [status: string, reason: string]> = {
  bounce: ["bounced", "bounced"],
  unsubscribe: ["unsubscribed", "unsubscribed"],
  complaint: ["unsubscribed", "complained"],
  manual: ["suppressed", "suppressed"],
};

/** Sequences that write to these addresses alone are over. */
async function suppressed(ctx: Ctx, items: readonly Of<"address.suppressed">[]): Promise<void> {
  if (items.length === 0) return;
  const rows = await ctx.db<{ enrollment_id: string; channel: string; reason: string }[]>`
    select e.id as enrollment_id, i.channel, i.reason
    from jsonb_to_recordset(${ctx.db.json(items as never)}) as i(channel text, address text, reason text)
    join public.contact_addresses a on a.tenant_id = (select kernel.tenant()) and a.channel = i.channel and a.address = i.address and a.is_primary
    join public.enrollments e on e.tenant_id = (select kernel.tenant()) and e.contact_id = a.contact_id
      and e.status in ('waiting', 'sending', 'task', 'blocked', 'finished')`;
  await endOnChannel(
    ctx,
    rows.map((r) => ({ ...r, status: BY_SUPPRESSION[r.reason]![0], reason: BY_SUPPRESSION[r.reason]![1] })),
  );
}

/** A person who opted out on a channel gets nothing more there, whatever their address is by now. */
async function optedOut(ctx: Ctx, items: readonly Of<"contact.opted_out">[]): Promise<void> {
  if (items.length === 0) return;
  const rows = await ctx.db<{ enrollment_id: string; channel: string }[]>`
    select e.id as enrollment_id, i.channel
    from jsonb_to_recordset(${ctx.db.json(items as never)}) as i(channel text, contact_id uuid)
    join public.enrollments e on e.tenant_id = (select kernel.tenant()) and e.contact_id = i.contact_id
      and e.status in ('waiting', 'sending', 'task', 'blocked', 'finished')`;
  await endOnChannel(
    ctx,
    rows.map((r) => ({ ...r, status: "unsubscribed", reason: "unsubscribed" })),
  );
}

/** Ends sequences that send on this channel and on no other; the others leave its steps out when they come to them. */
async function endOnChannel(
  ctx: Ctx,
  items: readonly { enrollment_id: string; channel: string; status: string; reason: string }[],
): Promise<void> {
  if (items.length === 0) return;
  const rows = await ctx.db<{ id: string; channel: string }[]>`
    select distinct e.id, i.channel
    from jsonb_to_recordset(${ctx.db.json(items as never)}) as i(enrollment_id uuid, channel text)
    join public.enrollments e on e.tenant_id = (select kernel.tenant()) and e.id = i.enrollment_id
    join public.campaigns k on k.tenant_id = (select kernel.tenant()) and k.id = e.campaign_id
    where exists (select from public.sequence_nodes n where n.tenant_id = (select kernel.tenant()) and n.version_id = coalesce(e.version_id, k.version_id)
        and split_part(n.action, '.', 1) = i.channel)
      and not exists (select from public.sequence_nodes n where n.tenant_id = (select kernel.tenant()) and n.version_id = coalesce(e.version_id, k.version_id)
        and n.action is not null and split_part(n.action, '.', 1) <> i.channel)`;
  const over = new Set(rows.map((r) => `${r.id}/${r.channel}`));
  for (const [key, group] of Map.groupBy(
    items.filter((i) => over.has(`${i.enrollment_id}/${i.channel}`)),
    (i) => `${i.status}/${i.reason}`,
  )) {
    const [status, reason] = key.split("/") as [string, string];
    await end(
      ctx,
      group.map((i) => i.enrollment_id),
      status,
      reason,
      "event",
    );
  }
}
