import { expect, test } from "vitest";
import { codeAt, randomBase32, stepOf } from "./totp.ts";

/** The key of the RFC, "12345678901234567890". */
const KEY = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

test("codes are those of RFC 6238", () => {
  // Appendix B, SHA-1: the last six of its eight digits.
  for (const [time, code] of [
    [59, "287082"],
    [1111111109, "081804"],
    [1111111111, "050471"],
    [1234567890, "005924"],
    [2000000000, "279037"],
    [20000000000, "353130"],
  ] as const)
    expect(codeAt(KEY, Math.floor(time / 30))).toBe(code);
});

test("keys are Base32 without padding, each another", () => {
  const keys = Array.from({ length: 50 }, () => randomBase32(20));
  for (const key of keys) expect(key).toMatch(/^[A-Z2-7]{32}$/);
  expect(new Set(keys).size).toBe(50);
  expect(randomBase32(10)).toMatch(/^[A-Z2-7]{16}$/);
});

test("a code counts for its step and one to either side", () => {
  const at = 1_700_000_010_000;
  const step = Math.floor(at / 30_000);
  for (const off of [-1, 0, 1]) expect(stepOf(KEY, codeAt(KEY, step + off), at)).toBe(step + off);
  for (const off of [-3, -2, 2, 3]) expect(stepOf(KEY, codeAt(KEY, step + off), at)).toBeNull();
});
