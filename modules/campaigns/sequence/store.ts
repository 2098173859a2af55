import type { Ctx } from "../../kernel/context.ts";
import { AppError, type FieldError } from "../../kernel/errors.ts";
import { uuid7 } from "../../kernel/database/ids.ts";
import { takeTurns } from "../../kernel/pause.ts";
import { customKeysOf } from "../custom-keys.ts";
import { nodesOf } from "./nodes.ts";
import { strayReferences } from "./references.ts";
import {
  contentFaults,
  type GraphEdge,
  type GraphNode,
  type ParsedStep,
  parseSteps,
  type StepInput,
  toGraph,
  walk,
} from "./tree.ts";

type Campaign = { id: string; status: string; version_id: string | null };

/** Versions of sequences in the database. A version is immutable; only a draft's, which nobody follows, is replaced. */

/** Whether two graphs say the same: their steps, configurations and places. */
const shape = (nodes: readonly GraphNode[]): string => {
  const stepOf = new Map(nodes.map((n) => [n.id, n.step_id]));
  return JSON.stringify(
    nodes
      .map((n) => [n.step_id, n.kind, sorted(n.config), n.parent_id && stepOf.get(n.parent_id), n.branch, n.position])
      .sort((a, b) => String(a[0]).localeCompare(String(b[0]))),
  );
};

const sorted = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map(sorted)
    : typeof value === "object" && value !== null
      ? Object.fromEntries(
          Object.entries(value)
            .sort(([a], [b]) => a.localeCompare(b))
            .map(([k, v]) => [k, sorted(v)]),
        )
      : value;

/**
 * Writes an author's steps as the campaign's sequence. Of a draft the version is replaced; of a campaign that began a new version is
 * made, which new people follow. Returns the version's id, or null where nothing changed. The caller holds the campaign's row.
 */
export async function saveSteps(ctx: Ctx, campaign: Campaign, input: readonly StepInput[]): Promise<string | null> {
  const { db, tenantId } = ctx;
  const { steps, errors } = parseSteps(ctx.registry, input);
  const pause = takeTurns();
  for (const faults of contentFaults(steps, { customKeys: await customKeysOf(ctx) })) {
    errors.push(...faults);
    await pause();
  }
  // Steps with other faults are missing here, and a reference to one of them would count as a fault too.
  if (errors.length === 0) errors.push(...(await referenceFaults(ctx, campaign, steps)));
  if (errors.length > 0)
    throw new AppError("invalid", errors.length === 1 ? errors[0]!.detail : `The steps have ${errors.length} errors.`, {
      errors,
    });
  const began = campaign.status !== "draft";
  if (began && steps.length === 0)
    throw new AppError("invalid", "A campaign that has started needs at least one step.", {
      errors: [{ pointer: "/steps", detail: "must not be empty" }],
    });
  await requireKnown(ctx, campaign.id, input);
  const { nodes, edges, entry } = toGraph(steps);
  const before = campaign.version_id ? await nodesOf(ctx, [campaign.version_id]) : [];
  if (campaign.version_id && shape(before) === shape(nodes)) return null;

  if (!began && campaign.version_id) {
    // Nobody follows a draft; its people get their place when it starts.
    await db`update public.campaigns set version_id = null where tenant_id = ${tenantId} and id = ${campaign.id}`;
    await db`delete from public.sequence_versions where tenant_id = ${tenantId} and id = ${campaign.version_id}`;
  }
  const versionId = uuid7();
  await db`
    insert into public.sequence_versions (tenant_id, id, campaign_id, number, entry_node_id, created_by)
    select ${tenantId}::uuid, ${versionId}, ${campaign.id}::uuid, coalesce(max(v.number), 0) + 1, ${entry}::uuid, ${actorName(ctx)}
    from public.sequence_versions v where v.tenant_id = ${tenantId} and v.campaign_id = ${campaign.id}`;
  await writeGraph(ctx, campaign.id, versionId, nodes, edges);
  await db`update public.campaigns set version_id = ${versionId} where tenant_id = ${tenantId} and id = ${campaign.id}`;
  if (!began) await forgetSteps(ctx, campaign.id);
  return versionId;
}

const actorName = (ctx: Ctx): string => (ctx.actor.kind === "user" ? ctx.actor.email : ctx.actor.kind);

/** What the steps name must be there: a condition on what is not would send everybody the same way. */
async function referenceFaults(ctx: Ctx, campaign: Campaign, steps: readonly ParsedStep[]): Promise<FieldError[]> {
  const all = [...walk(steps)];
  const references = all.flatMap(({ def, config, pointer }) =>
    (def.references?.(config as never) ?? []).map((r) => ({ ...r, pointer: `${pointer}/${r.field}` })),
  );
  const ids = all.map((step) => step.id);
  return (await strayReferences(ctx, campaign, references, ids)).map(({ reference, detail, fix }) => ({
    pointer: reference.pointer,
    detail: `${detail}; ${fix}`,
  }));
}

