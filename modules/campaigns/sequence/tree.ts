import { z } from "zod";
import type { Ctx } from "../../kernel/context.ts";
import type { FieldError } from "../../kernel/errors.ts";
import type { AnyStep, StepEnv } from "../../kernel/step.ts";
import { uuid7 } from "../../kernel/database/ids.ts";

/**
 * What an author writes is a list of steps, of which some have branches with lists of their own; what people follow is a graph. After a
 * branch's last step people go on behind the step that branched.
 */

export const MAX_STEPS = 50;
const MAX_DEPTH = 5;

/** A step as an author sends it: its kind's own fields stand beside `kind`. */
export type StepInput = {
  id?: string | undefined;
  kind: string;
  branches?: Record<string, StepInput[]> | undefined;
  [field: string]: unknown;
};

export const StepInput: z.ZodType<StepInput> = z.lazy(() =>
  z.looseObject({
    id: z
      .uuid()
      .optional()
      .describe(
        "Id of an existing step: it keeps its statistics when it is moved or changed. Left out for a new step.",
      ),
    kind: z
      .string()
      .max(40)
      .default("email")
      .describe("One of the step kinds of GET /catalogue; the fields of the kind are given at the same level."),
    branches: z
      .record(z.string().max(40), z.array(StepInput))
      .optional()
      .describe(
        "The steps of each branch, for kinds with branches. At the end of a branch, an enrollment continues with the step after this one.",
      ),
  }),
) as unknown as z.ZodType<StepInput>;

const countSteps = (steps: readonly StepInput[]): number =>
  steps.reduce((sum, step) => sum + 1 + Object.values(step.branches ?? {}).reduce((n, b) => n + countSteps(b), 0), 0);

/** Counted before any step is looked at: reading a message takes milliseconds, and a body has room for tens of thousands. */
export const StepsInput = z
  .array(StepInput)
  .max(MAX_STEPS)
  .refine((steps) => countSteps(steps) <= MAX_STEPS, `A sequence has at most ${MAX_STEPS} steps, branches included.`);

/** A step that fits its kind, with the place where it stood. */
export type ParsedStep = {
  id: string | undefined;
  def: AnyStep;
  config: Record<string, unknown>;
  branches: Map<string, ParsedStep[]>;
  pointer: string;
};

/** All steps of a tree, parents before their branches. */
export function* walk(steps: readonly ParsedStep[]): Generator<ParsedStep> {
  for (const step of steps) {
    yield step;
    for (const branch of step.branches.values()) yield* walk(branch);
  }
}

/** Reads an author's steps by their kinds. Every fault of their form is listed with its place; `contentFaults` has those of their texts. */
export function parseSteps(
  registry: Pick<Ctx["registry"], "steps">,
  input: readonly StepInput[],
): { steps: ParsedStep[]; errors: FieldError[] } {
  const errors: FieldError[] = [];
  const ids = new Map<string, string>();
  const read = (list: readonly StepInput[], pointer: string, depth: number): ParsedStep[] =>
    list.flatMap((step, i) => {
      const at = `${pointer}/${i}`;
      const { id, kind, branches, ...fields } = step;
      const def = registry.steps.get(kind);
      if (!def) {
        errors.push({
          pointer: `${at}/kind`,
          detail: `is not a step kind; use one of ${[...registry.steps.keys()].join(", ")}`,
        });
        return [];
      }
      if (id !== undefined) {
        if (ids.has(id)) errors.push({ pointer: `${at}/id`, detail: "This step is given twice." });
        ids.set(id, at);
      }
      // What the API tells of a step besides its configuration may come back.
      delete fields.position;
      const config = def.config.strict().safeParse(fields);
      if (!config.success) {
        for (const issue of config.error.issues)
          errors.push({
            pointer: [at, ...issue.path.map(String)].join("/"),
            detail:
              issue.code === "unrecognized_keys"
                ? `A step of kind ${kind} has no field ${issue.keys.join(", ").slice(0, 500)}.`
                : issue.message,
          });
        return [];
      }
      const ways = def.branches(config.data as never);
      const parsed = new Map<string, ParsedStep[]>();
      for (const [branch, steps] of Object.entries(branches ?? {})) {
        if (!ways.includes(branch) || branch === "next")
          errors.push({
            pointer: `${at}/branches/${branch}`,
            detail: `A step of kind ${kind} has no branch ${branch}${ways.length > 1 ? `; its branches are ${ways.join(", ")}` : ""}.`,
          });
        else if (depth >= MAX_DEPTH)
          errors.push({
            pointer: `${at}/branches`,
            detail: `Branches can be nested at most ${MAX_DEPTH} levels deep.`,
          });
        else parsed.set(branch, read(steps, `${at}/branches/${branch}`, depth + 1));
      }
      return [{ id, def, config: config.data as Record<string, unknown>, branches: parsed, pointer: at }];
    });
  return { steps: read(input, "/steps", 1), errors };
}

