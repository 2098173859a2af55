import type { z } from "zod";
import type { Fault, VariableUse } from "./channel.ts";

/**
 * A step is one stateless object: what an author configures, and what becomes of the people who stand at it. People are planned in
 * sets: one call for all that are due at steps of this kind.
 */

/** One enrollment at one step. */
export type StepRun<C = unknown> = {
  enrollment_id: string;
  campaign_id: string;
  contact_id: string;
  step_id: string;
  node_id: string;
  /** The id that this run of the step gets: a message or task names it. */
  step_run_id: string;
  config: C;
  /** Which time the person goes through the sequence. */
  run: number;
  /** When they came to this step: what waits count from. */
  entered_at: Date;
  /** The campaign's IANA time zone. */
  time_zone: string;
};

/** What a step requests for one enrollment. */
export type StepResult =
  /** Go on by this branch (default `next`); `outcome` and `output` are kept with the step run. */
  | { do: "next"; branch?: string; outcome?: string; output?: Record<string, unknown> }
  /** Stay here until then. */
  | { do: "wait"; until: Date }
  /** A message was written; the person goes on when it is settled. */
  | { do: "message"; message_id: string; sender_id: string; channel: string }
  /** Nobody may send it now: stay due. Who waits for a sender's limit is asked again when it has room. */
  | { do: "hold"; sender_id: string | null }
  /** A person has to do something first. */
  | { do: "task"; title: string; note: string; due_at: Date | null; assignee_id: string | null }
  /** It cannot happen for this person (no address); go on without it. */
  | { do: "skip"; reason: string }
  /** A value is missing; a person has to fill it in. */
  | { do: "block"; reason: string; detail: string }
  | { do: "end"; status: "finished" | "stopped"; reason: string | null };

/** What a step's checks may read about the campaign. */
export type StepEnv = {
  customKeys: ReadonlySet<string>;
  /** Whether no message on the step's channel can come before it, whichever way a person takes. */
  first: boolean;
};

/** Something outside a step that its configuration names; `field` is its place in the configuration, as in `rules/0/channel`. */
export type StepReference = { to: "channel" | "segment" | "step" | "member"; id: string; field: string };

/** `X` is the context that planning gets: kept open here, so that the context itself can list the steps. */
export type StepShape<C extends z.ZodObject, X> = {
  /** `email`, `wait`, `condition`: unique in the installation. */
  kind: string;
  label: string;
  /** One sentence for the editor's menu. */
  description: string;
  /** What it sends, such as `email.send`; null for steps that send nothing. */
  action: string | null;
  /** What the author configures. Field metadata (`.meta({ title, widget })`) makes the editor's form. */
  config: C;
  /** The ways out, in order; `["next"]` for most. No way out ends the sequence. */
  branches(config: z.output<C>): readonly string[];
  /** Faults of a configuration that its schema does not see. */
  check?(config: z.output<C>, env: StepEnv): readonly Fault[];
  /** What a configuration names that may not be there: saving refuses it, all steps' in one look-up. */
  references?(config: z.output<C>): readonly StepReference[];
  /** Variables it fills in for each person. */
  uses?(config: z.output<C>, env: StepEnv): readonly VariableUse[];
  /** Outcomes in the order of the runs. Within the planner's transaction: it may write what belongs to the step, such as messages. */
  plan(runs: readonly StepRun<z.output<C>>[], ctx: X): Promise<StepResult[]>;
};

// deno-lint-ignore no-explicit-any
export type AnyStep<X = any> = StepShape<any, X>;
