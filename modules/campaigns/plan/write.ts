import type { Ctx } from "../../kernel/context.ts";

/** What a batch of planning changes, written in one statement per table. */
export type Change = {
  /** The enrollment. */
  id: string;
  version_id: string | null;
  /** Where the person is now; undefined: nothing changed. */
  to?: {
    status: string;
    node_id: string | null;
    action: string | null;
    entered_at: Date;
    next_at: Date | null;
    reason: string | null;
    reason_detail?: string;
    /** The sender who writes to them on the step's channel. */
    sender_id?: string | null;
    /** Newly chosen senders by channel. */
    senders?: Record<string, string>;
  };
  runs: {
    id: string;
    node_id: string;
    step_id: string;
    visit: number;
    state: "open" | "done" | "skipped";
    outcome: string | null;
    output: Record<string, unknown>;
  }[];
  decisions: { source: string; verdict: string; reason: string; detail: Record<string, unknown> }[];
  tasks: {
    step_run_id: string;
    contact_id: string;
    campaign_id: string;
    title: string;
    note: string;
    due_at: Date | null;
    assignee_id: string | null;
  }[];
};

/** Returns how many people were changed. */
export async function writeChanges(ctx: Ctx, changes: readonly Change[]): Promise<number> {
  if (changes.length === 0) return 0;
  const { db, tenantId } = ctx;
  const people = changes.map(({ id, version_id, to }) => ({
    id,
    version_id,
    reason_detail: null,
    sender_id: null,
    senders: {},
    ...to!,
  }));
  await db`
    update public.enrollments e set updated_at = (select kernel.now()), status = o.status, version_id = o.version_id, node_id = o.node_id, action = o.action,
      entered_at = o.entered_at, next_at = o.next_at, reason = o.reason, reason_detail = o.reason_detail,
      vars = case when o.senders = '{}' then e.vars else jsonb_set(e.vars, '{senders}', coalesce(e.vars -> 'senders', '{}') || o.senders) end,
      sender_id = coalesce(o.sender_id, (e.vars -> 'senders' ->> split_part(o.action, '.', 1))::uuid),
      finished_at = case when o.status in ('waiting', 'sending', 'task', 'blocked') then null else (select kernel.now()) end
    from jsonb_to_recordset(${db.json(people as never)}) as o(id uuid, version_id uuid, status text, node_id uuid, action text, entered_at timestamptz,
      next_at timestamptz, reason text, reason_detail text, sender_id uuid, senders jsonb)
    where e.tenant_id = (select kernel.tenant()) and e.id = o.id`;
  const runs = changes.flatMap((c) => c.runs.map((r) => ({ enrollment_id: c.id, ...r })));
  if (runs.length > 0)
    await db`
      insert into public.step_runs (tenant_id, id, enrollment_id, node_id, step_id, visit, state, outcome, output, started_at, finished_at)
      select ${tenantId}::uuid, r.id, r.enrollment_id, r.node_id, r.step_id, r.visit, r.state, r.outcome, r.output,
        (select kernel.now()), case when r.state <> 'open' then (select kernel.now()) end
      from jsonb_to_recordset(${db.json(runs as never)}) as r(id uuid, enrollment_id uuid, node_id uuid, step_id uuid, visit int, state text, outcome text, output jsonb)`;
  const tasks = changes.flatMap((c) => c.tasks.map((t) => ({ enrollment_id: c.id, ...t })));
  if (tasks.length > 0)
    await db`
      insert into public.tasks (tenant_id, contact_id, campaign_id, enrollment_id, step_run_id, title, note, due_at, assignee_id)
      select ${tenantId}::uuid, t.contact_id, t.campaign_id, t.enrollment_id, t.step_run_id, t.title, t.note, t.due_at, p.user_id
      from jsonb_to_recordset(${db.json(tasks as never)}) as t(contact_id uuid, campaign_id uuid, enrollment_id uuid, step_run_id uuid, title text, note text,
        due_at timestamptz, assignee_id uuid)
      -- Whom the step names may have left the team since: the task is anybody's.
      left join public.members p on p.tenant_id = (select kernel.tenant()) and p.user_id = t.assignee_id`;
  const decisions = changes.flatMap((c) => c.decisions.map((d) => ({ subject_id: c.id, ...d })));
  if (decisions.length > 0) await db`select kernel.decide(${db.json(decisions as never)})`;
  return changes.length;
}