/** Ids that authors send must be steps of this campaign: an id of another would take its statistics along. */
async function requireKnown(ctx: Ctx, campaignId: string, input: readonly StepInput[]): Promise<void> {
  const given: { id: string; pointer: string }[] = [];
  const collect = (list: readonly StepInput[], pointer: string) =>
    list.forEach((step, i) => {
      if (step.id) given.push({ id: step.id, pointer: `${pointer}/${i}/id` });
      for (const [branch, inner] of Object.entries(step.branches ?? {}))
        collect(inner, `${pointer}/${i}/branches/${branch}`);
    });
  collect(input, "/steps");
  if (given.length === 0) return;
  const rows = await ctx.db<{ id: string }[]>`
    select id from public.campaign_steps where tenant_id = ${ctx.tenantId} and campaign_id = ${campaignId} and id = any(${given.map((g) => g.id)}::uuid[])`;
  const known = new Set(rows.map((r) => r.id));
  const strange = given.filter((g) => !known.has(g.id));
  if (strange.length > 0)
    throw new AppError("invalid", "A step has an id that does not belong to this campaign.", {
      errors: strange.map(({ pointer }) => ({ pointer, detail: "is not a step of this campaign" })),
      suggestion: "Leave the id out for a new step.",
    });
}

async function writeGraph(
  ctx: Ctx,
  campaignId: string,
  versionId: string,
  nodes: readonly GraphNode[],
  edges: readonly GraphEdge[],
): Promise<void> {
  if (nodes.length === 0) return;
  const { db, tenantId } = ctx;
  await db`
    insert into public.campaign_steps (tenant_id, id, campaign_id)
    select ${tenantId}::uuid, s, ${campaignId}::uuid from unnest(${nodes.map((n) => n.step_id)}::uuid[]) s
    on conflict (tenant_id, id) do nothing`;
  await db`
    insert into public.sequence_nodes (tenant_id, version_id, id, step_id, kind, action, config, parent_id, branch, position)
    select ${tenantId}::uuid, ${versionId}::uuid, n.id, n.step_id, n.kind, n.action, n.config, n.parent_id, n.branch, n.position
    from jsonb_to_recordset(${db.json(nodes as never)}) as n(id uuid, step_id uuid, kind text, action text, config jsonb, parent_id uuid, branch text, position int)`;
  if (edges.length > 0)
    await db`
      insert into public.sequence_edges (tenant_id, version_id, from_node, branch, to_node)
      select ${tenantId}::uuid, ${versionId}::uuid, e.from_node, e.branch, e.to_node
      from jsonb_to_recordset(${db.json(edges as never)}) as e(from_node uuid, branch text, to_node uuid)`;
}

/** Steps that no version has any more. Only of drafts: a step that was sent keeps its statistics. */
const forgetSteps = (ctx: Ctx, campaignId: string) => ctx.db`
  delete from public.campaign_steps s where s.tenant_id = ${ctx.tenantId} and s.campaign_id = ${campaignId}
    and not exists (select from public.sequence_nodes n where n.tenant_id = s.tenant_id and n.step_id = s.id)`;

/** Copies a campaign's sequence into another, with steps of its own. */
export async function copySequence(ctx: Ctx, fromVersion: string, toCampaign: string): Promise<void> {
  const { db, tenantId } = ctx;
  const nodes = await nodesOf(ctx, [fromVersion]);
  const edges = await db<GraphEdge[]>`
    select from_node, branch, to_node from public.sequence_edges where tenant_id = ${tenantId} and version_id = ${fromVersion}`;
  const [version] = await db<{ entry_node_id: string | null }[]>`
    select entry_node_id from public.sequence_versions where tenant_id = ${tenantId} and id = ${fromVersion}`;
  const fresh = new Map(nodes.map((n) => [n.id, uuid7()]));
  const steps = new Map(nodes.map((n) => [n.step_id, uuid7()]));
  // A condition that asks about a step asks about its copy.
  const copied = (config: Record<string, unknown>) =>
    JSON.parse(JSON.stringify(config), (_key, value: unknown) =>
      typeof value === "string" ? (steps.get(value) ?? value) : value,
    ) as typeof config;
  const versionId = uuid7();
  await db`
    insert into public.sequence_versions (tenant_id, id, campaign_id, number, entry_node_id, created_by)
    values (${tenantId}, ${versionId}, ${toCampaign}, 1, ${(version!.entry_node_id && fresh.get(version!.entry_node_id)) ?? null}, ${actorName(ctx)})`;
  await writeGraph(
    ctx,
    toCampaign,
    versionId,
    nodes.map((n) => ({
      ...n,
      id: fresh.get(n.id)!,
      step_id: steps.get(n.step_id)!,
      config: copied(n.config),
      parent_id: n.parent_id && fresh.get(n.parent_id)!,
    })),
    edges.map((e) => ({ from_node: fresh.get(e.from_node)!, branch: e.branch, to_node: fresh.get(e.to_node)! })),
  );
  await db`update public.campaigns set version_id = ${versionId} where tenant_id = ${tenantId} and id = ${toCampaign}`;
}
