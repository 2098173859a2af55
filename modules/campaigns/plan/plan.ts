import { z } from "zod";
import type { Ctx } from "../../kernel/context.ts";
import { toAppError } from "../../kernel/errors.ts";
import { uuid7 } from "../../kernel/database/ids.ts";
import { type AnyConsumer, defineConsumer, done } from "../../kernel/queues/consumer.ts";
import type { AnyStep, StepResult, StepRun } from "../../kernel/step.ts";
import { nodesOf } from "../sequence/nodes.ts";
import { type Due, takeDue } from "./take.ts";
import { type Change, writeChanges } from "./write.ts";

type Wake = { tenant_id: string };

/**
 * Moves due people through their sequences, each to where they have to wait: for a time, a message, a person. A person is locked, what
 * their steps did is written and they are moved in one transaction, and the ledger's keys (enrollment, step, run; step run of a message)
 * stand behind that: run twice or side by side, nothing happens twice.
 */
export const campaignsPlan: AnyConsumer<Wake> = defineConsumer<Wake>({
  queue: "campaigns_plan",
  payload: z.object({ tenant_id: z.uuid() }),
  visibilitySeconds: 120, // far above one batch
  maxAttempts: 10,
  batch: 1, // in turn: a tenant waits for a batch of the others, not for all they have
  concurrency: 2,
  async handle(ctx) {
    // Wake messages of one tenant carry nothing: one round serves them all. Before the look at who is due: whom a dropped one announced
    // is then seen.
    await ctx.db`select kernel.drop_wakes(${campaignsPlan.queue})`;
    await planBatch(ctx);
    return done();
  },
});

type Node = {
  id: string;
  step_id: string;
  def: AnyStep | undefined;
  kind: string;
  action: string | null;
  config: Record<string, unknown>;
};
/** A person on their way through this batch. */
type Traveller = {
  due: Due;
  node: Node | null;
  entered_at: Date;
  change: Change;
  /** What came of the steps they had in this run, by id: none happens twice. */
  had: Map<string, string | null>;
  /** Whether a message left or a task was given in this run. */
  reached: boolean;
  moved: boolean;
};

async function planBatch(ctx: Ctx): Promise<void> {
  const { due, more } = await takeDue(ctx);
  if (due.length === 0) return;
  const graph = await loadGraph(ctx, due);
  const had = await stepsHad(ctx, due);
  const people = due.map((row): Traveller => {
    const nodeId = row.node_id ?? row.entry_node;
    return {
      due: row,
      node: (nodeId && graph.nodes.get(nodeId)) || null,
      entered_at: row.node_id ? row.entered_at : ctx.now,
      had: had.get(row.id)?.steps ?? new Map(),
      reached: had.get(row.id)?.reached ?? false,
      // Who stood nowhere comes to the first step now.
      moved: row.node_id === null,
      change: { id: row.id, version_id: row.version_id ?? row.current_version, runs: [], decisions: [], tasks: [] },
    };
  });

  // Each round everybody takes one step; a step that sends nothing leads straight to the next one. Sequences have no circles.
  let active = people;
  while (active.length > 0) {
    const next: Traveller[] = [];
    for (const group of byKind(active)) {
      if (group[0]!.node === null) {
        for (const t of group) finish(t);
        continue;
      }
      const def = group[0]!.node.def;
      const [again, fresh] = [
        group.filter((t) => t.had.has(t.node!.step_id)),
        group.filter((t) => !t.had.has(t.node!.step_id)),
      ];
      // After steps were moved, one that this person had may lie ahead again.
      for (const t of again) {
        t.change.decisions.push({
          source: "plan",
          verdict: "skipped",
          reason: "had_already",
          detail: { step_id: t.node!.step_id },
        });
        go(t, wayBehind(t.node!, t.had.get(t.node!.step_id)!), ctx.now, graph, next);
      }
      if (fresh.length === 0) continue;
      if (!def) {
        for (const t of fresh) stay(t, { status: "blocked", reason: "step_removed", reason_detail: t.node!.kind });
        continue;
      }
      const runs = fresh.map((t): StepRun => ({
        enrollment_id: t.due.id,
        campaign_id: t.due.campaign_id,
        contact_id: t.due.contact_id,
        step_id: t.node!.step_id,
        node_id: t.node!.id,
        step_run_id: uuid7(),
        config: t.node!.config,
        run: t.due.run,
        entered_at: t.entered_at,
        time_zone: t.due.settings.time_zone,
      }));
      const results = await ask(ctx, def, runs);
      fresh.forEach((t, i) => apply(t, runs[i]!, results[i]!, ctx.now, graph, next));
    }
    active = next;
  }

  const written = await writeChanges(
    ctx,
    people.flatMap((t) => (t.change.to ? [t.change] : [])),
  );
  // Who is held for want of room moves nobody: asked again at the next wake, not at once.
  if (more && written > 0) await ctx.enqueue(campaignsPlan, { tenant_id: ctx.tenantId });
}

