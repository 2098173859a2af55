import type { z } from "zod";
import { blockedBy, type AnyChannel, type CompiledTemplate } from "../../kernel/channel.ts";
import type { Ctx } from "../../kernel/context.ts";
import { uuid7 } from "../../kernel/database/ids.ts";
import { plain } from "../../kernel/text.ts";
import { type AnyStep, defineStep, type StepResult, type StepRun } from "../../kernel/step.ts";
import { type MergeRow, valuesOf } from "../../channels/variables.ts";
import { queueMessages, type QueuedMessage } from "../../messaging/queue.ts";
import { customKeysOf } from "../custom-keys.ts";
import { sharedAddresses } from "./shared-addresses.ts";

/** The step for one action of a channel, with what the channel's authors write as its configuration; plain sending has the channel's name. */
export function messageStep(channel: AnyChannel, action: string): AnyStep {
  const plain = action === `${channel.id}.send`;
  const { label } = channel.actions[action]!;
  return defineStep<z.ZodObject>({
    kind: plain ? channel.id : action.replace(".", "_"),
    label: plain ? channel.label : label,
    description: label,
    action,
    config: channel.template,
    branches: () => ["next"],
    check: (config, env) => channel.compile(config as never, env).faults,
    uses: (config, env) => channel.compile(config as never, env).uses,
    plan: (runs, ctx) => planMessages(channel, action, runs, ctx),
  });
}

type Person = MergeRow & {
  enrollment_id: string;
  address: string | null;
  address_state: string | null;
  settings: Record<string, unknown>;
  /** The sender this person has on the channel already. */
  kept_sender: string | null;
  thread_id: string | null;
  references: string[];
  thread_subject: string | null;
};

type Sender = {
  id: string;
  campaign_id: string;
  address: string;
  display_name: string;
  profile: Record<string, unknown>;
  connection_id: string;
  /** What it may still be given, shared by all campaigns it writes in. */
  pool: { room: number };
};

/** Writes the messages of all who stand at the step: a few look-ups and inserts, however many they are. */
async function planMessages(
  channel: AnyChannel,
  action: string,
  runs: readonly StepRun<Record<string, unknown>>[],
  ctx: Ctx,
): Promise<StepResult[]> {
  const people = await loadPeople(
    ctx,
    channel,
    runs.map((r) => r.enrollment_id),
  );
  const senders = await loadSenders(ctx, action, runs);
  const addresses = [...new Set([...people.values()].flatMap((p) => p.address ?? []))];
  const shared = await sharedAddresses(ctx, channel.id, addresses, runs);
  const customKeys = await customKeysOf(ctx);
  const tenant = await tenantSettings(ctx);
  const templates = new Map<string, CompiledTemplate>();
  const compiled = (run: StepRun<Record<string, unknown>>, first: boolean) => {
    const key = `${run.node_id}/${first}`;
    let template = templates.get(key);
    if (!template) templates.set(key, (template = channel.compile(run.config as never, { customKeys, first })));
    return template;
  };

  const messages: QueuedMessage[] = [];
  const results = await Promise.all(
    runs.map(async (run): Promise<StepResult> => {
      const person = people.get(run.enrollment_id);
      if (!person || person.address === null) return { do: "skip", reason: "no_address" };
      if (person.address_state === "invalid") return { do: "skip", reason: "address_invalid" };
      const choice = chooseSender(senders.get(run.campaign_id) ?? [], person.kept_sender);
      if (choice === "none") return { do: "block", reason: "no_sender", detail: channel.label };
      if (choice.pool.room <= 0) return { do: "hold", sender_id: person.kept_sender };
      const template = compiled(run, person.references.length === 0);
      // A custom field may have been removed since the step was saved.
      const fault = template.faults.find((f) => f.level === "error");
      if (fault) return { do: "block", reason: "template_fault", detail: plain(fault.detail, 500) };
      const rendered = channel.render(template as never, {
        valueOf: valuesOf({ ...person, sender_name: choice.display_name, sender_address: choice.address }),
        thread: { references: person.references, subject: person.thread_subject },
      });
      const blocked = blockedBy(rendered);
      if (blocked)
        return {
          do: "block",
          reason: rendered.missing.length > 0 ? "missing_value" : "template_fault",
          detail: plain(blocked, 500),
        };
      if (!shared.claim(run, person.address)) return { do: "skip", reason: "address_shared" };
      choice.pool.room--;
      const id = uuid7();
      const prepared = await channel.prepare({
        services: ctx,
        tenantId: ctx.tenantId,
        messageId: id,
        from: { address: choice.address, name: choice.display_name, profile: choice.profile },
        rendered: rendered as never,
        options: optionsOf(channel, person.settings, tenant),
      });
      messages.push({
        id,
        channel: channel.id,
        action,
        contact_id: run.contact_id,
        campaign_id: run.campaign_id,
        enrollment_id: run.enrollment_id,
        step_id: run.step_id,
        step_run_id: run.step_run_id,
        sender_id: choice.id,
        connection_id: choice.connection_id,
        from_address: choice.address,
        from_name: choice.display_name,
        to_address: person.address,
        thread_id: person.thread_id ?? uuid7(),
        requires_consent: channel.requires_consent,
        due_at: null,
        prepared,
      });
      return { do: "message", message_id: id, sender_id: choice.id, channel: channel.id };
    }),
  );
  await queueMessages(ctx, messages);
  return results;
}

