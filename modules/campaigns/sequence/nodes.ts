import type { Ctx } from "../../kernel/context.ts";
import type { GraphNode } from "./tree.ts";

/** The nodes of these versions, in no order. */
export const nodesOf = async (
  ctx: Ctx,
  versionIds: readonly string[],
): Promise<(GraphNode & { version_id: string })[]> =>
  versionIds.length === 0
    ? []
    : [
        ...(await ctx.db<(GraphNode & { version_id: string })[]>`
          select version_id, id, step_id, kind, action, config, parent_id, branch, position from public.sequence_nodes
          where tenant_id = (select kernel.tenant()) and version_id = any(${[...versionIds]}::uuid[])`),
      ];
