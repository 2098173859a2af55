import { z } from "zod";
import type { OpenManualCtx } from "../kernel/context.ts";
import { AppError, invalidField } from "../kernel/errors.ts";
import { signInDigest } from "../kernel/http/addresses.ts";
import { callerAddress } from "../kernel/operations/auth.ts";
import { sha256Hex } from "../kernel/secrets/signatures.ts";
import { type Limited, take } from "./limits.ts";
import { randomBase32, stepOf } from "./totp.ts";

/** What a person has besides the password: an authenticator app, and recovery codes for when it is lost. */

export const Code = z.string().trim().min(1).max(40).describe("The code of the authenticator app, or a recovery code.");

/** Guesses at once, and one more per five minutes: of a million codes three are right at a time. */
const GUESSES = { capacity: 10, perSecond: 1 / 300 };
const RECOVERY_CODES = 10;

type Ctx = Limited & Pick<OpenManualCtx, "vault">;
export type Factor = { secret: string; confirmed: boolean; codes: number };

/** What binds a sealed key to its person. */
export const factorSeal = (person: string): string => `second-factor:${person}`;

export const factorOf = async (ctx: Limited, person: string): Promise<Factor | null> => {
  const [row] = await ctx.tx(({ db }) => db<Factor[]>`select * from private.second_factor(${person})`);
  return row ?? null;
};

/** A new key for an app: sealed for the row, and as the person types it in. */
export async function newKey(ctx: Ctx, person: string): Promise<{ sealed: string; key: string }> {
  const key = randomBase32(20);
  return { sealed: await ctx.vault.seal(key, factorSeal(person)), key };
}

/** The step of a code of this key, or null. */
export async function stepFor(ctx: Ctx, person: string, sealed: string, code: string): Promise<number | null> {
  return stepOf(await ctx.vault.open<string>(sealed, factorSeal(person)), code, Date.now());
}

/** Recovery codes of 80 bits, as `XXXX-XXXX-XXXX-XXXX`. */
export const newRecoveryCodes = (): string[] =>
  Array.from({ length: RECOVERY_CODES }, () => randomBase32(10).replace(/(.{4})(?!$)/g, "$1-"));

/** How a recovery code is stored: letters may be typed small, and with or without the dashes. */
export const digestOf = (code: string): Promise<string> => sha256Hex(code.toUpperCase().replaceAll(/[^A-Z2-7]/g, ""));

/** Limits guesses of a person's codes; from where they signed in before, others cannot use the limit up. */
export async function limitCodes(ctx: Limited, person: string, email: string, request: Request): Promise<void> {
  const digest = await signInDigest(email, callerAddress(request.headers));
  const [row] = await ctx.tx(
    ({ db }) => db<{ known: boolean }[]>`select private.knows_address(${digest ?? ""}) as known`,
  );
  await take(ctx, [{ key: row!.known ? `factor:known:${digest}` : `factor:person:${person}`, ...GUESSES }]);
}

const wrongCode = () =>
  invalidField(
    "/code",
    "This code is wrong or was used already.",
    "Wait for the app's next code, or enter another recovery code.",
  );

/** Asks for the code where the person has a second factor, and uses it up. Throws `invalid` at /code, or `rate_limited`. */
export async function requireCode(
  ctx: Ctx,
  who: { id: string; email: string },
  code: string | undefined,
  request: Request,
): Promise<void> {
  const factor = await factorOf(ctx, who.id);
  if (!factor?.confirmed) return;
  if (code === undefined) throw invalidField("/code", "Enter the code of your authenticator app, or a recovery code.");
  await limitCodes(ctx, who.id, who.email.toLowerCase(), request);
  const digits = code.replaceAll(/\s/g, "");
  if (/^\d{6}$/.test(digits)) {
    const step = await stepFor(ctx, who.id, factor.secret, digits);
    if (step === null) throw wrongCode();
    const [row] = await ctx.tx(
      ({ db }) => db<{ used: boolean }[]>`select private.use_step(${who.id}, ${step}) as used`,
    );
    if (!row!.used) throw wrongCode();
    return;
  }
  const digest = await digestOf(code);
  const [row] = await ctx.tx(
    ({ db }) => db<{ used: boolean }[]>`select private.use_recovery_code(${who.id}, ${digest}) as used`,
  );
  if (!row!.used) throw wrongCode();
}

/** Throws `conflict` where a confirmed factor is there already. */
export const factorExists = () =>
  new AppError("conflict", "Your account has a second factor already.", { suggestion: "Remove it first." });
