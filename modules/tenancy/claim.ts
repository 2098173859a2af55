import { z } from "zod";
import type { Config } from "../kernel/config.ts";
import type { Sql, Tx } from "../kernel/database/db.ts";
import { AppError } from "../kernel/errors.ts";
import { defineOpenManualOperation, defineOpenOperation } from "../kernel/operations/operation.ts";
import { randomToken, sha256Hex } from "../kernel/secrets/signatures.ts";
import * as auth from "./auth-server.ts";
import { confirmationRequired, noted, throttle } from "./open.ts";
import { Email, LinkToken, NewPassword, PersonName, SessionWithTenant, TenantName, type TenantRow } from "./schemas.ts";
import { Code } from "./second-factor.ts";

/**
 * A fresh single-use link with which the first person takes the installation, or null once somebody has an account.
 * Only the hash is stored, so an earlier link stops working. `sql` is a connection as the role that migrates.
 */
export async function ensureClaim(sql: Sql | Tx, config: Pick<Config, "publicUrl">): Promise<string | null> {
  const token = randomToken("ovc_");
  const [row] = await sql<{ set: boolean }[]>`select private.set_claim(${await sha256Hex(token)}) as set`;
  return row!.set ? `${config.publicUrl}/claim?token=${token}` : null;
}

const used = () =>
  new AppError("gone", "This link has been used or replaced.", {
    suggestion: "Start the product again: it prints a new link as long as no account exists.",
  });

export const checkClaim = defineOpenOperation({
  id: "auth.claim_check",
  method: "GET",
  path: "/auth/claim",
  summary: "Check whether a claim link is still valid",
  auth: "public",
  input: z.object({ token: LinkToken }),
  output: z.object({ valid: z.boolean() }),
  async handle(ctx, { token }) {
    const [row] = await ctx.db<{ valid: boolean }[]>`select private.check_claim(${await sha256Hex(token)}) as valid`;
    return { valid: row!.valid };
  },
});

/** The link is used up in the transaction that makes the team: a crash before leaves it good, and the retry goes on. */
export const claim = defineOpenManualOperation({
  id: "auth.claim",
  method: "POST",
  path: "/auth/claim",
  summary: "Claim the installation: create the first account and tenant",
  description:
    "The link works once; afterwards 410. After 202 `confirmation_required` the link is still valid: confirm the email address and send the same request again. An existing account with a second factor needs its `code` as well: without it 422 with an error at /code, and the link stays valid.",
  auth: "public",
  input: z.object({
    token: LinkToken,
    email: Email,
    password: NewPassword,
    name: PersonName,
    tenant_name: TenantName,
    code: Code.optional(),
  }),
  output: SessionWithTenant,
  status: 201,
  async handle(ctx, input, request) {
    await throttle(ctx, "claim", null, request);
    const hash = await sha256Hex(input.token);
    // Only so that a wrong link makes no account; who wins is decided below.
    const [before] = await ctx.tx(({ db }) => db<{ valid: boolean }[]>`select private.check_claim(${hash}) as valid`);
    if (!before!.valid) throw used();
    const opened = await auth.openAccount(ctx, input.email, input.password, { name: input.name });
    if (!opened) {
      throw new AppError("conflict", "An account with this email address exists and has a different password.", {
        suggestion: "Enter its password, or use another email address.",
      });
    }
    if (opened.kind === "confirm")
      return confirmationRequired(input.email, "Open the link, then come back to this page and submit the form again.");
    // Before the link is used up: without the second factor nothing is written.
    const session = await noted(ctx, opened.session, request, { code: input.code });
    const { user } = session;
    const tenant = await ctx.tx(async ({ db }) => {
      const [row] = await db<(TenantRow | { id: null })[]>`
        select * from private.claim_installation(${hash}, ${input.tenant_name}, ${user.id}, ${user.email}, ${input.name}, ${ctx.requestId})`;
      if (!row || row.id === null) throw used();
      return row;
    });
    return { ...session, tenant };
  },
});
