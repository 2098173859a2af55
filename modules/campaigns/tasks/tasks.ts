import { z } from "zod";
import type { Ctx } from "../../kernel/context.ts";
import { AppError } from "../../kernel/errors.ts";
import { cursorTime, decodeCursor, pageOf, pageParams, toPage } from "../../kernel/operations/cursor.ts";
import { defineOperation } from "../../kernel/operations/operation.ts";
import { Moment } from "../../kernel/operations/time.ts";
import { campaignsPlan } from "../plan/plan.ts";

/** What people have to do in sequences. A sequence goes on when somebody says what came of its task. */

export const TASK_STATUS = ["open", "done", "skipped", "cancelled"] as const;

export const TaskSchema = z
  .object({
    id: z.uuid(),
    title: z.string(),
    note: z.string(),
    status: z.enum(TASK_STATUS),
    outcomes: z.array(z.string()).describe("Possible outcomes; each can be a branch of the sequence."),
    outcome: z.string().nullable(),
    result: z.string(),
    contact: z.object({
      id: z.uuid(),
      full_name: z.string(),
      email: z.string().nullable(),
      phone: z.string().nullable(),
      linkedin_url: z.string().nullable(),
    }),
    campaign: z.object({ id: z.uuid(), name: z.string() }).nullable(),
    enrollment_id: z.uuid().nullable(),
    assignee_id: z.uuid().nullable().describe("A member's user id; null: whoever has time."),
    assignee_name: z
      .string()
      .nullable()
      .describe("The member's name, or e-mail address without one; null if it is anybody's."),
    due_at: z.iso.datetime().nullable(),
    created_at: z.iso.datetime(),
    finished_at: z.iso.datetime().nullable(),
    finished_by: z.string().nullable(),
  })
  .meta({ id: "Task" });

type Row = Omit<z.output<typeof TaskSchema>, "due_at" | "created_at" | "finished_at"> & {
  due_at: Date | null;
  created_at: Date;
  finished_at: Date | null;
  cursor_at: string;
};

const toTask = ({ cursor_at: _, ...row }: Row): z.output<typeof TaskSchema> => ({
  ...row,
  due_at: row.due_at?.toISOString() ?? null,
  created_at: row.created_at.toISOString(),
  finished_at: row.finished_at?.toISOString() ?? null,
});

const columns = (db: Ctx["db"]) => db`
  t.id, t.title, t.note, t.status, t.outcome, t.result, t.enrollment_id, t.assignee_id, t.due_at, t.created_at, t.finished_at, t.finished_by,
  coalesce(nullif(p.name, ''), p.email) as assignee_name, coalesce(t.due_at, t.created_at)::text as cursor_at,
  coalesce((select array(select jsonb_array_elements_text(n.config -> 'outcomes')) from public.step_runs r
    join public.sequence_nodes n on n.tenant_id = r.tenant_id and n.id = r.node_id
    where r.tenant_id = t.tenant_id and r.id = t.step_run_id), '{done}') as outcomes,
  jsonb_build_object('id', c.id, 'full_name', c.full_name, 'email', c.email, 'phone', c.phone, 'linkedin_url', c.linkedin_url) as contact,
  case when k.id is not null then jsonb_build_object('id', k.id, 'name', k.name) end as campaign`;
const joins = (db: Ctx["db"]) => db`
  join public.contacts c on c.tenant_id = t.tenant_id and c.id = t.contact_id
  left join public.campaigns k on k.tenant_id = t.tenant_id and k.id = t.campaign_id
  left join public.members p on p.tenant_id = t.tenant_id and p.user_id = t.assignee_id`;

export const listTasks = defineOperation({
  id: "tasks.list",
  method: "GET",
  path: "/tasks",
  summary: "List tasks, the most urgent first",
  permission: "tasks:read",
  input: z.object({
    ...pageParams,
    status: z.enum(TASK_STATUS).default("open"),
    campaign_id: z.uuid().optional(),
    contact_id: z.uuid().optional(),
    assignee_id: z.uuid().optional().describe("A member's user id: tasks of this member and tasks without assignee."),
  }),
  output: pageOf(TaskSchema),
  async handle(ctx, { limit, cursor, status, campaign_id, contact_id, assignee_id }) {
    const { db } = ctx;
    const after = decodeCursor(cursor, z.tuple([cursorTime, z.uuid()]));
    const rows = await db<Row[]>`
      select ${columns(db)} from public.tasks t ${joins(db)}
      where t.tenant_id = (select kernel.tenant()) and t.status = ${status}
        ${campaign_id ? db`and t.campaign_id = ${campaign_id}` : db``} ${contact_id ? db`and t.contact_id = ${contact_id}` : db``}
        ${assignee_id ? db`and (t.assignee_id = ${assignee_id} or t.assignee_id is null)` : db``}
        ${after ? db`and (coalesce(t.due_at, t.created_at), t.id) > (${after[0]}::text::timestamptz, ${after[1]}::uuid)` : db``}
      order by coalesce(t.due_at, t.created_at), t.id limit ${limit + 1}`;
    return toPage(rows, limit, (r) => [r.cursor_at, r.id], toTask);
  },
});

