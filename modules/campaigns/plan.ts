import { z } from "zod";
import { type AnyConsumer, defineConsumer, done } from "../kernel/queues/consumer.ts";
import type { Ctx } from "../kernel/context.ts";
import { uuid7 } from "../kernel/database/ids.ts";
import { prepareBody } from "../messaging/render.ts";
import { messagingSend } from "../messaging/send.ts";
import { customKeysOf } from "./read.ts";
import { compileStep, type Rendered, renderStep, type Template, threading } from "./render.ts";
import type { Settings } from "./schemas.ts";
import type { MergeRow } from "./variables.ts";

/** Enrollments per transaction: some hundred renders take well under a second, and a redelivery repeats no more than these. */
const PLAN_BATCH = 200;

type Wake = { tenant_id: string };

/**
 * Turns due enrollments into queued messages. An enrollment is locked, its message inserted and its status moved in one
 * transaction, and the ledger's key (enrollment, step) stands behind that: run twice or side by side, nothing is planned twice.
 */
export const campaignsPlan: AnyConsumer<Wake> = defineConsumer<Wake>({
  queue: "campaigns_plan",
  payload: z.object({ tenant_id: z.uuid() }),
  visibilitySeconds: 120, // far above one batch
  maxAttempts: 10,
  concurrency: 2,
  async handle(ctx) {
    await planBatch(ctx);
    return done();
  },
  // Wake messages of one tenant carry nothing: one round serves them all.
  async handleBatch(ctx, payloads) {
    await planBatch(ctx);
    return payloads.map(() => done());
  },
});

type Due = MergeRow & {
  id: string;
  campaign_id: string;
  contact_id: string;
  settings: Settings;
  sender_id: string;
  connection_id: string | null;
  reply_to: string | null;
  suppressed: boolean;
  thread_message_ids: string[];
  thread_subject: string | null;
  step_id: string | null;
  position: number;
  step_subject: string;
  step_body: string;
  due_total: number;
};

type Outcome = {
  id: string;
  status: "sending" | "blocked" | "failed" | "suppressed" | "finished";
  step: number | null;
  reason: string | null;
};

async function planBatch(ctx: Ctx): Promise<void> {
  const due = await takeDue(ctx);
  if (due.length === 0) return;
  const customKeys = await customKeysOf(ctx);
  const tracking = await teamTracking(ctx);
  const templates = new Map<string, Template>();
  const verdicts = due.map((row) => ({ row, ...judge(row, templates, customKeys) }));
  // Side by side: the signatures in the links are made outside the main thread.
  const written = await Promise.all(
    verdicts.map(({ row, rendered }) => (rendered ? writeMessage(ctx, row, rendered, tracking) : null)),
  );
  const planned = written.filter((w) => w !== null);
  const outcomes = verdicts.map((v) => v.outcome);
  const messages = planned.map((w) => w.message);
  const links = planned.flatMap((w) => w.links);

  await write(ctx, outcomes, messages, links);
  if (messages.length > 0) await ctx.enqueue(messagingSend, { tenant_id: ctx.tenantId });
  if (due.length === PLAN_BATCH || due[0]!.due_total > due.length)
    await ctx.enqueue(campaignsPlan, { tenant_id: ctx.tenantId });
}

type Tracking = { opens: boolean; clicks: boolean };

/** One message as the ledger holds it, and its tracked links. */
async function writeMessage(ctx: Ctx, row: Due, rendered: Rendered, tracking: Tracking) {
  const id = uuid7();
  const thread = threading(rendered.subject, { message_ids: row.thread_message_ids, subject: row.thread_subject });
  const prepared = await prepareBody({
    config: ctx.config,
    vault: ctx.vault,
    tenantId: ctx.tenantId,
    messageId: id,
    settings: {
      track_opens: row.settings.track_opens && tracking.opens,
      track_clicks: row.settings.track_clicks && tracking.clicks,
    },
    html: rendered.html,
    text: rendered.text,
  });
  const message = {
    id,
    contact_id: row.contact_id,
    campaign_id: row.campaign_id,
    enrollment_id: row.id,
    step_id: row.step_id,
    step: row.position,
    sender_id: row.sender_id,
    connection_id: row.connection_id,
    from_email: row.sender_email,
    from_name: row.sender_name,
    to_email: row.email,
    reply_to: row.reply_to,
    subject: thread.subject,
    body_html: prepared.html,
    body_text: prepared.text,
    headers: { ...prepared.headers, ...thread.headers },
    rfc_message_id: `<${id}@${row.sender_email.split("@")[1]}>`,
    in_reply_to: thread.in_reply_to,
  };
  return { message, links: prepared.links.map((link) => ({ message_id: id, ...link })) };
}

