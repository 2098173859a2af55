import { z } from "zod";
import { matches } from "./store.ts";

/** Faults on demand: each stays armed for `times` uses, or strikes with probability `rate`, until cleared. */

const FAULT_KINDS = [
  "rate_limit",
  "server_error",
  "timeout_after_accept",
  "slow",
  "reset",
  "duplicate_webhooks",
  "reorder_webhooks",
  "drop_webhooks",
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export const Fault = z.strictObject({
  kind: z.enum(FAULT_KINDS),
  /** Key or `provider:key`; absent: every account. */
  account: z.string().optional(),
  times: z.number().int().min(1).optional(),
  rate: z.number().min(0).max(1).optional(),
  /** Seconds in Retry-After of `rate_limit`. */
  retry_after: z.number().int().min(0).optional(),
  /** Milliseconds of `slow`. */
  delay_ms: z.number().int().min(0).max(120_000).optional(),
  /** `server_error` and `reset` after the message was taken, as some providers do; `slow` before it is taken when false. */
  accepted: z.boolean().optional(),
});
export type Fault = z.infer<typeof Fault>;

export const SEND_FAULTS: readonly FaultKind[] = [
  "rate_limit",
  "server_error",
  "timeout_after_accept",
  "slow",
  "reset",
];

/** Repeatable chance: the same seed gives the same run. */
function mulberry32(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export type Faults = ReturnType<typeof createFaults>;

export function createFaults(seed = 1) {
  let armed: (Fault & { left: number })[] = [];
  const random = mulberry32(seed);
  return {
    add(fault: Fault) {
      // Neither times nor rate: once.
      armed.push({ ...fault, left: fault.times ?? (fault.rate === undefined ? 1 : Number.POSITIVE_INFINITY) });
    },
    clear: () => void (armed = []),
    list: () => armed.map(({ left, ...fault }) => ({ ...fault, left: Number.isFinite(left) ? left : null })),
    /** The first armed fault of these kinds that strikes this account now. */
    take(kinds: readonly FaultKind[], account: string): Fault | null {
      for (const fault of armed) {
        if (!kinds.includes(fault.kind) || (fault.account && !matches(account, fault.account))) continue;
        if (fault.rate !== undefined && random() >= fault.rate) continue;
        fault.left--;
        if (fault.left <= 0) armed = armed.filter((f) => f !== fault);
        return fault;
      }
      return null;
    },
  };
}
