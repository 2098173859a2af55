import { z } from "zod";
import { decodeCursor, pageOf, pageParams, toPage } from "../kernel/operations/cursor.ts";
import type { Actor } from "../kernel/context.ts";
import { AppError } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { randomToken, sha256Hex } from "../kernel/secrets/signatures.ts";
import { instant, Email } from "./schemas.ts";

/** Long enough for a holiday weekend, short enough that a forgotten mail is no standing door. */
const VALID_DAYS = 7;

export const INVITATION_STATUS = ["open", "expired", "accepted"] as const;
const InvitedRole = z.enum(["admin", "member", "approver", "viewer"]);
const Invitation = z
  .object({
    id: z.uuid(),
    email: z.string(),
    role: InvitedRole,
    invited_by: z.string(),
    status: z.enum(INVITATION_STATUS),
    expires_at: instant,
    accepted_at: instant.nullable(),
    created_at: instant,
  })
  .meta({ id: "Invitation" });
type InvitationRow = z.input<typeof Invitation>;

/** Whose right an invitation rests on. Throws `forbidden` where a key would make an admin, which the database refuses as well. */
function inviterOf(actor: Actor, role: z.output<typeof InvitedRole>): { id: string; name: string } {
  if (actor.kind === "user") return { id: actor.userId, name: actor.email };
  if (actor.kind !== "api_key") throw new AppError("forbidden", "Only a member or an API key can invite.");
  if (role === "admin") {
    throw new AppError("forbidden", "An API key cannot invite admins.", {
      suggestion: "Invite with the role member, approver or viewer, or invite in the console, as a person.",
    });
  }
  return { id: actor.makerId, name: "API key" };
}

export const createInvitation = defineOperation({
  id: "invitations.create",
  method: "POST",
  path: "/invitations",
  summary: "Invite somebody with a single-use link",
  description:
    "The link is in this response and is not shown again: only its hash is stored. Inviting the same address again replaces the link. It works while who sent it is an admin or owner; an API key cannot invite admins.",
  permission: "members:write",
  input: z.object({ email: Email, role: InvitedRole }),
  output: z.object({ id: z.uuid(), email: z.string(), role: InvitedRole, expires_at: instant, url: z.string() }),
  status: 201,
  secretAnswer: true,
  async handle(ctx, { email, role }) {
    const token = randomToken("ovi_");
    const hash = await sha256Hex(token);
    const { db, tenantId, now } = ctx;
    const inviter = inviterOf(ctx.actor, role);
    const [known] = await db`select 1 from public.members where tenant_id = ${tenantId} and email = ${email}`;
    if (known)
      throw new AppError("conflict", `${email} is already a member of the workspace.`, {
        suggestion: "Change the role of the member instead.",
      });
    const expires = new Date(now.getTime() + VALID_DAYS * 86_400_000);
    const [row] = await db<{ id: string; email: string; role: z.output<typeof InvitedRole>; expires_at: Date }[]>`
      insert into public.invitations (tenant_id, email, role, token_hash, invited_by, inviter_id, expires_at)
      values (${tenantId}, ${email}, ${role}, ${hash}, ${inviter.name}, ${inviter.id}, ${expires})
      on conflict (tenant_id, email) where accepted_at is null do update
        set role = excluded.role, token_hash = excluded.token_hash, invited_by = excluded.invited_by, inviter_id = excluded.inviter_id,
          expires_at = excluded.expires_at
      returning id, email, role, expires_at`;
    return { ...row!, url: `${ctx.config.publicUrl}/invite?token=${token}` };
  },
});

export const listInvitations = defineOperation({
  id: "invitations.list",
  method: "GET",
  path: "/invitations",
  summary: "List invitations, newest first",
  permission: "members:write",
  input: z.object({ ...pageParams, status: z.enum(INVITATION_STATUS).optional() }),
  output: pageOf(Invitation),
  async handle(ctx, { limit, cursor, status }) {
    const before = decodeCursor(cursor, z.tuple([z.uuid()]))?.[0];
    const rows = await ctx.db<InvitationRow[]>`
      select * from (
        select id, email, role, invited_by, expires_at, accepted_at, created_at,
          case when accepted_at is not null then 'accepted' when expires_at <= ${ctx.now} then 'expired' else 'open' end as status
        from public.invitations where tenant_id = ${ctx.tenantId} ${before ? ctx.db`and id < ${before}` : ctx.db``}
      ) i
      ${status ? ctx.db`where status = ${status}` : ctx.db``}
      order by id desc limit ${limit + 1}`;
    return toPage(
      rows,
      limit,
      (r) => [r.id],
      (r) => r,
    );
  },
});

export const revokeInvitation = defineOperation({
  id: "invitations.revoke",
  method: "DELETE",
  path: "/invitations/{id}",
  summary: "Withdraw an invitation",
  permission: "members:write",
  input: z.object({ id: z.uuid() }),
  output: z.null(),
  status: 204,
  async handle(ctx, { id }) {
    const [row] = await ctx.db<{ email: string }[]>`
      delete from public.invitations where tenant_id = ${ctx.tenantId} and id = ${id} and accepted_at is null returning email`;
    if (!row) throw new AppError("not_found", "There is no open invitation with this id.");
    ctx.audit({ email: row.email }, id);
    return null;
  },
});
