import type { Ctx } from "../kernel/context.ts";
import { ACTIVE_STATUS, type ENROLLMENT_STATUS } from "./schemas.ts";

/** What became of a campaign's people and messages, from the counters: as cheap for a million as for ten. */

export const OUTCOMES = [
  "sent",
  "delivered",
  "opened",
  "clicked",
  "replied",
  "bounced",
  "unsubscribed",
  "complained",
  "failed",
  "unknown",
  "queued",
] as const;
const METRICS = ["enrollments", ...OUTCOMES.map((outcome) => `step_${outcome}`)];
export type Outcomes = Record<(typeof OUTCOMES)[number], number>;

export type StepCounts = Outcomes & { step_id: string | null };

export type CampaignCounts = {
  people: Partial<Record<(typeof ENROLLMENT_STATUS)[number], number>>;
  enrolled: number;
  /** Still on their way. */
  pending: number;
  /** One per step that has messages, removed steps included. */
  steps: StepCounts[];
  messages: Outcomes;
};

export const noOutcomes = (): Outcomes => Object.fromEntries(OUTCOMES.map((k) => [k, 0])) as Outcomes;

export function addOutcomes(to: Outcomes, more: Outcomes): void {
  for (const key of OUTCOMES) to[key] += more[key];
}

/** Counts of these campaigns; one that nothing happened in has zeros. */
export async function campaignCounts(ctx: Ctx, ids: readonly string[]): Promise<Map<string, CampaignCounts>> {
  const all = new Map<string, CampaignCounts>(
    ids.map((id) => [id, { people: {}, enrolled: 0, pending: 0, steps: [], messages: noOutcomes() }]),
  );
  const rows = await ctx.db<{ metric: string; scope_id: string; bucket: string; n: number }[]>`
    select metric, scope_id, bucket, n from kernel.counts(${METRICS}::text[], 'campaign', ${[...ids]}::uuid[])`;
  const steps = new Map<string, StepCounts>();
  for (const { metric, scope_id, bucket, n } of rows) {
    const counts = all.get(scope_id)!;
    if (metric === "enrollments") {
      const status = bucket as (typeof ENROLLMENT_STATUS)[number];
      counts.people[status] = n;
      if (status !== "left_out") counts.enrolled += n;
      if ((ACTIVE_STATUS as readonly string[]).includes(status)) counts.pending += n;
      continue;
    }
    const outcome = metric.slice("step_".length) as keyof Outcomes;
    const name = `${scope_id}/${bucket}`;
    let of = steps.get(name);
    if (!of) {
      of = { ...noOutcomes(), step_id: bucket === "" ? null : bucket };
      steps.set(name, of);
      counts.steps.push(of);
    }
    of[outcome] += n;
    counts.messages[outcome] += n;
  }
  return all;
}
