import { z } from "zod";
import type { Ctx } from "../kernel/context.ts";
import { decodeCursor, pageOf, pageParams, toPage } from "../kernel/operations/cursor.ts";
import { AppError, invalidField } from "../kernel/errors.ts";
import { requireChannel } from "./consents.ts";
import { defineOperation } from "../kernel/operations/operation.ts";

/** Addresses that must not be written to. Adding one stops what runs; removing one only allows writing again. */

const Channel = z.string().max(40);
export const Reason = z.enum(["unsubscribe", "bounce", "complaint", "manual"]);
export type Reason = z.output<typeof Reason>;

const Suppression = z
  .object({
    id: z.uuid(),
    channel: Channel,
    address: z.string(),
    reason: Reason,
    detail: z.string(),
    created_at: z.iso.datetime(),
  })
  .meta({ id: "Suppression" });
type Row = Omit<z.output<typeof Suppression>, "created_at"> & { created_at: Date };
const toSuppression = (row: Row): z.output<typeof Suppression> => ({
  ...row,
  created_at: row.created_at.toISOString(),
});

/** What stands beside the address when a person or a program adds it. */
const NOTE: Record<Reason, string> = {
  unsubscribe: "The contact unsubscribed.",
  bounce: "The address does not exist.",
  complaint: "The contact reported a message as spam.",
  manual: "Suppressed by a member of the workspace.",
};

/** Returns the rows of these addresses, and which of them are new. */
async function suppress(
  ctx: Ctx,
  channel: string,
  addresses: string[],
  reason: Reason,
): Promise<Map<string, Row & { fresh: boolean }>> {
  const before = await ctx.db<{ address: string }[]>`
    select address from public.suppressions where tenant_id = ${ctx.tenantId} and channel = ${channel} and address = any(${addresses})`;
  const known = new Set(before.map((r) => r.address));
  if (reason === "unsubscribe" || reason === "complaint")
    await ctx.db`select private.opt_out(${channel}, '{}', ${addresses}::text[], ${reason}, ${NOTE[reason]})`;
  else await ctx.db`select private.suppress(${channel}, ${addresses}::text[], ${reason}, ${NOTE[reason]})`;
  const rows = await ctx.db<Row[]>`
    select id, channel, address, reason, detail, created_at from public.suppressions
    where tenant_id = ${ctx.tenantId} and channel = ${channel} and address = any(${addresses})`;
  return new Map(rows.map((r) => [r.address, { ...r, fresh: !known.has(r.address) }]));
}

export const listSuppressions = defineOperation({
  id: "suppressions.list",
  method: "GET",
  path: "/suppressions",
  summary: "List suppressed addresses, newest first",
  permission: "compliance:read",
  input: z.object({
    ...pageParams,
    channel: Channel.optional(),
    reason: Reason.optional(),
    search: z.string().trim().max(200).optional(),
  }),
  output: pageOf(Suppression),
  async handle(ctx, { limit, cursor, channel, reason, search }) {
    const { db } = ctx;
    const before = decodeCursor(cursor, z.tuple([z.uuid()]))?.[0];
    const rows = await db<Row[]>`
      select id, channel, address, reason, detail, created_at from public.suppressions
      where tenant_id = ${ctx.tenantId} ${before ? db`and id < ${before}` : db``} ${channel ? db`and channel = ${channel}` : db``}
        ${reason ? db`and reason = ${reason}` : db``} ${search ? db`and position(${search.toLowerCase()} in address) > 0` : db``}
      order by id desc limit ${limit + 1}`;
    return toPage(rows, limit, (r) => [r.id], toSuppression);
  },
});

