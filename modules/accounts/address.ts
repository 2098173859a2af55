import { z } from "zod";
import { AppError, invalidField } from "../kernel/errors.ts";
import { defineOpenManualOperation } from "../kernel/operations/operation.ts";
import { CurrentPassword, proven, signedIn } from "../tenancy/account.ts";
import * as auth from "../tenancy/auth-server.ts";
import { Email, LinkToken } from "../tenancy/schemas.ts";
import { limitMails, requireMail, withLink } from "./reset.ts";

export const changeAddress = defineOpenManualOperation({
  id: "auth.address_request",
  method: "POST",
  path: "/auth/email",
  summary: "Ask to change the email address of your account",
  description:
    "Needs the current password. The new address gets a link, which works once, for an hour; until it is opened nothing changes. The old address is told.",
  auth: "user",
  secretAnswer: true,
  input: z.object({ email: Email, current_password: CurrentPassword }),
  output: z.object({ status: z.literal("accepted") }),
  status: 202,
  async handle(outside, input, request) {
    requireMail(outside);
    const { ctx, email } = await signedIn(outside, request);
    if (input.email === email.toLowerCase()) throw invalidField("/email", "This is your address already.");
    const proof = await proven(ctx, email, input.current_password);
    await auth.signOut(ctx, proof.access_token);
    await limitMails(ctx, "address", [ctx.actor.userId, input.email], request);
    await ctx.tx(async ({ db }) => {
      await db`select private.ask_account_change(${ctx.actor.userId}, 'email', ${input.email})`;
      await db`select private.queue_account_mail('email', ${ctx.actor.userId})`;
      await db`select private.queue_account_mail('address_asked', ${ctx.actor.userId}, ${email})`;
    });
    return { status: "accepted" as const };
  },
});

export const confirmAddress = defineOpenManualOperation({
  id: "auth.address",
  method: "POST",
  path: "/auth/email/confirm",
  summary: "Confirm a new email address with the link of a mail",
  description: "From then on the account signs in with it. 410 when the link no longer works.",
  auth: "public",
  input: z.object({ token: LinkToken }),
  output: z.object({ email: z.string() }),
  async handle(ctx, { token }, request) {
    await limitMails(ctx, "address-link", [], request);
    const { person, address } = await withLink(ctx, "email", token, async (claimed) => {
      if (!(await auth.setAccount(ctx, claimed.person, { email: claimed.address })))
        throw new AppError("conflict", "Another account has this email address.");
      return claimed;
    });
    // At once, for who looks now: the message that the claim of the link left in the queue does it in any case, and tells the old address.
    await ctx.tx(({ db }) => db`select private.follow_address(${person})`);
    return { email: address };
  },
});