/**
 * What their step wants for each. Where it throws, those at one step of a sequence are asked by themselves, and then one by one: who
 * makes it throw is blocked, with the reason, and nobody else.
 */
async function ask(ctx: Ctx, def: AnyStep, runs: readonly StepRun[]): Promise<StepResult[]> {
  try {
    return (await ctx.db.savepoint((db) => def.plan(runs, { ...ctx, db }))) as StepResult[];
  } catch (error) {
    if (isPassing(error)) throw error;
    if (runs.length === 1) {
      ctx.log.error("a step could not be planned", { kind: def.kind, enrollment: runs[0]!.enrollment_id, error });
      return [{ do: "block", reason: "step_fault", detail: def.kind }];
    }
    const nodes = Map.groupBy(runs, (r) => r.node_id);
    const found = new Map<string, StepResult>();
    for (const part of nodes.size > 1 ? nodes.values() : runs.map((r) => [r]))
      for (const [i, result] of (await ask(ctx, def, part)).entries()) found.set(part[i]!.enrollment_id, result);
    return runs.map((r) => found.get(r.enrollment_id)!);
  }
}

/** The database is away, or two waited for each other: the whole batch is tried again. A statement that took too long is the step's own. */
const isPassing = (error: unknown): boolean => {
  const sqlstate = String((error as { code?: unknown }).code);
  return sqlstate !== "57014" && (toAppError(error).code === "unavailable" || sqlstate.startsWith("40"));
};

const byKind = (people: Traveller[]): Traveller[][] => [...Map.groupBy(people, (t) => t.node?.kind ?? "").values()];

type Graph = { nodes: Map<string, Node>; edges: Map<string, string> };

/** The nodes of every version that somebody in the batch follows, and what comes after them. */
async function loadGraph(ctx: Ctx, due: readonly Due[]): Promise<Graph> {
  const versions = [...new Set(due.flatMap((d) => [d.version_id ?? d.current_version]).filter((v) => v !== null))];
  const nodes = await nodesOf(ctx, versions);
  const edges = await ctx.db<{ from_node: string; branch: string; to_node: string }[]>`
    select from_node, branch, to_node from public.sequence_edges
    where tenant_id = (select kernel.tenant()) and version_id = any(${versions}::uuid[])`;
  return {
    nodes: new Map(nodes.map((n) => [n.id, { ...n, def: ctx.registry.steps.get(n.kind) }])),
    edges: new Map(edges.map((e) => [`${e.from_node}/${e.branch}`, e.to_node])),
  };
}

/** The way out of a step that a person had before: by what came of it then, or else by the step's last way. */
const wayBehind = (node: Node, outcome: string | null): string => {
  const ways = node.def?.branches(node.config as never) ?? ["next"];
  return outcome !== null && ways.includes(outcome) ? outcome : (ways.at(-1) ?? "next");
};

type Had = { steps: Map<string, string | null>; reached: boolean };

async function stepsHad(ctx: Ctx, due: readonly Due[]): Promise<Map<string, Had>> {
  const rows = await ctx.db<{ enrollment_id: string; steps: Record<string, string | null>; reached: boolean }[]>`
    select r.enrollment_id, jsonb_object_agg(r.step_id, r.outcome) as steps, bool_or(r.state in ('open', 'done') and (n.action is not null or n.kind = 'task')) as reached
    from public.step_runs r
    join public.enrollments e on e.tenant_id = (select kernel.tenant()) and e.id = r.enrollment_id and e.run = r.visit
    left join public.sequence_nodes n on n.tenant_id = (select kernel.tenant()) and n.id = r.node_id
    where r.tenant_id = (select kernel.tenant()) and r.enrollment_id = any(${due.map((d) => d.id)}::uuid[]) group by 1`;
  return new Map(
    rows.map((r) => [r.enrollment_id, { steps: new Map(Object.entries(r.steps)), reached: r.reached ?? false }]),
  );
}

