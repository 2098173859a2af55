import { z } from "zod";
import type { OpenManualCtx } from "../kernel/context.ts";
import { AppError } from "../kernel/errors.ts";
import { networkOf } from "../kernel/http/addresses.ts";
import { callerAddress } from "../kernel/operations/auth.ts";
import { defineOpenManualOperation } from "../kernel/operations/operation.ts";
import { sha256Hex } from "../kernel/secrets/signatures.ts";
import * as auth from "../tenancy/auth-server.ts";
import { tenancyConfig } from "../tenancy/config.ts";
import { Code, requireCode } from "../tenancy/second-factor.ts";
import { take } from "../tenancy/limits.ts";
import { noted } from "../tenancy/open.ts";
import { Email, LinkToken, NewPassword, Session } from "../tenancy/schemas.ts";

/** Mails to an address or for an account at once, and one more per twenty minutes: nobody's mailbox is filled by a stranger. */
const PER_ACCOUNT = { capacity: 3, perSecond: 1 / 1200 };
const PER_ADDRESS = { capacity: 20, perSecond: 1 / 30 };

/** Throws `forbidden` where the installation sends no mails about accounts. */
export function requireMail(ctx: Pick<OpenManualCtx, "configOf">): void {
  if (ctx.configOf(tenancyConfig).OVERTURE_MAIL_FROM !== undefined) return;
  throw new AppError("forbidden", "This installation sends no mails about accounts.", {
    suggestion: "Whoever runs it sets OVERTURE_MAIL_FROM.",
  });
}

/**
 * Counts a mail that somebody asks for, and guesses of a link's token: by the caller's network, and by each of `whose`, which are the
 * account that asks and the address that gets the mail. Throws `rate_limited`.
 */
export async function limitMails(ctx: OpenManualCtx, what: string, whose: readonly string[], request: Request) {
  const caller = callerAddress(request.headers);
  const buckets = [{ key: `${what}:address:${networkOf(caller) ?? caller}`, ...PER_ADDRESS }];
  // Hashed: buckets are no place for people's addresses.
  for (const one of whose) buckets.push({ key: `${what}:email:${await sha256Hex(one)}`, ...PER_ACCOUNT });
  await take(ctx, buckets);
}

export const usedLink = () =>
  new AppError("gone", "This link was used, was replaced by a later one, or has expired.", {
    suggestion: "Ask for a new one.",
  });

export type Claimed = {
  person: string;
  address: string;
  expires_at: Date;
  /** The account when the link was asked for. */
  account_address: string;
  account_digest: string;
};

/** Uses a link up for what `act` does; gives it back when `act` throws, so that a refused password costs no second mail. */
export async function withLink<T>(
  ctx: OpenManualCtx,
  kind: "reset" | "email",
  token: string,
  act: (claimed: Claimed) => Promise<T>,
): Promise<T> {
  const hash = await sha256Hex(token);
  const [claimed] = await ctx.tx(({ db }) => db<Claimed[]>`select * from private.use_account_token(${hash}, ${kind})`);
  if (!claimed) throw usedLink();
  try {
    return await act(claimed);
  } catch (error) {
    await ctx.tx(
      ({ db }) => db`
      select private.restore_account_token(${claimed.person}, ${kind}, ${hash}, ${claimed.address}, ${claimed.expires_at},
        ${claimed.account_address}, ${claimed.account_digest})`,
    );
    throw error;
  }
}

export const requestReset = defineOpenManualOperation({
  id: "auth.reset_request",
  method: "POST",
  path: "/auth/reset",
  summary: "Ask for a link to choose a new password",
  description:
    "202 whether or not there is an account with this address. The link in the mail works once, for an hour.",
  auth: "public",
  input: z.object({ email: Email }),
  output: z.object({ status: z.literal("accepted") }),
  status: 202,
  async handle(ctx, { email }, request) {
    requireMail(ctx);
    await limitMails(ctx, "reset", [email], request);
    await ctx.tx(({ db }) => db`select private.request_reset(${email})`);
    return { status: "accepted" as const };
  },
});

/** Whoever opens the link has the mailbox: that proves the account, and all its sessions end. */
export const resetPassword = defineOpenManualOperation({
  id: "auth.reset",
  method: "POST",
  path: "/auth/reset/confirm",
  summary: "Choose a new password with the link of a mail",
  description: "Every session of the account ends; the answer is a new one. 410 when the link no longer works.",
  auth: "public",
  input: z.object({ token: LinkToken, password: NewPassword, code: Code.optional() }),
  output: Session,
  async handle(ctx, { token, password, code }, request) {
    await limitMails(ctx, "reset-link", [], request);
    const { person, address } = await withLink(ctx, "reset", token, async (claimed) => {
      // A mailbox does not stand for the second factor.
      await requireCode(ctx, { id: claimed.person, email: claimed.address }, code, request);
      await auth.setAccount(ctx, claimed.person, { password });
      return claimed;
    });
    await ctx.tx(({ db }) => db`select private.password_changed(${person})`);
    const opened = await auth.signIn(ctx, address, password);
    if (opened?.kind !== "session") throw new AppError("unavailable", "The password was changed. Sign in with it.");
    // The factor was shown above.
    return await noted(ctx, opened.session, request, { proven: true });
  },
});
