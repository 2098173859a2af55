import { type Mutation, of } from "./mutation.ts";

const DECIDING = "modules/approvals/approvals.test.ts";
const POLICY = "modules/approvals/policy.test.ts";

/** A person's yes: what waits for it, and that it is given once. */
export const approvals: Mutation[] = of("sending", [
  {
    promise: "What a rule holds is written as waiting, not as due",
    file: "modules/messaging/queue.ts",
    find: "for (const hold of ctx.registry.holds) for (const id of await hold(ctx, messages)) waiting.add(id);",
    replace: "for (const hold of ctx.registry.holds) await hold(ctx, messages);",
    test: DECIDING,
    name: "never leaves before somebody approved it, and then once",
  },
  {
    promise: "Of two people who decide about a message at once, one wins",
    file: "modules/approvals/sql/decide.sql",
    find: "and x.id = any(ids) and x.state = 'pending'\n      order by x.id for update) w\n    where a.tenant_id = (select kernel.tenant()) and a.id = w.id and a.state = 'pending'",
    replace:
      "and x.id = any(ids)\n      order by x.id for update) w\n    where a.tenant_id = (select kernel.tenant()) and a.id = w.id",
    test: DECIDING,
    name: "of two approvers who decide at once one wins, and the other is told who was faster",
  },
  {
    promise: "A delayed message that somebody stopped does not leave by itself",
    file: "modules/approvals/decide.ts",
    find: "update public.approvals a set auto_at = null, expires_at =",
    replace: "update public.approvals a set auto_at = a.auto_at, expires_at =",
    test: DECIDING,
    name: "that somebody stopped wait for a decision",
  },
  {
    promise: "No more leave without a person than the daily cap",
    file: "modules/approvals/sql/hold.sql",
    find: "when f.nth > cap - used then array['daily_cap']",
    replace: "when f.nth > cap then array['daily_cap']",
    test: POLICY,
    name: "no more leave without a person than the daily cap, counted over campaigns",
  },
]);
