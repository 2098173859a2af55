import { expect, test } from "vitest";
import { codeAt, fromBase32, stepOf, toBase32 } from "./totp.ts";

const secret = new TextEncoder().encode("12345678901234567890");

test("codes are those of RFC 6238", async () => {
  // Appendix B, SHA-1: the last six of its eight digits.
  for (const [time, code] of [
    [59, "287082"],
    [1111111109, "081804"],
    [1111111111, "050471"],
    [1234567890, "005924"],
    [2000000000, "279037"],
    [20000000000, "353130"],
  ] as const)
    expect(await codeAt(secret, Math.floor(time / 30))).toBe(code);
});

test("keys are written in Base32 as in RFC 4648, and read back", () => {
  const text = (s: string) => toBase32(new TextEncoder().encode(s));
  expect(["f", "fo", "foo", "foob", "fooba", "foobar"].map(text)).toEqual([
    "MY",
    "MZXQ",
    "MZXW6",
    "MZXW6YQ",
    "MZXW6YTB",
    "MZXW6YTBOI",
  ]);
  expect(toBase32(secret)).toBe("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
  for (let length = 0; length < 40; length++) {
    const bytes = crypto.getRandomValues(new Uint8Array(length));
    expect(fromBase32(toBase32(bytes))).toEqual(bytes);
  }
});

test("a code counts for its step and one to either side", async () => {
  const at = 1_700_000_010_000;
  const step = Math.floor(at / 30_000);
  for (const off of [-1, 0, 1]) expect(await stepOf(secret, await codeAt(secret, step + off), at)).toBe(step + off);
  for (const off of [-3, -2, 2, 3]) expect(await stepOf(secret, await codeAt(secret, step + off), at)).toBeNull();
});
