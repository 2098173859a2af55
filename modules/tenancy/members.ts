import { z } from "zod";
import { cursorTime, decodeCursor, pageOf, pageParams, searchParam, toPage } from "../kernel/operations/cursor.ts";
import { type Ctx, type Role, roleRank } from "../kernel/context.ts";
import { AppError } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { actorMay } from "../kernel/operations/authorise.ts";
import { instant, RoleSchema } from "./schemas.ts";

const Member = z
  .object({ user_id: z.uuid(), email: z.string(), name: z.string(), role: RoleSchema, created_at: instant })
  .meta({ id: "Member" });
type MemberRow = { user_id: string; email: string; name: string; role: Role; created_at: Date };

export const listMembers = defineOperation({
  id: "members.list",
  method: "GET",
  path: "/members",
  summary: "List the members of the tenant",
  permission: "members:read",
  input: z.object({ ...pageParams, ...searchParam }),
  output: pageOf(Member),
  async handle(ctx, { limit, cursor, search }) {
    const after = decodeCursor(cursor, z.tuple([cursorTime, z.uuid()]));
    const rows = await ctx.db<(MemberRow & { key: string })[]>`
      select user_id, email, name, role, created_at, created_at::text as key from public.members
      where tenant_id = ${ctx.tenantId}
        ${search ? ctx.db`and position(kernel.fold(${search}::text) in kernel.fold(name || ' ' || email)) > 0` : ctx.db``}
        ${after ? ctx.db`and (created_at, user_id) > (${after[0]}::text::timestamptz, ${after[1]}::uuid)` : ctx.db``}
      order by created_at, user_id limit ${limit + 1}`;
    return toPage(
      rows,
      limit,
      (r) => [r.key, r.user_id],
      (r) => r,
    );
  },
});

async function findMember(ctx: Ctx, userId: string): Promise<MemberRow> {
  const [member] = await ctx.db<MemberRow[]>`
    select user_id, email, name, role, created_at from public.members where tenant_id = ${ctx.tenantId} and user_id = ${userId}`;
  if (!member) throw new AppError("not_found", "This user is not a member of the workspace.");
  return member;
}

export const getMember = defineOperation({
  id: "members.get",
  method: "GET",
  path: "/members/{user_id}",
  summary: "A member of the team",
  permission: "members:read",
  input: z.object({ user_id: z.uuid() }),
  output: Member,
  handle: (ctx, { user_id }) => findMember(ctx, user_id),
});

/** The database checks the same in a trigger; here it gets words. A program decides about neither owners nor admins. */
function mustRankAbove(ctx: Ctx, ...roles: Role[]): void {
  if (ctx.actor.kind === "api_key" && roles.some((role) => roleRank(role) >= roleRank("admin"))) {
    throw new AppError("forbidden", "An API key cannot add, change or remove admins and owners.", {
      suggestion: "Do it in the console, as a person.",
    });
  }
  if (roles.includes("owner") && !(ctx.actor.kind === "user" && ctx.actor.role === "owner")) {
    throw new AppError("forbidden", "Only an owner can add, change or remove owners.", {
      suggestion: "Ask an owner of the workspace.",
    });
  }
}

/** Runs the change with the last-owner rule checked at once rather than at commit, where it could not be explained. */
async function keepingAnOwner<T>(ctx: Ctx, change: () => Promise<T>): Promise<T> {
  try {
    const result = await change();
    await ctx.db`set constraints public.keep_an_owner immediate`;
    return result;
  } catch (error) {
    if ((error as { constraint_name?: string }).constraint_name !== "members_keep_an_owner") throw error;
    throw new AppError("conflict", "A workspace needs at least one owner.", {
      cause: error,
      suggestion: "Make another member an owner first.",
    });
  }
}

export const updateMember = defineOperation({
  id: "members.update",
  method: "PATCH",
  path: "/members/{user_id}",
  summary: "Change a member's role",
  description:
    "Takes effect at once, also for the API keys that the person made: a key can do no more than its maker. Below the role admin, open invitations that they sent are withdrawn. An API key cannot change admins and owners, nor make any.",
  permission: "members:write",
  input: z.object({ user_id: z.uuid(), role: RoleSchema }),
  output: Member,
  async handle(ctx, { user_id, role }) {
    const before = await findMember(ctx, user_id);
    mustRankAbove(ctx, before.role, role);
    const [member] = await keepingAnOwner(
      ctx,
      () => ctx.db<MemberRow[]>`
        update public.members set role = ${role} where tenant_id = ${ctx.tenantId} and user_id = ${user_id}
        returning user_id, email, name, role, created_at`,
    );
    if (!member) throw new AppError("not_found", "This user is not a member of the workspace.");
    ctx.audit({ from: before.role, to: role }, user_id);
    return member;
  },
});

export const removeMember = defineOperation({
  id: "members.remove",
  method: "DELETE",
  path: "/members/{user_id}",
  summary: "Remove a member, or leave the tenant yourself",
  description:
    "Takes effect at once: the API keys that the person made stop, and the open invitations that they sent are withdrawn.",
  permission: "members:leave",
  input: z.object({ user_id: z.uuid() }),
  output: z.null(),
  status: 204,
  async handle(ctx, { user_id }) {
    const self = ctx.actor.kind === "user" && ctx.actor.userId === user_id;
    if (!self && !actorMay(ctx.registry, ctx.actor, "members:write"))
      throw new AppError("forbidden", "Your role does not allow you to remove other members.", {
        suggestion: "Ask for the role admin.",
      });
    const member = await findMember(ctx, user_id);
    if (!self) mustRankAbove(ctx, member.role);
    await keepingAnOwner(
      ctx,
      () => ctx.db`delete from public.members where tenant_id = ${ctx.tenantId} and user_id = ${user_id}`,
    );
    // Who left may write nothing here any more, not even the audit row: the rest of the transaction is the team's own.
    if (self) await ctx.db`select set_config('role', 'overture_worker', true)`;
    ctx.audit({ email: member.email, role: member.role, left: self }, user_id);
    return null;
  },
});