/** What the step wanted, done. */
function apply(t: Traveller, run: StepRun, result: StepResult, now: Date, graph: Graph, next: Traveller[]): void {
  const record = (
    state: Change["runs"][number]["state"],
    outcome: string | null,
    output: Record<string, unknown> = {},
  ) =>
    t.change.runs.push({
      id: run.step_run_id,
      node_id: run.node_id,
      step_id: run.step_id,
      visit: run.run,
      state,
      outcome,
      output,
    });
  switch (result.do) {
    case "next":
      record("done", result.outcome ?? null, result.output);
      if (result.branch && result.branch !== "next")
        t.change.decisions.push({
          source: "plan",
          verdict: "branched",
          reason: "condition",
          detail: { step_id: run.step_id, branch: result.branch },
        });
      return go(t, result.branch ?? "next", now, graph, next);
    case "skip":
      record("skipped", result.reason);
      t.change.decisions.push({
        source: "plan",
        verdict: "skipped",
        reason: result.reason,
        detail: { step_id: run.step_id },
      });
      return go(t, "next", now, graph, next, result.reason);
    case "wait":
      return stay(t, { status: "waiting", next_at: result.until, reason: null });
    case "hold":
      // Nothing changes but where they stand: due, until their sender has room.
      return t.moved
        ? stay(t, { status: "waiting", next_at: now, reason: null, sender_id: result.sender_id })
        : undefined;
    case "block":
      t.change.decisions.push({
        source: "plan",
        verdict: "blocked",
        reason: result.reason,
        detail: { step_id: run.step_id, detail: result.detail },
      });
      return stay(t, { status: "blocked", reason: result.reason, reason_detail: result.detail });
    case "message":
      record("open", null, { message_id: result.message_id });
      return stay(t, {
        status: "sending",
        reason: null,
        sender_id: result.sender_id,
        senders: { [result.channel]: result.sender_id },
      });
    case "task":
      record("open", null);
      t.change.tasks.push({
        step_run_id: run.step_run_id,
        contact_id: t.due.contact_id,
        campaign_id: t.due.campaign_id,
        title: result.title,
        note: result.note,
        due_at: result.due_at,
        assignee_id: result.assignee_id,
      });
      return stay(t, { status: "task", reason: null });
    case "end":
      record("done", result.reason ?? "end");
      t.node = null;
      return stay(t, { status: result.status, reason: result.reason });
  }
}

type Place = Omit<NonNullable<Change["to"]>, "node_id" | "action" | "entered_at" | "next_at"> & { next_at?: Date };

function stay(t: Traveller, to: Place): void {
  t.change.to = {
    node_id: t.node?.id ?? t.due.node_id,
    action: t.node?.action ?? null,
    entered_at: t.entered_at,
    next_at: null,
    ...to,
  };
}

/** To the next node by this way out, or to the end. `skipped` is the reason when the step before did not happen. */
function go(t: Traveller, branch: string, now: Date, graph: Graph, next: Traveller[], skipped?: string): void {
  const to = graph.edges.get(`${t.node!.id}/${branch}`);
  const node = to ? graph.nodes.get(to) : undefined;
  t.had.set(t.node!.step_id, null);
  if (!node) return finish(t, skipped);
  // Time counts from when they were due, not from when somebody looked: a planner that is late shifts nobody's dates.
  t.entered_at = t.moved ? t.entered_at : t.due.node_id ? t.due.next_at : now;
  t.node = node;
  t.moved = true;
  next.push(t);
}

/** The sequence is over. One whose last step could not happen and that reached the person by no other failed, and says why. */
function finish(t: Traveller, skipped?: string): void {
  stay(t, skipped && !t.reached ? { status: "failed", reason: skipped } : { status: "finished", reason: null });
}
