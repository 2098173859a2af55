import { z } from "zod";
import type { Ctx } from "../kernel/context.ts";
import { decodeCursor, pageOf, pageParams, searchParam, toPage } from "../kernel/operations/cursor.ts";
import type { Tx } from "../kernel/database/db.ts";
import { AppError, invalidField } from "../kernel/errors.ts";
import { uuid7 } from "../kernel/database/ids.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { SENDER_STATUS, SenderSchema, type SenderRow, toSender } from "./schemas.ts";

/** Who messages are from: an address on a connection, with its own daily cap. */

const Address = z
  .email("is not an e-mail address")
  .max(254)
  .transform((e) => e.toLowerCase());
// A line break in a name would be a header of its own.
const Name = z
  .string()
  .trim()
  .max(120)
  .regex(/^[^\p{Cc}\u2028\u2029]*$/u, "must not contain line breaks or control characters");
const Cap = z.number().int().min(0).max(100_000).describe("Messages a day, in the sender's own time zone.");
const TimeZone = z
  .string()
  .max(64)
  .regex(/^(UTC|[A-Za-z_]+(\/[A-Za-z0-9_+-]+){1,2})$/, "is not an IANA time zone such as Europe/Berlin")
  .refine((zone) => {
    try {
      return new Intl.DateTimeFormat("en", { timeZone: zone }).resolvedOptions().timeZone !== "";
    } catch {
      return false;
    }
  }, "is not a known time zone");

/** One unknown zone would break the claim of every message of the team, so the database is asked as well. */
async function requireZone(ctx: Ctx, zone: string | undefined): Promise<void> {
  if (zone === undefined) return;
  try {
    await ctx.db`select kernel.now() at time zone ${zone}`;
  } catch (error) {
    if ((error as { code?: string }).code === "22023")
      throw invalidField("/time_zone", "is not a time zone the database knows");
    throw error;
  }
}

const withUsage = (db: Tx, tenantId: string, where: ReturnType<Tx>) => db<SenderRow[]>`
  select s.id, s.connection_id, s.from_email, s.from_name, s.reply_to, s.daily_cap, coalesce(u.reserved, 0) as sent_today, s.time_zone, s.status,
    s.created_at, s.updated_at
  from public.senders s
  left join public.sender_usage u on u.tenant_id = s.tenant_id and u.sender_id = s.id and u.day = (kernel.now() at time zone s.time_zone)::date
  where s.tenant_id = ${tenantId} and ${where}`;

async function read(ctx: Ctx, id: string) {
  const [row] = await withUsage(ctx.db, ctx.tenantId, ctx.db`s.id = ${id}`);
  if (!row) throw noSender();
  return toSender(row);
}

const noSender = () =>
  new AppError("not_found", "There is no such sender.", { suggestion: "GET /senders lists them." });

export const listSenders = defineOperation({
  id: "senders.list",
  method: "GET",
  path: "/senders",
  summary: "Senders, newest first, with today's use of their caps",
  permission: "senders:read",
  input: z.object({ ...pageParams, ...searchParam, connection_id: z.uuid().optional() }),
  output: pageOf(SenderSchema),
  async handle(ctx, { limit, cursor, search, connection_id }) {
    const { db } = ctx;
    const before = decodeCursor(cursor, z.tuple([z.uuid()]))?.[0];
    const rows = await withUsage(
      db,
      ctx.tenantId,
      db`true ${before ? db`and s.id < ${before}` : db``} ${connection_id ? db`and s.connection_id = ${connection_id}` : db``}
        ${search ? db`and position(lower(${search}::text) in lower(s.from_name || ' ' || s.from_email)) > 0` : db``}
        order by s.id desc limit ${limit + 1}`,
    );
    return toPage(rows, limit, (r) => [r.id], toSender);
  },
});

export const getSender = defineOperation({
  id: "senders.get",
  method: "GET",
  path: "/senders/{id}",
  summary: "One sender with today's use of its cap",
  permission: "senders:read",
  input: z.object({ id: z.uuid() }),
  output: SenderSchema,
  handle: (ctx, { id }) => read(ctx, id),
});

