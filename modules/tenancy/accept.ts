import { z } from "zod";
import type { OpenManualCtx, Role } from "../kernel/context.ts";
import type { Tx } from "../kernel/database/db.ts";
import { bearerOf } from "../kernel/http/bearer.ts";
import { AppError } from "../kernel/errors.ts";
import { sessionEnded } from "../kernel/operations/auth.ts";
import { defineOpenManualOperation, defineOpenOperation } from "../kernel/operations/operation.ts";
import { sha256Hex } from "../kernel/secrets/signatures.ts";
import * as auth from "./auth-server.ts";
import { confirmationRequired, noted, throttle } from "./open.ts";
import {
  LinkToken,
  NewPassword,
  PersonName,
  RoleSchema,
  SessionWithTenant,
  Tenant,
  type TenantRow,
} from "./schemas.ts";
import { Code } from "./second-factor.ts";

type Found = { tenant_id: string; tenant_name: string; email: string; role: Role; valid: boolean };

const find = async (db: Tx, token: string): Promise<Found | null> => {
  const [row] = await db<Found[]>`select * from private.find_invitation(${await sha256Hex(token)})`;
  return row?.valid ? row : null;
};

const used = () =>
  new AppError("gone", "This invitation was used, was withdrawn or has expired.", { suggestion: "Ask for a new one." });

export const readInvitation = defineOpenOperation({
  id: "auth.invitation",
  method: "GET",
  path: "/auth/invitation",
  summary: "Read the invitation behind a link",
  auth: "public",
  input: z.object({ token: LinkToken }),
  output: z.object({
    valid: z.boolean(),
    email: z.string().nullable(),
    tenant_name: z.string().nullable(),
    role: RoleSchema.nullable(),
  }),
  async handle(ctx, { token }) {
    const found = await find(ctx.db, token);
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
export const acceptInvitation = defineOpenManualOperation({
  id: "auth.invitation_accept",
  method: "POST",
  path: "/auth/invitation/accept",
  summary: "Join a tenant by an invitation link",
  description:
    "The link works once; afterwards 410. With a session, the response is {tenant}. Without a session, a password is needed and the response has a session too. For an existing account with a second factor, its `code` is needed as well: without it 422 with an error at /code, and the link stays valid.",
  auth: "public",
  input: z.object({ token: LinkToken, name: PersonName, password: NewPassword.optional(), code: Code.optional() }),
  output: z.union([SessionWithTenant, z.object({ tenant: Tenant })]),
  async handle(ctx, { token, name, password, code }, request) {
    await throttle(ctx, "invitation", null, request);
    const invitation = await ctx.tx(({ db }) => find(db, token));
    if (!invitation) throw used();
    const { email } = invitation;

    const bearer = bearerOf(request.headers);
    if (bearer) {
      // The auth server also knows sessions that count for nothing here: those made without the second factor.
      const person = ctx.actor.kind === "user" ? await auth.userOf(ctx, bearer) : null;
      if (!person) throw sessionEnded();
      if (person.email.toLowerCase() !== email) {
        throw new AppError("forbidden", `This invitation is for ${email}.`, {
          suggestion: "Sign out and accept it with that address.",
        });
      }
      return { tenant: await accept(ctx, token, person.id, email, name || person.name) };
    }

    if (password === undefined)
      throw new AppError("invalid", "Choose a password, or sign in first.", {
        errors: [{ pointer: "/password", detail: "is missing" }],
      });
    const opened = await auth.openAccount(ctx, email, password, { name });
    if (!opened) {
      throw new AppError("conflict", `${email} has an account with a different password.`, {
        suggestion: "Sign in, then open the link again.",
      });
    }
    if (opened.kind === "confirm")
      return confirmationRequired(email, "Open the link, then come back to this page and submit the form again.");
    const session = await noted(ctx, opened.session, request, { code });
    return { ...session, tenant: await accept(ctx, token, session.user.id, email, name) };
  },
});

/** Uses the link up and writes the membership, both or neither. Whoever comes second gets 410, whatever `find` said. */
async function accept(
  ctx: OpenManualCtx,
  token: string,
  userId: string,
  email: string,
  name: string,
): Promise<TenantRow> {
  const hash = await sha256Hex(token);
  const [tenant] = await ctx.tx(
    ({ db }) => db<(TenantRow | { id: null })[]>`
      select * from private.accept_invitation(${hash}, ${userId}, ${email}, ${name}, ${ctx.requestId})`,
  );
  if (!tenant || tenant.id === null) throw used();
  return tenant;
}
