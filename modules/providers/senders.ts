import { z } from "zod";
import type { Ctx } from "../kernel/context.ts";
import { decodeCursor, pageOf, pageParams, searchParam, toPage } from "../kernel/operations/cursor.ts";
import type { AnyChannel } from "../kernel/channel.ts";
import type { Tx } from "../kernel/database/db.ts";
import { AppError, invalidField } from "../kernel/errors.ts";
import { uuid7 } from "../kernel/database/ids.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { requireZone, TimeZone } from "../kernel/operations/time.ts";
import { LIMIT_PERIODS, SENDER_STATUS, SenderSchema, type SenderRow, toSender } from "./schemas.ts";

/** Who messages are from: an address on a connection, with limits of its own. */

// A line break in a name would be a header of its own.
const Name = z
  .string()
  .trim()
  .max(120)
  .regex(/^[^\p{Cc}\u2028\u2029]*$/u, "must not contain line breaks or control characters");
const Limits = z
  .array(
    z.object({
      action: z.string().max(80).describe("The limited action, such as `email.send`."),
      per: z.enum(LIMIT_PERIODS),
      cap: z.number().int().min(0).max(1_000_000),
    }),
  )
  .max(30)
  .refine(
    (limits) => new Set(limits.map((l) => `${l.action}/${l.per}`)).size === limits.length,
    "has two limits for one action and period",
  );
type Limits = z.output<typeof Limits>;
const Profile = z
  .record(z.string(), z.unknown())
  .describe("Further fields of the channel, such as reply_to for email.");
const withUsage = (db: Tx, tenantId: string, where: ReturnType<Tx>) => db<SenderRow[]>`
  select s.id, s.channel, s.connection_id, s.address, s.display_name, s.profile, s.time_zone, s.status, s.created_at, s.updated_at,
    coalesce((select jsonb_agg(jsonb_build_object('action', l.action, 'per', l.per, 'cap', l.cap, 'used', case
        when l.per = 'hour' and u.hour = date_trunc('hour', kernel.now()) then u.hour_reserved
        when l.per = 'day' and u.day = (kernel.now() at time zone s.time_zone)::date then u.day_reserved
        when l.per = 'week' and u.week = date_trunc('week', kernel.now() at time zone s.time_zone)::date then u.week_reserved
        else 0 end) order by l.action, array_position(array['hour', 'day', 'week'], l.per))
      from public.sender_limits l
      left join public.sender_usage u on u.tenant_id = l.tenant_id and u.sender_id = l.sender_id and u.action = l.action
      where l.tenant_id = s.tenant_id and l.sender_id = s.id), '[]') as limits
  from public.senders s
  where s.tenant_id = ${tenantId} and ${where}`;

/** A sender's fields as its channel reads them. Throws with the field that does not fit. */
function fit(
  channel: AnyChannel,
  input: { address?: string | undefined; profile?: Record<string, unknown> | undefined; limits?: Limits | undefined },
) {
  const address = input.address === undefined ? undefined : channel.sender.normalise(input.address);
  if (address === null)
    throw invalidField("/address", `is not a valid ${channel.sender.label}`, `For example ${channel.sender.example}.`);
  const profile = input.profile === undefined ? undefined : channel.sender.profile.strict().safeParse(input.profile);
  if (profile && !profile.success)
    throw new AppError("invalid", "The sender's profile is not valid.", {
      errors: profile.error.issues.map((i) => ({
        pointer: ["/profile", ...i.path.map(String)].join("/"),
        detail: i.message,
      })),
    });
  const strange = (input.limits ?? []).findIndex((l) => !Object.hasOwn(channel.actions, l.action));
  if (strange >= 0)
    throw invalidField(`/limits/${strange}/action`, `must be one of ${Object.keys(channel.actions).join(", ")}`);
  return { address, profile: profile?.data as Record<string, unknown> | undefined, limits: input.limits };
}

const defaultLimits = (channel: AnyChannel): Limits =>
  Object.entries(channel.actions).flatMap(([action, def]) => def.limits.map((l) => ({ action, ...l })));

async function putLimits(ctx: Ctx, senderId: string, limits: Limits): Promise<void> {
  await ctx.db`delete from public.sender_limits where tenant_id = ${ctx.tenantId} and sender_id = ${senderId}`;
  if (limits.length > 0)
    await ctx.db`
      insert into public.sender_limits (tenant_id, sender_id, action, per, cap)
      select ${ctx.tenantId}::uuid, ${senderId}::uuid, l.action, l.per, l.cap
      from jsonb_to_recordset(${ctx.db.json(limits)}) as l(action text, per text, cap int)`;
}

async function read(ctx: Ctx, id: string) {
  const [row] = await withUsage(ctx.db, ctx.tenantId, ctx.db`s.id = ${id}`);
  if (!row) throw noSender();
  return toSender(row);
}

const noSender = () =>
  new AppError("not_found", "There is no such sender.", { suggestion: "GET /senders lists the senders." });

export const listSenders = defineOperation({
  id: "senders.list",
  method: "GET",
  path: "/senders",
  summary: "List senders, newest first, with the use of their limits",
  permission: "senders:read",
  input: z.object({
    ...pageParams,
    ...searchParam,
    connection_id: z.uuid().optional(),
    channel: z.string().max(40).optional(),
  }),
  output: pageOf(SenderSchema),
  async handle(ctx, { limit, cursor, search, connection_id, channel }) {
    const { db } = ctx;
    const before = decodeCursor(cursor, z.tuple([z.uuid()]))?.[0];
    const rows = await withUsage(
      db,
      ctx.tenantId,
      db`true ${before ? db`and s.id < ${before}` : db``} ${connection_id ? db`and s.connection_id = ${connection_id}` : db``} ${channel ? db`and s.channel = ${channel}` : db``}
        ${search ? db`and position(kernel.fold(${search}::text) in kernel.fold(s.display_name || ' ' || s.address)) > 0` : db``}
        order by s.id desc limit ${limit + 1}`,
    );
    return toPage(rows, limit, (r) => [r.id], toSender);
  },
});

