import { z } from "zod";
import { AppError } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";

export const THREAD_STATUS = ["open", "closed"] as const;

export const updateThread = defineOperation({
  id: "threads.update",
  method: "PATCH",
  path: "/threads/{id}",
  summary: "Close, reopen or assign a thread",
  permission: "messages:write",
  input: z.object({
    id: z.uuid(),
    status: z.enum(THREAD_STATUS).optional(),
    assignee_id: z.uuid().nullable().optional().describe("A member's user id."),
  }),
  output: z.object({ id: z.uuid(), status: z.enum(THREAD_STATUS), assignee_id: z.uuid().nullable() }),
  async handle(ctx, { id, status, assignee_id }) {
    const { db } = ctx;
    if (assignee_id) {
      const [member] =
        await db`select from public.members where tenant_id = ${ctx.tenantId} and user_id = ${assignee_id}`;
      if (!member)
        throw new AppError("invalid", "There is no such member.", {
          errors: [{ pointer: "/assignee_id", detail: "is no member of the workspace" }],
        });
    }
    const [row] = await db<{ id: string; status: (typeof THREAD_STATUS)[number]; assignee_id: string | null }[]>`
      update public.threads set status = coalesce(${status ?? null}, status),
        assignee_id = ${assignee_id === undefined ? db`assignee_id` : assignee_id}
      where tenant_id = ${ctx.tenantId} and id = ${id} returning id, status, assignee_id`;
    if (!row) throw new AppError("not_found", "There is no such thread.");
    return row;
  },
});
