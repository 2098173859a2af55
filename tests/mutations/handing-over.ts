import { of, type Mutation } from "./mutation.ts";

/** Between the claim and the call: what a worker holds in memory. */

const LEDGER = "tests/faults/ledger.test.ts";
const PIPELINE = "modules/messaging/pipeline.test.ts";

export const handingOver: readonly Mutation[] = of("sending", [
  {
    promise: "A provider is called with nothing whose attempt is not written",
    file: "modules/messaging/pipeline.ts",
    find: "(may.has(one.message.id) ? this.#ready : this.#back).push(one)",
    replace: "this.#ready.push(one)",
    test: PIPELINE,
    name: "a lease that runs out while the message is still held in memory: whoever has it then sends it, once",
  },
  {
    promise: "What a lost worker had only claimed is due again",
    file: "modules/messaging/sql/reconcile.sql",
    find: "where m.id = any(lapsed) and m.status = 'sending' and exists (select from public.attempts a\n      where a.tenant_id = m.tenant_id and a.message_id = m.id and a.number = m.attempts)",
    replace: "where m.id = any(lapsed) and m.status = 'sending'",
    test: LEDGER,
    name: "a lost worker's claims go back with their places, unless they were handed over: those are in doubt",
  },
  {
    promise: "Only the newest claim is handed over",
    file: "modules/messaging/sql/claim.sql",
    find: "on c.id = h.id and c.claim = h.attempts",
    replace: "on c.id = h.id",
    test: LEDGER,
    name: "a lost worker's claims go back with their places, unless they were handed over: those are in doubt",
  },
  {
    promise: "… once, and while its lease lasts long enough",
    file: "modules/messaging/sql/claim.sql",
    find: "      and m.lease_until > pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => lease_left)\n",
    replace: "",
    test: LEDGER,
    name: "a message is handed over once, while its lease lasts, on a connection and by a sender that are in use",
  },
  {
    promise: "A claim is taken back only by the worker that has it",
    file: "modules/messaging/sql/claim.sql",
    find: "\n      and m.attempts = claims[pg_catalog.array_position(ids, m.id)]",
    replace: "",
    test: LEDGER,
    name: "a lost worker's claims go back with their places, unless they were handed over: those are in doubt",
  },
  {
    promise: "… and not while a hand-over of it is under way",
    file: "modules/messaging/sql/claim.sql",
    find: "  perform from public.messages m where m.tenant_id = (select kernel.tenant()) and m.id = any(ids) order by m.id for update;\n",
    replace: "",
    test: LEDGER,
    name: "a hand-over under way is waited for by whoever takes the claim back",
  },
  {
    promise: "A worker that stops puts back what it did not begin",
    file: "modules/messaging/pipeline.ts",
    find: "this.#putBack([...this.#back, ...this.#held, ...this.#ready])",
    replace: "this.#putBack([])",
    test: PIPELINE,
    name: "a worker that stops puts back what no call was made with: due at once, without an attempt and without a place",
  },
  {
    promise: "A refused account is called no more",
    file: "modules/messaging/pipeline.ts",
    find: 'if (outcomes.some((o) => o.outcome === "broken")) this.#close();',
    replace: "",
    test: PIPELINE,
    name: "an answer that ends all calls (%s) lets no other begin, and what was announced goes back",
  },
  {
    promise: "… and one that is called too fast waits as long as it says",
    file: "modules/messaging/pipeline.ts",
    find: "    if (performance.now() < this.#blockedUntil) this.#back.push(...this.#ready.splice(0));\n",
    replace: "",
    test: PIPELINE,
    name: "an answer that ends all calls (%s) lets no other begin, and what was announced goes back",
  },
  {
    promise: "An outcome that cannot be stored leaves no other in doubt",
    file: "modules/messaging/pipeline.ts",
    find: "if (!isUnstorable(error)) throw error;",
    replace: "throw error;",
    test: PIPELINE,
    name: "an outcome that cannot be stored leaves none of those beside it in doubt, and is kept without the provider's words",
  },
  {
    promise: "A pause waits for the planners at work, and for none after them",
    file: "modules/campaigns/control.ts",
    find: "  await ctx.db`select private.hold_campaign(${id})`;\n",
    replace: "",
    test: "modules/campaigns/locks.test.ts",
    name: "a pause that waits for a planner comes before the planners after it, however they overlap",
  },
  {
    promise: "A tenant's turn to send ends while others wait",
    file: "modules/messaging/pipeline.ts",
    find: "if (performance.now() >= this.#turn.end) {",
    replace: "if (false as boolean) {",
    test: "modules/messaging/pipeline.test.ts",
    name: "a turn that is brought to its end claims no more: what was claimed leaves, the rest stays due, and more is said to be left",
  },
  {
    promise: "… others, and nobody's own wake",
    file: "modules/kernel/sql/queues.sql",
    find: "where q.vt <= $1 and q.message ->> 'tenant_id' is distinct from $2)",
    replace: "where q.vt <= $1)",
    test: "modules/messaging/pipeline.test.ts",
    name: "others wait where a message of another tenant is there to be read, and not where only one's own is, or a hidden one",
  },
]);
