import type { Step } from "../api/types.ts";
import type { Catalogue } from "../catalogue.ts";
import { defaultsOf } from "../forms.ts";
import { humanise } from "../format.ts";
import { waitText, type WaitConfig } from "./wait.ts";

/** A sequence as it is read and written: a list of steps, some of which have lists of their own for each way out. */

/** A step while it is written; `key` keeps its place in the page before it has an id. */
export type DraftStep = {
  key: string;
  id?: string;
  kind: string;
  config: Record<string, unknown>;
  branches: Record<string, DraftStep[]>;
};
/** A step as the API takes it: the fields of its kind stand beside `kind`. */
export type WrittenStep = {
  id?: string;
  kind: string;
  branches?: Record<string, WrittenStep[]>;
  [field: string]: unknown;
};

/** A stored sequence as drafts. Steps that are being written already keep their keys, so that nothing on the page is made anew. */
export function toDrafts(steps: readonly Step[], before: readonly DraftStep[] = []): DraftStep[] {
  const keys = new Map(flat(before).flatMap((s) => (s.id ? [[s.id, s.key] as const] : [])));
  const read = (list: readonly Step[]): DraftStep[] =>
    list.map(({ id, kind, position: _, branches, ...config }) => ({
      key: keys.get(id) ?? crypto.randomUUID(),
      id,
      kind,
      config: structuredClone(config),
      branches: Object.fromEntries(Object.entries(branches ?? {}).map(([name, inner]) => [name, read(inner)])),
    }));
  return read(steps);
}

/** Drafts as the API takes them; empty branches, and those of outcomes that were taken out, are left away. */
export const toWritten = (steps: readonly DraftStep[]): WrittenStep[] =>
  steps.map((step) => {
    const branches = Object.fromEntries(
      waysOf(step).flatMap((way) => (step.branches[way]?.length ? [[way, toWritten(step.branches[way])]] : [])),
    );
    return {
      ...step.config,
      ...(step.id ? { id: step.id } : {}),
      kind: step.kind,
      ...(Object.keys(branches).length ? { branches } : {}),
    };
  });

/** Ids that the server gave to new steps, taken over in place. The two trees have the same shape. */
export function adoptIds(steps: DraftStep[], stored: readonly Step[]): void {
  steps.forEach((step, i) => {
    const same = stored[i];
    if (same?.kind !== step.kind) return;
    step.id = same.id;
    for (const [way, inner] of Object.entries(step.branches)) adoptIds(inner, same.branches?.[way] ?? []);
  });
}

/** The ways out that can have steps of their own; most kinds have none. */
export function waysOf({ kind, config }: { kind: string; config: Record<string, unknown> }): string[] {
  if (kind === "condition") return ["yes", "no"];
  if (kind === "task") return [...((config["outcomes"] as string[] | undefined) ?? []), "skipped"];
  return [];
}

/** A new step with what its kind starts from. */
export function newStep(kind: string, catalogue: Catalogue): DraftStep {
  const config = defaultsOf(catalogue.form(`step.${kind}`));
  if (kind === "wait") config["days"] = 3;
  if (kind === "condition") config["rules"] = [{ if: "opened", step_id: null, within_days: null }];
  return { key: crypto.randomUUID(), kind, config, branches: {} };
}

/** Every step in reading order. */
export const flat = (steps: readonly DraftStep[]): DraftStep[] =>
  steps.flatMap((step) => [step, ...waysOf(step).flatMap((way) => flat(step.branches[way] ?? []))]);

export type Outlined = { step: Step; depth: number; branch: string | null };
/** A stored sequence as lines: every step with how deep it stands and, where it begins a branch, whose. */
export const outline = (steps: readonly Step[], depth = 0, branch: string | null = null): Outlined[] =>
  steps.flatMap((step, i) => [
    { step, depth, branch: i === 0 ? branch : null },
    ...Object.entries(step.branches ?? {}).flatMap(([name, inner]) => outline(inner, depth + 1, name)),
  ]);

type Rule = { if: string; channel?: string };

/** What a step does in a few words, for lists. */
export function summaryOf(
  { kind, ...fields }: { kind: string; [field: string]: unknown },
  catalogue: Catalogue,
): string {
  const text = (name: string) => (typeof fields[name] === "string" ? (fields[name] as string).trim() : "");
  if (kind === "wait") return waitText(fields as WaitConfig);
  if (kind === "condition") {
    const rules = (fields["rules"] as Rule[] | undefined) ?? [];
    const words = rules.map((r) => {
      const label = catalogue.entry("condition.rule", r.if).label;
      return r.channel ? `${label} ${catalogue.entry("channel", r.channel).label}` : label;
    });
    return words.join(fields["match"] === "any" ? " or " : " and ") || "No rule yet";
  }
  if (kind === "end") return text("goal") ? `Goal: ${text("goal")}` : "The sequence ends";
  // A message that may go without a subject then answers in the thread it began.
  const form = catalogue.form(`step.${kind}`);
  if (form?.properties?.["subject"] && !form.required?.includes("subject"))
    return text("subject") || "In the same thread";
  return text("title") || text("subject") || text("body").split("\n", 1)[0] || humanise(kind);
}
