import type { Ctx } from "../../kernel/context.ts";
import type { StepReference } from "../../kernel/step.ts";

type Stray<R> = { reference: R; detail: string; fix: string };

/**
 * Of what steps refer to: the references that lead nowhere, each with what is wrong and what would be right. `written` are the ids of
 * the steps that the sequence has; a campaign that began may also ask about steps it had before. One statement, however many there are.
 */
export async function strayReferences<R extends StepReference>(
  ctx: Ctx,
  campaign: { id: string; status: string },
  references: readonly R[],
  written: readonly (string | undefined)[],
): Promise<Stray<R>[]> {
  const { db, tenantId, registry } = ctx;
  const idsOf = (to: StepReference["to"]) => references.filter((r) => r.to === to).map((r) => r.id);
  const stored = references.some((r) => r.to !== "channel");
  // A draft forgets the steps it lost: nothing was sent by them.
  const rows = stored
    ? await db<{ found: string }[]>`
        select 'segment ' || s.id as found from public.segments s where s.tenant_id = ${tenantId} and s.id = any(${idsOf("segment")}::uuid[])
        union all
        select 'member ' || m.user_id from public.members m where m.tenant_id = ${tenantId} and m.user_id = any(${idsOf("member")}::uuid[])
        union all
        select 'step ' || c.id from public.campaign_steps c where c.tenant_id = ${tenantId} and c.campaign_id = ${campaign.id}
          and c.id = any(${idsOf("step")}::uuid[]) and ${campaign.status !== "draft"}`
    : [];
  const found = new Set([
    ...rows.map((r) => r.found),
    ...written.map((id) => `step ${id}`),
    ...[...registry.channels.keys()].map((id) => `channel ${id}`),
  ]);
  const words: Record<StepReference["to"], { detail: string; fix: string }> = {
    channel: { detail: "is no channel", fix: `use one of ${[...registry.channels.keys()].join(", ")}` },
    segment: { detail: "is no segment of the workspace", fix: "choose one of GET /segments" },
    step: {
      detail: "is no step of this campaign",
      fix: "use the id of one of its steps, or null for any message of the sequence",
    },
    member: { detail: "is no member of the workspace", fix: "use a user_id of GET /members, or null for anybody" },
  };
  return references
    .filter((r) => !found.has(`${r.to} ${r.to === "channel" ? r.id : r.id.toLowerCase()}`))
    .map((reference) => ({ reference, ...words[reference.to] }));
}