export const createSender = defineOperation({
  id: "senders.create",
  method: "POST",
  path: "/senders",
  summary: "Add an address to send from",
  permission: "senders:write",
  input: z.object({
    connection_id: z.uuid(),
    from_email: Address,
    from_name: Name.default(""),
    reply_to: Address.nullable().optional(),
    daily_cap: Cap.default(50),
    time_zone: TimeZone.default("UTC"),
  }),
  output: SenderSchema,
  status: 201,
  async handle(ctx, input) {
    await requireZone(ctx, input.time_zone);
    const id = uuid7();
    try {
      // The connection in the same statement: it must be ours and speak e-mail.
      const [row] = await ctx.db<{ id: string }[]>`
        insert into public.senders (tenant_id, id, connection_id, from_email, from_name, reply_to, daily_cap, time_zone)
        select c.tenant_id, ${id}, c.id, ${input.from_email}, ${input.from_name}, ${input.reply_to ?? null}, ${input.daily_cap}, ${input.time_zone}
        from public.connections c where c.tenant_id = ${ctx.tenantId} and c.id = ${input.connection_id} and c.channel = 'email'
        returning id`;
      if (!row)
        throw invalidField(
          "/connection_id",
          "is not an e-mail connection of your team",
          "GET /connections lists them.",
        );
    } catch (error) {
      if ((error as { code?: string }).code !== "23505") throw error;
      throw new AppError("conflict", `${input.from_email} is a sender of this connection already.`, {
        errors: [{ pointer: "/from_email", detail: "is taken" }],
      });
    }
    return await read(ctx, id);
  },
});

export const updateSender = defineOperation({
  id: "senders.update",
  method: "PATCH",
  path: "/senders/{id}",
  summary: "Change a sender",
  description: "The address and its connection stay: what was sent from them threads and counts by them.",
  permission: "senders:write",
  input: z.object({
    id: z.uuid(),
    from_name: Name.optional(),
    reply_to: Address.nullable().optional(),
    daily_cap: Cap.optional(),
    time_zone: TimeZone.optional(),
    status: z.enum(SENDER_STATUS).optional(),
  }),
  output: SenderSchema,
  async handle(ctx, { id, ...changes }) {
    await requireZone(ctx, changes.time_zone);
    const given = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
    if (Object.keys(given).length === 0) return await read(ctx, id);
    const rows = await ctx.db`
      update public.senders set ${ctx.db(given as Record<string, never>)} where tenant_id = ${ctx.tenantId} and id = ${id} returning id`;
    if (rows.length === 0) throw noSender();
    return await read(ctx, id);
  },
});

export const deleteSender = defineOperation({
  id: "senders.delete",
  method: "DELETE",
  path: "/senders/{id}",
  summary: "Remove a sender that nothing uses any more",
  permission: "senders:write",
  input: z.object({ id: z.uuid() }),
  output: z.null(),
  status: 204,
  async handle(ctx, { id }) {
    const [gone] = await ctx.db<{ from_email: string }[]>`
      delete from public.senders s where s.tenant_id = ${ctx.tenantId} and s.id = ${id}
        and not exists (select from public.campaigns k where k.tenant_id = s.tenant_id and k.sender_id = s.id)
        and not exists (select from public.messages m where m.tenant_id = s.tenant_id and m.sender_id = s.id and m.status in ('queued', 'sending'))
      returning s.from_email`;
    if (gone) {
      ctx.audit(gone, id);
      return null;
    }
    const users = await ctx.db<{ name: string | null }[]>`
      select k.name from public.senders s left join public.campaigns k on k.tenant_id = s.tenant_id and k.sender_id = s.id
      where s.tenant_id = ${ctx.tenantId} and s.id = ${id} order by k.name limit 6`;
    if (users.length === 0) throw noSender();
    const named = users.slice(0, 5).flatMap((u) => (u.name ? [`«${u.name}»`] : []));
    const what =
      named.length > 0
        ? `campaign ${named.join(", ")}${users.length > 5 ? " and others" : ""}`
        : "messages that are still to be sent";
    throw new AppError("conflict", `The sender is in use by ${what}.`, { suggestion: "Pause the sender instead." });
  },
});
