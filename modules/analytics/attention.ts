import type { Ctx } from "../kernel/context.ts";

/** What wants a person, worst first. Each query is bounded: a count above the bound reads as "more than". */

type Attention = { kind: string; detail: string; href: string };

/** Counting further helps nobody decide, and would read on and on. */
const BOUND = 1000;
const SHOWN = 20;
const PAUSED_DAYS = 2;
/** Mailbox providers start to block senders around here. */
const BOUNCE_RATE = 0.05;
const BOUNCE_RATE_MIN_SENT = 50;

const many = (n: number, one: string, more: string) =>
  n > BOUND ? `more than ${BOUND} ${more}` : n === 1 ? `1 ${one}` : `${n} ${more}`;

export async function attention(ctx: Ctx, week: { sent: number; bounced: number }): Promise<Attention[]> {
  return [
    ...(await alerts(ctx)),
    ...(await connections(ctx)),
    ...(await unknownOutcomes(ctx)),
    ...(await tasks(ctx)),
    ...(await campaigns(ctx)),
    ...bounces(week),
    ...(await deadLetters(ctx)),
    ...(await failedImports(ctx)),
  ];
}

/** What operations watches; dead letters have a line of their own below. */
async function alerts(ctx: Ctx): Promise<Attention[]> {
  const rows = await ctx.db<{ summary: string; href: string | null }[]>`
    select summary, href from public.alerts where tenant_id = ${ctx.tenantId} and status = 'open' and kind <> 'dead_letters'
    order by severity, id desc limit ${SHOWN}`;
  return rows.map((r) => ({ kind: "alert", detail: r.summary, href: r.href ?? "/queues?tab=alerts" }));
}

async function connections(ctx: Ctx): Promise<Attention[]> {
  const rows = await ctx.db<{ name: string; last_error: string | null }[]>`
    select name, last_error from public.connections where tenant_id = ${ctx.tenantId} and status = 'issue' order by name limit ${SHOWN}`;
  return rows.map((r) => ({
    kind: "connection_issue",
    detail: `${r.name} does not work${r.last_error ? `: ${r.last_error}` : "."}`,
    href: "/providers",
  }));
}

async function unknownOutcomes(ctx: Ctx): Promise<Attention[]> {
  const rows = await ctx.db<{ id: string | null; name: string | null; n: number }[]>`
    select k.id, k.name, x.n from (
      select campaign_id, count(*) as n from (
        select campaign_id from public.messages where tenant_id = ${ctx.tenantId} and status = 'unknown' limit ${BOUND + 1}) u
      group by campaign_id
    ) x left join public.campaigns k on k.tenant_id = ${ctx.tenantId} and k.id = x.campaign_id
    order by x.n desc limit ${SHOWN}`;
  return rows.map((r) => ({
    kind: "unknown_outcomes",
    detail: `${r.name ? `${r.name}: ` : ""}${many(r.n, "message has", "messages have")} an unknown outcome; the provider did not say whether it was sent.`,
    href: r.id ? `/campaigns/${r.id}?status=unknown` : "/inbox",
  }));
}

/** What people have to do before sequences go on: everybody's, and how much of it is overdue. */
async function tasks(ctx: Ctx): Promise<Attention[]> {
  const [row] = await ctx.db<{ n: number; overdue: number }[]>`
    select count(*)::int as n, (count(*) filter (where x.due_at < ${ctx.now}))::int as overdue
    from (select t.due_at from public.tasks t where t.tenant_id = ${ctx.tenantId} and t.status = 'open' limit ${BOUND + 1}) x`;
  const { n, overdue } = row!;
  if (n === 0) return [];
  const late = overdue > 0 ? `, ${overdue > BOUND ? `more than ${BOUND}` : overdue} of them overdue` : "";
  return [{ kind: "tasks", detail: `${many(n, "task waits", "tasks wait")} for a member${late}.`, href: "/tasks" }];
}