/** The faults of each step's content that forbid saving, step by step: reading a text takes time, so the caller takes turns. */
export function* contentFaults(
  steps: readonly ParsedStep[],
  env: Pick<StepEnv, "customKeys">,
): Generator<readonly FieldError[]> {
  const before = messagesBefore(steps, (step) => ({
    channel: channelOf(step.def),
    ways: step.def.branches(step.config as never).map((way) => step.branches.get(way) ?? []),
  }));
  for (const step of walk(steps)) {
    const faults = step.def.check?.(step.config as never, { ...env, first: before.get(step) === "none" }) ?? [];
    yield faults.flatMap(({ level, field, detail }) =>
      level === "error" ? [{ pointer: `${step.pointer}/${field}`, detail }] : [],
    );
  }
}

/** The channel a kind of step sends on; null where it sends nothing. */
export const channelOf = (def: AnyStep): string | null => def.action?.split(".")[0] ?? null;

/**
 * Of each step that sends: whether a message on its channel comes before it on none, some or all of the ways to it. Steps behind the end
 * of every way are not in the answer: nobody comes there.
 */
export function messagesBefore<S>(
  steps: readonly S[],
  read: (step: S) => { channel: string | null; ways: readonly (readonly S[])[] },
): Map<S, "none" | "some" | "all"> {
  const found = new Map<S, "none" | "some" | "all">();
  type Sent = { some: Set<string>; all: Set<string> };
  /** What was sent after the list; null where nobody comes out of it. */
  const follow = (list: readonly S[], sent: Sent): Sent | null => {
    for (const step of list) {
      const { channel, ways } = read(step);
      if (channel !== null) {
        found.set(step, sent.all.has(channel) ? "all" : sent.some.has(channel) ? "some" : "none");
        sent = { some: new Set([...sent.some, channel]), all: new Set([...sent.all, channel]) };
      }
      const out = ways.flatMap((way) => follow(way, sent) ?? []);
      if (out.length === 0) return null;
      sent = {
        some: new Set(out.flatMap((o) => [...o.some])),
        all: new Set([...out[0]!.all].filter((ch) => out.every((o) => o.all.has(ch)))),
      };
    }
    return sent;
  };
  follow(steps, { some: new Set(), all: new Set() });
  return found;
}

export type GraphNode = {
  id: string;
  step_id: string;
  kind: string;
  action: string | null;
  config: Record<string, unknown>;
  parent_id: string | null;
  branch: string | null;
  position: number;
};
export type GraphEdge = { from_node: string; branch: string; to_node: string };

/** The graph of a tree. Every step gets a node of its own; the steps without an id are new. */
export function toGraph(steps: readonly ParsedStep[]): {
  nodes: GraphNode[];
  edges: GraphEdge[];
  entry: string | null;
} {
  const nodes: GraphNode[] = [];
  const edges: GraphEdge[] = [];
  // From the last step back, so that each knows what follows it. Returns the list's first node.
  const lower = (
    list: readonly ParsedStep[],
    after: string | null,
    parent: string | null,
    branch: string | null,
  ): string | null => {
    let next = after;
    for (let i = list.length - 1; i >= 0; i--) {
      const step = list[i]!;
      const id = uuid7();
      nodes.push({
        id,
        step_id: step.id ?? uuid7(),
        kind: step.def.kind,
        action: step.def.action,
        config: step.config,
        parent_id: parent,
        branch,
        position: i + 1,
      });
      for (const way of step.def.branches(step.config as never)) {
        const inner = step.branches.get(way);
        const to = inner && inner.length > 0 ? lower(inner, next, id, way) : next;
        if (to) edges.push({ from_node: id, branch: way, to_node: to });
      }
      next = id;
    }
    return next;
  };
  const entry = lower(steps, null, null, null);
  return { nodes, edges, entry };
}

/** A step as the API tells of it. */
export type StepOutput = {
  id: string;
  kind: string;
  /** The step's position in the whole sequence, branches included, from 1. */
  position: number;
  branches?: Record<string, StepOutput[]>;
  [field: string]: unknown;
};

/** The steps of one of a step's ways; a way may have any name, also one that every object has. */
export const branchOf = (step: StepOutput, way: string): StepOutput[] =>
  step.branches && Object.hasOwn(step.branches, way) ? step.branches[way]! : [];

/** The author's tree of a version's nodes, branches in the order of their kind's ways. */
export function toTree(nodes: readonly GraphNode[], registry: Pick<Ctx["registry"], "steps">): StepOutput[] {
  const children = new Map<string, GraphNode[]>();
  for (const node of nodes) {
    const key = `${node.parent_id ?? ""}/${node.branch ?? ""}`;
    children.set(key, [...(children.get(key) ?? []), node]);
  }
  let position = 0;
  const below = (parent: string | null, branch: string | null): StepOutput[] =>
    (children.get(`${parent ?? ""}/${branch ?? ""}`) ?? [])
      .sort((a, b) => a.position - b.position)
      .map((node) => {
        const step: StepOutput = { id: node.step_id, kind: node.kind, position: ++position, ...node.config };
        const filled = new Set(nodes.filter((n) => n.parent_id === node.id).map((n) => n.branch!));
        // Those of a kind that is switched off come in any order.
        const ways = registry.steps.get(node.kind)?.branches(node.config as never) ?? [];
        const names = [...ways.filter((way) => filled.has(way)), ...[...filled].filter((way) => !ways.includes(way))];
        if (names.length > 0) step.branches = Object.fromEntries(names.map((name) => [name, below(node.id, name)]));
        return step;
      });
  return below(null, null);
}