export const addSuppression = defineOperation({
  id: "suppressions.create",
  method: "POST",
  path: "/suppressions",
  summary: "Suppress an address",
  description:
    "No further message is sent to the address. Ends all running enrollments of the contact and cancels messages that are not sent yet. Repeating the request changes nothing.",
  permission: "compliance:write",
  input: z.object({
    channel: Channel.default("email"),
    address: z.string().max(320),
    reason: Reason.default("manual"),
  }),
  output: Suppression,
  status: 201,
  async handle(ctx, { channel, address, reason }) {
    const found = requireChannel(ctx, channel);
    const wanted = found.address.normalise(address);
    if (wanted === null)
      throw invalidField("/address", `is not a valid ${found.address.label}, such as ${found.address.example}`);
    const row = (await suppress(ctx, channel, [wanted], reason)).get(wanted)!;
    ctx.audit({ address: wanted, channel, reason, fresh: row.fresh }, row.id);
    const { fresh: _, ...kept } = row;
    return toSuppression(kept);
  },
});

export const addSuppressions = defineOperation({
  id: "suppressions.bulk",
  method: "POST",
  path: "/suppressions/bulk",
  summary: "Suppress up to 1,000 addresses",
  description: "The response has one result per address; an invalid address does not stop the others.",
  permission: "compliance:write",
  input: z.object({
    channel: Channel.default("email"),
    addresses: z.array(z.string().max(320)).min(1, "give at least one address").max(1000, "at most 1000 at once"),
    reason: Reason.default("manual"),
  }),
  output: z.object({
    data: z.array(
      z.object({
        index: z.number().int(),
        outcome: z.enum(["added", "existing", "rejected"]),
        id: z.uuid().optional(),
        error: z.string().optional(),
      }),
    ),
  }),
  async handle(ctx, { channel, addresses, reason }) {
    const found = requireChannel(ctx, channel);
    const wanted = addresses.map((a) => found.address.normalise(a));
    const unique = [...new Set(wanted.filter((a) => a !== null))];
    const rows =
      unique.length > 0 ? await suppress(ctx, channel, unique, reason) : new Map<string, Row & { fresh: boolean }>();
    const told = new Set<string>();
    const data = wanted.map((address, index) => {
      if (address === null) return { index, outcome: "rejected" as const, error: `is not ${found.address.label}` };
      const row = rows.get(address)!;
      // The second mention of a new address finds the first one.
      const added = row.fresh && !told.has(address);
      told.add(address);
      return { index, outcome: added ? ("added" as const) : ("existing" as const), id: row.id };
    });
    ctx.audit({ channel, reason, added: data.filter((d) => d.outcome === "added").length });
    return { data };
  },
});

export const deleteSuppression = defineOperation({
  id: "suppressions.delete",
  method: "DELETE",
  path: "/suppressions/{id}",
  summary: "Remove a suppression",
  description:
    "The address can be written to again, and its contacts have the status `contacted` or `new` unless something else stops them. Enrollments that were ended do not start again. The audit log keeps the address and the reason of the suppression.",
  permission: "compliance:write",
  input: z.object({ id: z.uuid() }),
  output: z.null(),
  status: 204,
  async handle(ctx, { id }) {
    const [row] = await ctx.db<{ channel: string; address: string; reason: string }[]>`
      delete from public.suppressions where tenant_id = ${ctx.tenantId} and id = ${id} returning channel, address, reason`;
    if (!row) throw new AppError("not_found", "There is no such suppression.");
    // Whoever opted out with this address may be written to again as well; consent that the channel demands is not made up. What was
    // withdrawn for another reason than this row's stays withdrawn.
    if (row.reason === "unsubscribe" || row.reason === "complaint")
      await ctx.db`
      delete from public.consents g using public.contact_addresses a
      where g.tenant_id = ${ctx.tenantId} and g.channel = ${row.channel} and g.state = 'withdrawn'
        and a.tenant_id = g.tenant_id and a.contact_id = g.contact_id and a.channel = g.channel and a.address = ${row.address}`;
    if (row.reason === "bounce")
      await ctx.db`select private.mark_addresses(${row.channel}, array[${row.address}]::text[], 'unknown', null)`;
    await ctx.db`
      select private.settle_statuses(array(
        select a.contact_id from public.contact_addresses a
        where a.tenant_id = ${ctx.tenantId} and a.channel = ${row.channel} and a.address = ${row.address}))`;
    ctx.audit(row, id);
    return null;
  },
});
