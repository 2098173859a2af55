import { z } from "zod";
import type { OpenCtx, Role } from "../kernel/context.ts";
import { AppError } from "../kernel/errors.ts";
import { defineOpenOperation } from "../kernel/operation.ts";
import { sha256Hex } from "../kernel/vault.ts";
import * as auth from "./auth-server.ts";
import { bearerOf, confirmationRequired, refusal, throttle } from "./open.ts";
import {
  LinkToken,
  NewPassword,
  PersonName,
  RoleSchema,
  SessionWithTenant,
  Tenant,
  type TenantRow,
} from "./schemas.ts";

type Found = { tenant_id: string; tenant_name: string; email: string; role: Role; valid: boolean };

const find = async (ctx: OpenCtx, token: string): Promise<Found | null> => {
  const [row] = await ctx.db<Found[]>`select * from private.find_invitation(${await sha256Hex(token)})`;
  return row?.valid ? row : null;
};

const used = () =>
  new AppError("gone", "This invitation was used, taken back or has expired.", { suggestion: "Ask for a new one." });

export const readInvitation = defineOpenOperation({
  id: "auth.invitation",
  method: "GET",
  path: "/auth/invitation",
  summary: "What an invitation link is for",
  auth: "public",
  input: z.object({ token: LinkToken }),
  output: z.object({
    valid: z.boolean(),
    email: z.string().nullable(),
    tenant_name: z.string().nullable(),
    role: RoleSchema.nullable(),
  }),
  async handle(ctx, { token }) {
    const found = await find(ctx, token);
    return {
      valid: found !== null,
      email: found?.email ?? null,
      tenant_name: found?.tenant_name ?? null,
      role: found?.role ?? null,
    };
  },
});

/**
 * The link is used up in the transaction that writes the membership. A signed-in person accepts with their own e-mail;
 * anybody else gives a password, for a new account or for the one they have.
 */
export const acceptInvitation = defineOpenOperation({
  id: "auth.invitation_accept",
  method: "POST",
  path: "/auth/invitation/accept",
  summary: "Join a team by an invitation link",
  description:
    "Single use; 410 afterwards. With a session: answers {tenant}. Without: needs a password and answers a session too.",
  auth: "public",
  input: z.object({ token: LinkToken, name: PersonName, password: NewPassword.optional() }),
  output: z.union([SessionWithTenant, z.object({ tenant: Tenant })]),
  async handle(ctx, { token, name, password }, request) {
    const tooMany = await throttle(ctx.db, ctx, "invitation", null);
    if (tooMany) return refusal(ctx, tooMany);
    const invitation = await find(ctx, token);
    if (!invitation) return refusal(ctx, used());

    const bearer = bearerOf(request);
    if (bearer) {
      const person = await auth.userOf(ctx, bearer);
      if (!person)
        return refusal(
          ctx,
          new AppError("unauthenticated", "The session has ended.", {
            suggestion: "Sign in again, or accept without a session.",
          }),
        );
      if (person.email.toLowerCase() !== invitation.email) {
        return refusal(
          ctx,
          new AppError("forbidden", `This invitation is for ${invitation.email}.`, {
            suggestion: "Sign out and accept it with that address.",
          }),
        );
      }
      const tenant = await accept(ctx, token, person.id, invitation.email, name || person.name);
      return tenant ? { tenant } : refusal(ctx, used());
    }

    if (password === undefined) {
      return refusal(
        ctx,
        new AppError("invalid", "Choose a password, or sign in first.", {
          errors: [{ pointer: "/password", detail: "is missing" }],
        }),
      );
    }
    const opened = await auth.openAccount(ctx, invitation.email, password, { name });
    if (!opened) {
      return refusal(
        ctx,
        new AppError("conflict", `${invitation.email} has an account with another password.`, {
          suggestion: "Sign in, then open the link again.",
        }),
      );
    }
    if (opened.kind === "confirm")
      return confirmationRequired(invitation.email, "Open it, then come back to this page and send it again.");
    const tenant = await accept(ctx, token, opened.session.user.id, invitation.email, name);
    return tenant ? { ...opened.session, tenant } : refusal(ctx, used());
  },
});

async function accept(
  ctx: OpenCtx,
  token: string,
  userId: string,
  email: string,
  name: string,
): Promise<TenantRow | null> {
  const [tenant] = await ctx.db<(TenantRow | { id: null })[]>`
    select * from private.accept_invitation(${await sha256Hex(token)}, ${userId}, ${email}, ${name}, ${ctx.requestId})`;
  return tenant && tenant.id !== null ? tenant : null;
}