export const getSender = defineOperation({
  id: "senders.get",
  method: "GET",
  path: "/senders/{id}",
  summary: "Read a sender with the use of its limits",
  permission: "senders:read",
  input: z.object({ id: z.uuid() }),
  output: SenderSchema,
  handle: (ctx, { id }) => read(ctx, id),
});

export const createSender = defineOperation({
  id: "senders.create",
  method: "POST",
  path: "/senders",
  summary: "Add a sender",
  permission: "senders:write",
  input: z.object({
    connection_id: z.uuid(),
    address: z
      .string()
      .max(320)
      .describe("An address of the connection's channel, such as an email address or a phone number."),
    display_name: Name.default(""),
    profile: Profile.default({}),
    limits: Limits.optional().describe("If left out, the channel's default limits. An empty list means no limits."),
    time_zone: TimeZone.default("UTC"),
  }),
  output: SenderSchema,
  status: 201,
  async handle(ctx, input) {
    await requireZone(ctx, input.time_zone, "/time_zone");
    const [connection] = await ctx.db<{ category: string }[]>`
      select category from public.connections where tenant_id = ${ctx.tenantId} and id = ${input.connection_id}`;
    const channel = connection && ctx.registry.channels.get(connection.category);
    if (!channel)
      throw invalidField(
        "/connection_id",
        connection ? "is not a connection that sends messages" : "is not a connection of this workspace",
        "GET /connections lists the connections.",
      );
    const { address, profile } = fit(channel, input);
    const id = uuid7();
    try {
      await ctx.db`
        insert into public.senders (tenant_id, id, channel, connection_id, address, display_name, profile, time_zone)
        values (${ctx.tenantId}, ${id}, ${channel.id}, ${input.connection_id}, ${address!}, ${input.display_name}, ${ctx.db.json(profile as never)}, ${input.time_zone})`;
    } catch (error) {
      if ((error as { code?: string }).code !== "23505") throw error;
      throw new AppError("conflict", `${address} is already a sender of this connection.`, {
        errors: [{ pointer: "/address", detail: "is taken" }],
      });
    }
    await putLimits(ctx, id, input.limits ?? defaultLimits(channel));
    return await read(ctx, id);
  },
});

export const updateSender = defineOperation({
  id: "senders.update",
  method: "PATCH",
  path: "/senders/{id}",
  summary: "Change a sender",
  description: "The address and the connection cannot be changed, because threads and limits depend on them.",
  permission: "senders:write",
  input: z.object({
    id: z.uuid(),
    display_name: Name.optional(),
    profile: Profile.optional(),
    limits: Limits.optional().describe("Replaces all limits. An empty list means no limits."),
    time_zone: TimeZone.optional(),
    status: z.enum(SENDER_STATUS).optional(),
  }),
  output: SenderSchema,
  async handle(ctx, { id, limits, profile, ...changes }) {
    await requireZone(ctx, changes.time_zone, "/time_zone");
    const before = await read(ctx, id);
    const channel = ctx.registry.channels.get(before.channel);
    const fitted = channel ? fit(channel, { profile, limits }) : { profile, limits };
    const given = Object.fromEntries(
      Object.entries({ ...changes, ...(fitted.profile ? { profile: fitted.profile } : {}) }).filter(
        ([, value]) => value !== undefined,
      ),
    );
    if (Object.keys(given).length > 0)
      await ctx.db`update public.senders set ${ctx.db(given as Record<string, never>)} where tenant_id = ${ctx.tenantId} and id = ${id}`;
    if (fitted.limits) await putLimits(ctx, id, fitted.limits);
    return await read(ctx, id);
  },
});

export const deleteSender = defineOperation({
  id: "senders.delete",
  method: "DELETE",
  path: "/senders/{id}",
  summary: "Delete a sender that is not in use",
  permission: "senders:write",
  input: z.object({ id: z.uuid() }),
  output: z.null(),
  status: 204,
  async handle(ctx, { id }) {
    const [gone] = await ctx.db<{ address: string }[]>`
      delete from public.senders s where s.tenant_id = ${ctx.tenantId} and s.id = ${id}
        and not exists (select from public.campaign_senders k where k.tenant_id = s.tenant_id and k.sender_id = s.id)
        and not exists (select from public.messages m where m.tenant_id = s.tenant_id and m.sender_id = s.id and m.status in ('queued', 'held', 'sending'))
      returning s.address`;
    if (gone) {
      ctx.audit(gone, id);
      return null;
    }
    const users = await ctx.db<{ name: string | null }[]>`
      select k.name from public.senders s
      left join public.campaign_senders cs on cs.tenant_id = s.tenant_id and cs.sender_id = s.id
      left join public.campaigns k on k.tenant_id = cs.tenant_id and k.id = cs.campaign_id
      where s.tenant_id = ${ctx.tenantId} and s.id = ${id} order by k.name limit 6`;
    if (users.length === 0) throw noSender();
    const named = users.slice(0, 5).flatMap((u) => (u.name ? [`«${u.name}»`] : []));
    const what =
      named.length > 0
        ? `campaign ${named.join(", ")}${users.length > 5 ? " and others" : ""}`
        : "messages that are not sent yet";
    throw new AppError("conflict", `The sender is in use by ${what}.`, { suggestion: "Pause the sender instead." });
  },
});