/**
 * Locks the next due enrollments with all that their messages need. Only campaigns that run and whose window is open, and per
 * sender no more than may still leave today: what is rendered long before it leaves would be stale when it does.
 */
async function takeDue(ctx: Ctx): Promise<Due[]> {
  const { db } = ctx;
  // Shared for the transaction: a pause or stop waits for it and then finds every message planned here.
  const campaigns = await db<{ id: string }[]>`
    select k.id from public.campaigns k
    where k.tenant_id = (select kernel.tenant()) and k.status = 'running' and private.in_window(k.settings, kernel.now())
      and exists (select from public.enrollments e where e.tenant_id = k.tenant_id and e.campaign_id = k.id and e.status = 'waiting' and e.next_at <= kernel.now())
    order by k.id for share of k`;
  if (campaigns.length === 0) return [];
  const ids = campaigns.map((c) => c.id);
  return await db<Due[]>`
    with open as materialized (
      select k.id, k.sender_id, k.connection_id, k.settings from public.campaigns k where k.tenant_id = (select kernel.tenant()) and k.id = any(${ids}::uuid[])
    ), room as materialized (
      select s.id as sender_id, s.daily_cap - coalesce(u.reserved, 0) - (
          select count(*) from public.messages m where m.tenant_id = s.tenant_id and m.sender_id = s.id and m.status = 'queued'
            and (m.campaign_id is null or m.campaign_id = any(${ids}::uuid[])))::int as n
      from public.senders s
      left join public.sender_usage u on u.tenant_id = s.tenant_id and u.sender_id = s.id and u.day = (kernel.now() at time zone s.time_zone)::date
      where s.tenant_id = (select kernel.tenant()) and s.id in (select o.sender_id from open o)
    ), due as materialized (
      -- Skip locked: two planners take different people. The limit stands in each campaign, so that a big one hides no other.
      select e.*, o.sender_id, o.connection_id, o.settings
      from open o cross join lateral (
        select x.id, x.campaign_id, x.contact_id, x.step, x.next_at, x.thread_message_ids, x.thread_subject
        from public.enrollments x
        where x.tenant_id = (select kernel.tenant()) and x.campaign_id = o.id and x.status = 'waiting' and x.next_at <= kernel.now()
        order by x.next_at, x.id limit ${PLAN_BATCH} for update skip locked) e
    ), chosen as (
      select d.*, count(*) over ()::int as due_total, row_number() over (partition by d.sender_id order by d.next_at, d.id) as nth from due d
    ), taken as (
      select h.* from chosen h join room r on r.sender_id = h.sender_id and h.nth <= r.n order by h.next_at, h.id limit ${PLAN_BATCH}
    )
    select t.id, t.campaign_id, t.contact_id, t.settings, t.sender_id, t.connection_id, t.thread_message_ids, t.thread_subject, t.due_total,
      c.email, c.first_name, c.last_name, c.full_name, c.title, c.phone, c.whatsapp_number, c.linkedin_url, c.country, c.time_zone, c.deal_value, c.custom,
      o.name as company_name, o.domain as company_domain, o.size as company_size, o.industry as company_industry, o.country as company_country,
      s.from_name as sender_name, s.from_email as sender_email, s.reply_to,
      exists (select from public.suppressions x where x.tenant_id = c.tenant_id and x.channel = 'email' and x.address = c.email) as suppressed,
      n.id as step_id, n.position, n.subject as step_subject, n.body as step_body
    from taken t
    join public.contacts c on c.tenant_id = (select kernel.tenant()) and c.id = t.contact_id
    left join public.companies o on o.tenant_id = c.tenant_id and o.id = c.company_id
    join public.senders s on s.tenant_id = c.tenant_id and s.id = t.sender_id
    -- The next step this person has not had: after steps were moved, one may lie ahead again.
    left join lateral (
      select st.* from public.campaign_steps st
      where st.tenant_id = c.tenant_id and st.campaign_id = t.campaign_id and st.position > t.step
        and not exists (select from public.messages m where m.tenant_id = c.tenant_id and m.enrollment_id = t.id and m.step_id = st.id and m.direction = 'out')
      order by st.position limit 1) n on true
    order by t.next_at, t.id`;
}

