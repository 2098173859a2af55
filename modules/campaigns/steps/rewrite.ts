import type { z } from "zod";
import { blockedBy, type PreparedMessage } from "../../kernel/channel.ts";
import type { Ctx } from "../../kernel/context.ts";
import { AppError, type FieldError } from "../../kernel/errors.ts";
import { valuesOf } from "../../channels/variables.ts";
import { customKeysOf } from "../custom-keys.ts";
import { loadPeople, optionsOf, tenantSettings } from "./message.ts";

/** Writes a message that a step wrote once more, with other words, by the same channel and for the same person. */

type MessageRow = {
  channel: string;
  enrollment_id: string | null;
  from_address: string;
  from_name: string;
  profile: Record<string, unknown> | null;
  config: Record<string, unknown> | null;
};

const rowOf = async (ctx: Ctx, messageId: string): Promise<MessageRow | undefined> => {
  const [row] = await ctx.db<MessageRow[]>`
    select m.channel, m.enrollment_id, m.from_address, m.from_name, s.profile, n.config from public.messages m
    left join public.senders s on s.tenant_id = (select kernel.tenant()) and s.id = m.sender_id
    left join public.step_runs r on r.tenant_id = (select kernel.tenant()) and r.id = m.step_run_id
    left join public.sequence_nodes n on n.tenant_id = (select kernel.tenant()) and n.id = r.node_id
    where m.tenant_id = (select kernel.tenant()) and m.id = ${messageId}`;
  return row;
};

/** The text with its variables, as the message's step had it; null when the step or the channel is gone. */
export async function templateOf(ctx: Ctx, messageId: string): Promise<Record<string, unknown> | null> {
  const row = await rowOf(ctx, messageId);
  const read = row?.config ? ctx.registry.channels.get(row.channel)?.template.safeParse(row.config) : undefined;
  return read?.success ? (read.data as Record<string, unknown>) : null;
}

/**
 * The message as its channel prepares it from `template`, and the template as it was read. Throws a 422 that names the field of the
 * template, and 409 where the contact's enrollment is gone. Writes nothing.
 */
export async function rewrittenMessage(
  ctx: Ctx,
  messageId: string,
  template: Record<string, unknown>,
): Promise<{ prepared: PreparedMessage; written: Record<string, unknown> }> {
  const row = await rowOf(ctx, messageId);
  const channel = row && ctx.registry.channels.get(row.channel);
  const enrollment = row?.enrollment_id;
  const people = channel && enrollment ? await loadPeople(ctx, channel, [enrollment]) : undefined;
  const person = enrollment ? people?.get(enrollment) : undefined;
  if (!row || !channel || !person)
    throw new AppError("conflict", "The message no longer belongs to a campaign: its text cannot be changed.");
  const invalid = (errors: FieldError[]) => new AppError("invalid", errors[0]!.detail, { errors });
  const read = channel.template.safeParse(template);
  if (!read.success)
    throw invalid(
      (read.error as z.ZodError).issues.map((i) => ({ pointer: `/template/${i.path.join("/")}`, detail: i.message })),
    );
  const first = person.references.length === 0;
  const compiled = channel.compile(read.data, { customKeys: await customKeysOf(ctx), first });
  const faults = compiled.faults.filter((f) => f.level === "error");
  if (faults.length > 0) throw invalid(faults.map((f) => ({ pointer: `/template/${f.field}`, detail: f.detail })));
  const rendered = channel.render(compiled, {
    valueOf: valuesOf({ ...person, sender_name: row.from_name, sender_address: row.from_address }),
    thread: { references: person.references, subject: person.thread_subject },
  });
  const blocked = blockedBy(rendered);
  if (blocked) throw invalid([{ pointer: "/template", detail: blocked }]);
  const prepared = await channel.prepare({
    services: ctx,
    tenantId: ctx.tenantId,
    messageId,
    from: { address: row.from_address, name: row.from_name, profile: row.profile ?? {} },
    rendered,
    options: optionsOf(channel, person.settings, await tenantSettings(ctx)),
  });
  return { prepared, written: read.data as Record<string, unknown> };
}
