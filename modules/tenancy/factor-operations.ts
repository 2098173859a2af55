import { z } from "zod";
import { AppError, invalidField } from "../kernel/errors.ts";
import { defineOpenManualOperation } from "../kernel/operations/operation.ts";
import { CurrentPassword, proven, signedIn } from "./account.ts";
import * as auth from "./auth-server.ts";
import {
  Code,
  digestOf,
  factorExists,
  factorOf,
  limitCodes,
  newKey,
  newRecoveryCodes,
  requireCode,
  stepFor,
} from "./second-factor.ts";

export const readFactor = defineOpenManualOperation({
  id: "auth.factor",
  method: "GET",
  path: "/auth/second-factor",
  summary: "Read whether your account has a second factor",
  auth: "user",
  input: z.object({}),
  output: z.object({ enabled: z.boolean(), recovery_codes: z.int().describe("How many are left.") }),
  async handle(ctx) {
    if (ctx.actor.kind !== "user") throw new AppError("unauthenticated", "Sign in first.");
    const factor = await factorOf(ctx, ctx.actor.userId);
    return { enabled: factor?.confirmed ?? false, recovery_codes: factor?.confirmed ? factor.codes : 0 };
  },
});

export const beginFactor = defineOpenManualOperation({
  id: "auth.factor_begin",
  method: "POST",
  path: "/auth/second-factor",
  summary: "Begin to add an authenticator app",
  description: "Needs the current password. The key is for the app; nothing changes until a code of it is confirmed.",
  auth: "user",
  secretAnswer: true,
  input: z.object({ current_password: CurrentPassword }),
  output: z.object({ key: z.string(), uri: z.string().describe("otpauth:// with the key, as apps open it.") }),
  async handle(outside, input, request) {
    const { ctx, email } = await signedIn(outside, request);
    const proof = await proven(ctx, email, input.current_password);
    await auth.signOut(ctx, proof.access_token);
    const { sealed, key } = await newKey(ctx, ctx.actor.userId);
    const [row] = await ctx.tx(
      ({ db }) => db<{ begun: boolean }[]>`select private.begin_second_factor(${ctx.actor.userId}, ${sealed}) as begun`,
    );
    if (!row!.begun) throw factorExists();
    const issuer = encodeURIComponent(ctx.config.productName);
    return { key, uri: `otpauth://totp/${issuer}:${encodeURIComponent(email)}?secret=${key}&issuer=${issuer}` };
  },
});

export const confirmFactor = defineOpenManualOperation({
  id: "auth.factor_confirm",
  method: "POST",
  path: "/auth/second-factor/confirm",
  summary: "Add the authenticator app, with a code of it",
  description: "From then on signing in needs a code. All other sessions end. The recovery codes are shown once.",
  auth: "user",
  secretAnswer: true,
  input: z.object({ code: Code }),
  output: z.object({ recovery_codes: z.array(z.string()) }),
  async handle(outside, { code }, request) {
    const { ctx, email } = await signedIn(outside, request);
    const { userId, sessionId } = ctx.actor;
    const factor = await factorOf(ctx, userId);
    if (factor?.confirmed) throw factorExists();
    if (!factor || !sessionId) throw new AppError("conflict", "Begin first, with POST /auth/second-factor.");
    await limitCodes(ctx, userId, email.toLowerCase(), request);
    const step = await stepFor(ctx, userId, factor.secret, code.replaceAll(/\s/g, ""));
    if (step === null)
      throw invalidField(
        "/code",
        "This is not the code that the app shows now.",
        "Check that the phone's clock is right.",
      );
    const codes = newRecoveryCodes();
    const digests = await Promise.all(codes.map(digestOf));
    const [row] = await ctx.tx(
      ({ db }) => db<{ added: boolean }[]>`
      select private.confirm_second_factor(${userId}, ${step}, ${digests}, ${sessionId}) as added`,
    );
    if (!row!.added) throw factorExists();
    return { recovery_codes: codes };
  },
});

export const removeFactor = defineOpenManualOperation({
  id: "auth.factor_remove",
  method: "POST",
  path: "/auth/second-factor/remove",
  summary: "Remove the second factor of your account",
  description: "Needs the current password and a code, or a recovery code.",
  auth: "user",
  input: z.object({ current_password: CurrentPassword, code: Code }),
  output: z.null(),
  status: 204,
  async handle(outside, input, request) {
    const { ctx, email } = await signedIn(outside, request);
    const proof = await proven(ctx, email, input.current_password);
    await auth.signOut(ctx, proof.access_token);
    await requireCode(ctx, { id: ctx.actor.userId, email }, input.code, request);
    await ctx.tx(({ db }) => db`select private.remove_second_factor(${ctx.actor.userId})`);
    return null;
  },
});
