import { afterEach, describe, expect, test, vi } from "vitest";

import { gather } from "./gather.ts";
import type { Kernel } from "./kernel.ts";

const kernel = () => ({}) as Kernel;

/** A call that waits until it is let go, and notes what it was called with. */
function held(answer: (item: number) => number = (n) => n * 10) {
  const calls: number[][] = [];
  const waiting: (() => void)[] = [];
  const call = async (_: Kernel, items: readonly number[]) => {
    calls.push([...items]);
    await new Promise<void>((resolve) => waiting.push(resolve));
    return items.map(answer);
  };
  /** Lets the call under way end, and waits until what follows has begun. */
  const next = async () => {
    waiting.shift()!();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { calls, call, next };
}

afterEach(() => void vi.useRealTimers());

describe("what comes together goes in one call", () => {
  test("who comes alone goes at once; who comes meanwhile shares the next call; each gets its own result", async () => {
    const { calls, call, next } = held();
    const one = gather(call);
    const k = kernel();
    const results = [1, 2, 3].map((n) => one(k, n));
    expect(calls).toEqual([[1]]);
    await next();
    expect(calls).toEqual([[1], [2, 3]]);
    await next();
    expect(await Promise.all(results)).toEqual([10, 20, 30]);
    const later = one(k, 4);
    expect(calls).toEqual([[1], [2, 3], [4]]);
    await next();
    expect(await later).toBe(40);
  });

  test("a call carries so many items and so much weight at most, and a single item of any weight", async () => {
    const { calls, call, next } = held();
    const one = gather(call, { most: 3, weight: { of: (n) => n, most: 10 } });
    const k = kernel();
    const results = [1, 2, 3, 4, 9, 50, 5, 5].map((n) => one(k, n));
    for (let n = 0; n < 5; n++) await next();
    expect(calls).toEqual([[1], [2, 3, 4], [9], [50], [5, 5]]);
    await Promise.all(results);
  });

  test("who waits for a call that takes long does so for a moment only, and who comes meanwhile goes along", async () => {
    vi.useFakeTimers();
    const { calls, call } = held();
    const one = gather(call);
    const k = kernel();
    for (const n of [1, 2, 3]) void one(k, n);
    await vi.advanceTimersByTimeAsync(49);
    expect(calls).toEqual([[1]]);
    await vi.advanceTimersByTimeAsync(1);
    expect(calls).toEqual([[1], [2, 3]]);
    // However many get stuck, there is an end to it: the rest wait.
    for (let n = 4; n < 20; n++) {
      void one(k, n);
      await vi.advanceTimersByTimeAsync(50);
    }
    expect(calls).toHaveLength(8);
    expect(calls.flat()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test("kernels do not share calls", async () => {
    const { calls, call, next } = held();
    const one = gather(call);
    const results = [one(kernel(), 1), one(kernel(), 2)];
    expect(calls).toEqual([[1], [2]]);
    await next();
    await next();
    await Promise.all(results);
  });
});

test("an item that a call fails for fails alone: the others of its call are tried again, one by one", async () => {
  const calls: number[][] = [];
  const one = gather(async (_, items: readonly number[]) => {
    calls.push([...items]);
    await Promise.resolve();
    if (items.includes(3)) throw new Error("three");
    return items.map((n) => n * 10);
  });
  const k = kernel();
  const results = await Promise.allSettled([1, 2, 3, 4].map((n) => one(k, n)));
  expect(results.map((r) => (r.status === "fulfilled" ? r.value : (r.reason as Error).message))).toEqual([
    10,
    20,
    "three",
    40,
  ]);
  expect(calls).toEqual([[1], [2, 3, 4], [2], [3], [4]]);
});

test("a call that does not answer for each item fails, instead of giving one the result of another", async () => {
  const one = gather((_, items: readonly number[]) => Promise.resolve(items.slice(1)));
  await expect(one(kernel(), 1)).rejects.toThrow("0 results for 1 items");
});