async function loadTask(ctx: Ctx, id: string): Promise<z.output<typeof TaskSchema>> {
  const [row] = await ctx.db<Row[]>`
    select ${columns(ctx.db)} from public.tasks t ${joins(ctx.db)} where t.tenant_id = (select kernel.tenant()) and t.id = ${id}`;
  if (!row) throw new AppError("not_found", "There is no such task.");
  return toTask(row);
}

export const getTask = defineOperation({
  id: "tasks.get",
  method: "GET",
  path: "/tasks/{id}",
  summary: "Read a task",
  permission: "tasks:read",
  input: z.object({ id: z.uuid() }),
  output: TaskSchema,
  handle: (ctx, { id }) => loadTask(ctx, id),
});

export const finishTask = defineOperation({
  id: "tasks.finish",
  method: "POST",
  path: "/tasks/{id}/finish",
  summary: "Complete or skip a task",
  description:
    "The enrollment continues with the branch of this outcome. `skipped` means the task was not done; the enrollment continues all the same.",
  permission: "tasks:write",
  input: z.object({
    id: z.uuid(),
    outcome: z.string().max(40).default("done").describe("One of the task's outcomes, or `skipped`."),
    result: z.string().trim().max(10_000).default("").describe("Notes about the result."),
  }),
  output: TaskSchema,
  async handle(ctx, { id, outcome, result }) {
    const before = await loadTask(ctx, id);
    if (outcome !== "skipped" && !before.outcomes.includes(outcome))
      throw new AppError("invalid", `The task has no outcome ${outcome}.`, {
        errors: [{ pointer: "/outcome", detail: `must be one of ${[...before.outcomes, "skipped"].join(", ")}` }],
      });
    const by = ctx.actor.kind === "user" ? ctx.actor.email : ctx.actor.kind;
    // The status in the statement decides between two people who finish it at once.
    const [row] = await ctx.db<{ step_run_id: string | null }[]>`
      update public.tasks set status = ${outcome === "skipped" ? "skipped" : "done"}, outcome = ${outcome}, result = ${result},
        finished_at = kernel.now(), finished_by = ${by}
      where tenant_id = ${ctx.tenantId} and id = ${id} and status = 'open' returning step_run_id`;
    if (!row) throw new AppError("conflict", `The task already has the status ${(await loadTask(ctx, id)).status}.`);
    if (row.step_run_id) {
      const settled = [{ step_run_id: row.step_run_id, branch: outcome, outcome, at: ctx.now.toISOString() }];
      await ctx.db`select private.finish_step(${ctx.db.json(settled)})`;
      await ctx.enqueue(campaignsPlan, { tenant_id: ctx.tenantId });
    }
    ctx.audit({ outcome }, id);
    return await loadTask(ctx, id);
  },
});

export const updateTask = defineOperation({
  id: "tasks.update",
  method: "PATCH",
  path: "/tasks/{id}",
  summary: "Assign a task or change its due date",
  permission: "tasks:write",
  input: z.object({
    id: z.uuid(),
    assignee_id: z.uuid().nullable().optional().describe("A member's user id."),
    due_at: Moment.nullable().optional(),
  }),
  output: TaskSchema,
  async handle(ctx, { id, assignee_id, due_at }) {
    const { db } = ctx;
    if (assignee_id) {
      const [member] =
        await db`select from public.members where tenant_id = ${ctx.tenantId} and user_id = ${assignee_id}`;
      if (!member)
        throw new AppError("invalid", "There is no such member.", {
          errors: [{ pointer: "/assignee_id", detail: "is not a member of the workspace" }],
        });
    }
    const [row] = await db`
      update public.tasks set assignee_id = ${assignee_id === undefined ? db`assignee_id` : assignee_id},
        due_at = ${due_at === undefined ? db`due_at` : due_at}
      where tenant_id = ${ctx.tenantId} and id = ${id} and status = 'open' returning 1`;
    if (!row) throw new AppError("conflict", `The task already has the status ${(await loadTask(ctx, id)).status}.`);
    return await loadTask(ctx, id);
  },
});
