import { expect, test } from "vitest";
import { modules } from "../boot.ts";
import { createRegistry } from "../kernel/registry.ts";
import { latestStart, leaseSeconds } from "./pipeline.ts";

test("the slowest lawful call ends within the lease, however late it may still begin, with time to write its outcome", () => {
  const senders = createRegistry(modules).providers.flatMap((p) => (p.send ? [p] : []));
  expect(senders.length).toBeGreaterThan(2);
  for (const { id, send } of senders) {
    const lease = leaseSeconds(send!);
    expect(lease - latestStart(lease) - send!.call_seconds, id).toBeGreaterThanOrEqual(20);
    // A worker that dies must not leave its messages in doubt for hours.
    expect(lease, id).toBeLessThanOrEqual(600);
  }
});
