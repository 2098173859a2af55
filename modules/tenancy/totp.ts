import { Secret, TOTP } from "otpauth";

/** Time-based one-time passwords (RFC 6238) as every authenticator app makes them: HMAC-SHA-1, six digits, a new one every 30 seconds. */

export const STEP_SECONDS = 30;

/** So many random bytes in Base32 (RFC 4648) without padding, as apps take a key and people type a code. */
export const randomBase32 = (bytes: number): string => new Secret({ size: bytes }).base32;

const totp = (key: string) =>
  new TOTP({ secret: Secret.fromBase32(key), algorithm: "SHA1", digits: 6, period: STEP_SECONDS });

/** The code of a step (Unix time divided by 30, whole); `key` in Base32. */
export const codeAt = (key: string, step: number): string =>
  totp(key).generate({ timestamp: step * STEP_SECONDS * 1000 });

/** The step whose code this is, now or one step to either side for clocks that differ; null when it is none of them. */
export function stepOf(key: string, code: string, nowMs: number): number | null {
  const off = totp(key).validate({ token: code, timestamp: nowMs, window: 1 });
  return off === null ? null : Math.floor(nowMs / 1000 / STEP_SECONDS) + off;
}