/** What becomes of one enrollment, and its message when it gets one. */
function judge(
  row: Due,
  templates: Map<string, Template>,
  customKeys: ReadonlySet<string>,
): { outcome: Outcome; rendered?: Rendered } {
  const ends = (status: Outcome["status"], reason: string | null) => ({
    outcome: { id: row.id, status, step: null, reason },
  });
  if (row.step_id === null) return ends("finished", null);
  if (row.email === null) return ends("failed", "The contact has no e-mail address.");
  if (row.suppressed) return ends("suppressed", "The address is suppressed.");
  let template = templates.get(row.step_id);
  if (!template)
    templates.set(
      row.step_id,
      (template = compileStep({ subject: row.step_subject, body: row.step_body }, customKeys)),
    );
  // A custom field may have been removed since the step was saved.
  const fault = template.faults.find((f) => f.level === "error");
  if (fault) return ends("blocked", `Step ${row.position}: ${fault.detail}`);
  const rendered = renderStep(template, row);
  if (rendered.missing.length > 0) return ends("blocked", `Missing: ${rendered.missing.join(", ")}`);
  if (rendered.subject === "" && row.thread_message_ids.length === 0) return ends("blocked", "The subject is empty.");
  return { outcome: { id: row.id, status: "sending", step: row.position, reason: null }, rendered };
}

/** Three statements for the batch, however large. */
async function write(
  ctx: Ctx,
  outcomes: Outcome[],
  messages: Record<string, unknown>[],
  links: Record<string, unknown>[],
): Promise<void> {
  const { db, tenantId } = ctx;
  await db`
    update public.enrollments e set status = o.status, step = coalesce(o.step, e.step), next_at = null, reason = o.reason,
      finished_at = case when o.status in ('sending', 'blocked') then null else kernel.now() end
    from jsonb_to_recordset(${db.json(outcomes)}) as o(id uuid, status text, step int, reason text)
    where e.tenant_id = (select kernel.tenant()) and e.id = o.id`;
  if (messages.length > 0) {
    await db`
      insert into public.messages (tenant_id, id, direction, channel, contact_id, campaign_id, enrollment_id, step_id, step, sender_id, connection_id, status,
        due_at, from_email, from_name, to_email, reply_to, subject, body_html, body_text, headers, rfc_message_id, in_reply_to, thread_id)
      select ${tenantId}::uuid, m.id, 'out', 'email', m.contact_id, m.campaign_id, m.enrollment_id, m.step_id, m.step, m.sender_id, m.connection_id, 'queued',
        kernel.now(), m.from_email, m.from_name, m.to_email, m.reply_to, m.subject, m.body_html, m.body_text, m.headers, m.rfc_message_id, m.in_reply_to,
        -- One conversation per person and campaign.
        m.enrollment_id
      from jsonb_to_recordset(${db.json(messages)}) as m(id uuid, contact_id uuid, campaign_id uuid, enrollment_id uuid, step_id uuid, step int,
        sender_id uuid, connection_id uuid, from_email text, from_name text, to_email text, reply_to text, subject text, body_html text, body_text text,
        headers jsonb, rfc_message_id text, in_reply_to text)`;
  }
  if (links.length > 0) {
    await db`
      insert into public.tracked_links (tenant_id, message_id, number, url)
      select ${tenantId}::uuid, l.message_id, l.number, l.url
      from jsonb_to_recordset(${db.json(links)}) as l(message_id uuid, number int, url text)`;
  }
}

/** A team may forbid tracking for all its campaigns. */
async function teamTracking(ctx: Ctx): Promise<Tracking> {
  const [row] = await ctx.db<{ opens: boolean; clicks: boolean }[]>`
    select coalesce(t.settings -> 'track_opens', 'true') <> 'false' as opens, coalesce(t.settings -> 'track_clicks', 'true') <> 'false' as clicks
    from public.tenants t where t.id = ${ctx.tenantId}`;
  return row ?? { opens: true, clicks: true };
}