/** A person keeps the sender they know; a new one gets the sender with the most room, so that senders share a campaign evenly. */
function chooseSender(senders: Sender[], kept: string | null): Sender | "none" {
  if (senders.length === 0) return "none";
  const known = kept ? senders.find((s) => s.id === kept) : undefined;
  return known ?? senders.reduce((best, s) => (s.pool.room > best.pool.room ? s : best));
}

/** What the campaign chose of the channel's options; the tenant can switch one off for all its campaigns. */
export const optionsOf = (
  channel: AnyChannel,
  campaign: Record<string, unknown>,
  tenant: Record<string, unknown>,
): Record<string, unknown> =>
  channel.options.parse(
    Object.fromEntries(
      Object.keys(channel.options.shape).flatMap((name) => {
        const value = tenant[name] === false ? false : campaign[name];
        return value === undefined ? [] : [[name, value]];
      }),
    ),
  ) as Record<string, unknown>;

export const tenantSettings = async (ctx: Ctx): Promise<Record<string, unknown>> => {
  const [row] = await ctx.db<
    { settings: Record<string, unknown> }[]
  >`select settings from public.tenants where id = ${ctx.tenantId}`;
  return row?.settings ?? {};
};

/** What is known of these enrollments' people, by enrollment: address, values of variables, and what the sequence sent so far. */
export async function loadPeople(
  ctx: Ctx,
  channel: AnyChannel,
  enrollments: readonly string[],
): Promise<Map<string, Person>> {
  const rows = await ctx.db<Person[]>`
    select e.id as enrollment_id, a.address, a.state as address_state, k.settings, e.vars -> 'senders' ->> ${channel.id} as kept_sender,
      c.email, c.first_name, c.last_name, c.full_name, c.title, c.phone, c.whatsapp_number, c.linkedin_url, c.country, c.time_zone, c.deal_value, c.custom,
      o.name as company_name, o.domain as company_domain, o.size as company_size, o.industry as company_industry, o.country as company_country,
      t.thread_id, coalesce(t.references, '{}') as references, t.subject as thread_subject
    from public.enrollments e
    join public.campaigns k on k.tenant_id = (select kernel.tenant()) and k.id = e.campaign_id
    join public.contacts c on c.tenant_id = (select kernel.tenant()) and c.id = e.contact_id
    left join public.companies o on o.tenant_id = (select kernel.tenant()) and o.id = c.company_id
    left join lateral (
      -- By person, never by channel: see "A tenant that is missing from the statistics" in docs/concepts/tenancy.md.
      select x.address, x.state from public.contact_addresses x
      where x.tenant_id = (select kernel.tenant()) and x.contact_id = c.id and x.channel is not distinct from ${channel.id} and x.is_primary limit 1) a on true
    left join lateral (
      select (array_agg(m.thread_id order by m.sent_at))[1] as thread_id, (array_agg(m.subject order by m.sent_at))[1] as subject,
        array_agg(coalesce(d.rfc_message_id, m.id::text) order by m.sent_at) as references
      from public.messages m
      left join public.email_details d on d.tenant_id = (select kernel.tenant()) and d.message_id = m.id
      where m.tenant_id = (select kernel.tenant()) and m.enrollment_id = e.id and m.channel is not distinct from ${channel.id} and m.direction = 'out' and m.sent_at is not null
        and m.created_at >= e.started_at) t on true
    where e.tenant_id = (select kernel.tenant()) and e.id = any(${enrollments as string[]}::uuid[])`;
  return new Map(rows.map((r) => [r.enrollment_id, r]));
}

/** The campaigns' senders of the channel that can send, with what they may still be given. */
async function loadSenders(ctx: Ctx, action: string, runs: readonly StepRun[]): Promise<Map<string, Sender[]>> {
  const rows = await ctx.db<(Omit<Sender, "pool"> & { room: number })[]>`
    select s.id, cs.campaign_id, s.address, s.display_name, s.profile, coalesce(cs.connection_id, s.connection_id) as connection_id, coalesce(r.room, 0) as room
    from public.campaign_senders cs
    join public.senders s on s.tenant_id = (select kernel.tenant()) and s.id = cs.sender_id
    left join private.sender_rooms(array[${action}]::text[]) r on r.sender_id = s.id
    where cs.tenant_id = (select kernel.tenant()) and cs.campaign_id = any(${[...new Set(runs.map((r) => r.campaign_id))]}::uuid[])
      and s.channel = split_part(${action}, '.', 1)
    order by cs.position`;
  const pools = new Map(rows.map((r) => [r.id, { room: r.room }]));
  const senders = new Map<string, Sender[]>();
  for (const { room: _, ...row } of rows)
    senders.set(row.campaign_id, [...(senders.get(row.campaign_id) ?? []), { ...row, pool: pools.get(row.id)! }]);
  return senders;
}