/** Running ones that cannot send or have people they cannot write to, and paused ones that were perhaps forgotten. */
async function campaigns(ctx: Ctx): Promise<Attention[]> {
  const pausedBefore = new Date(ctx.now.getTime() - PAUSED_DAYS * 86_400_000);
  const rows = await ctx.db<
    {
      id: string;
      name: string;
      status: string;
      since: Date;
      channel: string | null;
      connection: string | null;
      sender: string | null;
      blocked: number;
    }[]
  >`
    select k.id, k.name, k.status, k.updated_at as since, w.channel, w.connection, w.sender, coalesce(b.n, 0) as blocked
    from public.campaigns k
    -- A channel on which none of the campaign's senders can send.
    left join lateral (
      select s.channel, min(c.status) filter (where c.status <> 'active') as connection, min(s.status) filter (where s.status <> 'active') as sender
      from public.campaign_senders m
      join public.senders s on s.tenant_id = k.tenant_id and s.id = m.sender_id
      join public.connections c on c.tenant_id = k.tenant_id and c.id = coalesce(m.connection_id, s.connection_id)
      where m.tenant_id = k.tenant_id and m.campaign_id = k.id
      group by s.channel having not bool_or(c.status = 'active' and s.status = 'active') order by s.channel limit 1
    ) w on k.status = 'running'
    left join lateral (
      select count(*) as n from (
        select from public.enrollments e where e.tenant_id = k.tenant_id and e.campaign_id = k.id and e.status = 'blocked' limit ${BOUND + 1}) x
    ) b on k.status = 'running'
    where k.tenant_id = ${ctx.tenantId} and k.status in ('running', 'paused')
      and ((k.status = 'running' and (b.n > 0 or w.channel is not null)) or (k.status = 'paused' and k.updated_at < ${pausedBefore}))
    order by k.status = 'paused', k.id desc limit ${SHOWN}`;
  return rows.flatMap((r) => {
    const href = `/campaigns/${r.id}`;
    if (r.status === "paused") {
      const days = Math.floor((ctx.now.getTime() - r.since.getTime()) / 86_400_000);
      return [{ kind: "campaign_paused", detail: `${r.name} has been paused for ${days} days.`, href }];
    }
    const items: Attention[] = [];
    if (r.channel !== null) {
      const why = r.connection !== null ? `its connection is ${r.connection}` : `its sender is ${r.sender}`;
      items.push({ kind: "campaign_stalled", detail: `${r.name} is running but cannot send: ${why}.`, href });
    }
    if (r.blocked > 0)
      items.push({
        kind: "campaign_blocked",
        detail: `${r.name}: ${many(r.blocked, "contact is", "contacts are")} blocked, for example by a missing variable.`,
        href: `${href}?status=blocked`,
      });
    return items;
  });
}

function bounces({ sent, bounced }: { sent: number; bounced: number }): Attention[] {
  if (sent < BOUNCE_RATE_MIN_SENT || bounced / sent <= BOUNCE_RATE) return [];
  const percent = Math.round((bounced / sent) * 1000) / 10;
  return [
    {
      kind: "bounce_rate",
      detail: `${percent} % of the messages of the last 7 days bounced. Remove invalid addresses from the list before you send more.`,
      href: "/contacts?status=bounced",
    },
  ];
}

async function deadLetters(ctx: Ctx): Promise<Attention[]> {
  const [row] = await ctx.db<
    { n: number }[]
  >`select coalesce(sum(dead), 0)::int as n from private.dead_letter_counts()`;
  const n = row!.n;
  return n === 0
    ? []
    : [
        {
          kind: "dead_letters",
          detail: `${many(n, "queue message has", "queue messages have")} failed permanently.`,
          href: "/queues",
        },
      ];
}

async function failedImports(ctx: Ctx): Promise<Attention[]> {
  const since = new Date(ctx.now.getTime() - 7 * 86_400_000);
  const rows = await ctx.db<{ id: string; file_name: string; error: string | null }[]>`
    select id, file_name, error from public.imports where tenant_id = ${ctx.tenantId} and created_at >= ${since} and status = 'failed'
    order by created_at desc limit 5`;
  return rows.map((r) => ({
    kind: "import_failed",
    detail: `The import of ${r.file_name} failed${r.error ? `: ${r.error}` : "."}`,
    href: `/contacts/import/${r.id}`,
  }));
}
