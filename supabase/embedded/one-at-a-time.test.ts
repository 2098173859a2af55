import { expect, test } from "vitest";
import { oneAtATime } from "./one-at-a-time.ts";

test("a thousand calls while it runs are one run more, and the last one is not missed", async () => {
  let runs = 0;
  let together = 0;
  let most = 0;
  const releases: (() => void)[] = [];
  const wake = oneAtATime(async () => {
    runs++;
    most = Math.max(most, ++together);
    await new Promise<void>((done) => releases.push(done));
    together--;
  });
  const first = wake();
  for (let i = 0; i < 1000; i++) void wake();
  releases.shift()!();
  await Promise.resolve().then(() => {});
  while (releases.length === 0) await new Promise((turn) => setImmediate(turn));
  releases.shift()!();
  await first;
  expect({ runs, most }).toEqual({ runs: 2, most: 1 });
  const later = wake();
  releases.shift()!();
  await later;
  expect(runs).toBe(3);
});
