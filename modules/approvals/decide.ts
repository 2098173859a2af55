import { z } from "zod";
import { rewrittenMessage } from "../campaigns/steps/rewrite.ts";
import type { Ctx } from "../kernel/context.ts";
import { AppError, invalidField } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { rewriteMessage } from "../messaging/queue.ts";
import { messagingSend } from "../messaging/send.ts";
import { loadApproval, noApproval } from "./read.ts";
import { ApprovalDetailSchema, byId } from "./schemas.ts";

/** Yes, no, other words, and stopping what would leave by itself. Of two people who decide at once, one is told who was faster. */

const whoOf = ({ actor }: Ctx): string =>
  actor.kind === "user" ? actor.email : actor.kind === "api_key" ? "API key" : "Overture";

type Verdict = "approved" | "rejected";
const Reason = z.string().trim().min(1, "must not be empty").max(500);

/** What became of the requests that this call decided: those that others decided before are not among them. */
async function decide(ctx: Ctx, ids: readonly string[], verdict: Verdict, reason: string | null) {
  const rows = await ctx.db<{ approval: string; became: Verdict | "withdrawn" }[]>`
    select approval, became from private.decide_approvals(${ids as string[]}::uuid[], ${verdict}, ${whoOf(ctx)}, ${reason})`;
  if (verdict === "approved" && rows.some((r) => r.became === "approved"))
    await ctx.enqueue(messagingSend, { tenant_id: ctx.tenantId });
  return rows;
}

/** Says why a request cannot be decided any more. */
async function refuse(ctx: Ctx, id: string): Promise<never> {
  const [row] = await ctx.db<{ state: string; decided_by: string; rule: string }[]>`
    select state, decided_by, rule from public.approvals where tenant_id = (select kernel.tenant()) and id = ${id}`;
  if (!row) throw noApproval();
  const what =
    row.state === "withdrawn"
      ? "The message was cancelled meanwhile: there is nothing left to decide."
      : row.state === "expired"
        ? "Nobody decided in time: the request has expired."
        : row.decided_by !== ""
          ? `${row.decided_by} was faster: the message was ${row.state} already.`
          : `The message was ${row.state} already: its delay was over.`;
  throw new AppError("conflict", what);
}

async function decideOne(ctx: Ctx, id: string, verdict: Verdict, reason: string | null) {
  const [row] = await decide(ctx, [id], verdict, reason);
  if (!row) return await refuse(ctx, id);
  ctx.audit({ verdict: row.became, reason }, id);
  return await loadApproval(ctx, id);
}

export const approve = defineOperation({
  id: "approvals.approve",
  method: "POST",
  path: "/approvals/{id}/approve",
  summary: "Approve a message",
  description:
    "The message leaves as soon as its sender, its campaign and all other rules let it. Whoever decides second gets 409. A message that was cancelled meanwhile is `withdrawn`.",
  permission: "approvals:decide",
  input: byId,
  output: ApprovalDetailSchema,
  handle: (ctx, { id }) => decideOne(ctx, id, "approved", null),
});

export const reject = defineOperation({
  id: "approvals.reject",
  method: "POST",
  path: "/approvals/{id}/reject",
  summary: "Reject a message, with a reason",
  description: "The message is cancelled. The contact goes on to the next step of the sequence.",
  permission: "approvals:decide",
  input: byId.extend({ reason: Reason }),
  output: ApprovalDetailSchema,
  handle: (ctx, { id, reason }) => decideOne(ctx, id, "rejected", reason),
});

export const undo = defineOperation({
  id: "approvals.undo",
  method: "POST",
  path: "/approvals/{id}/undo",
  summary: "Stop a delayed message before it leaves by itself",
  description: "It then waits until somebody approves or rejects it.",
  permission: "approvals:decide",
  input: byId,
  output: ApprovalDetailSchema,
  async handle(ctx, { id }) {
    const [stopped] = await ctx.db`
      update public.approvals a set auto_at = null, expires_at = kernel.now() + make_interval(hours => (t.settings ->> 'approval_expiry_hours')::int)
      from public.tenants t
      where t.id = (select kernel.tenant()) and a.tenant_id = (select kernel.tenant()) and a.id = ${id} and a.state = 'pending' and a.auto_at is not null
      returning 1`;
    if (!stopped) {
      const { state } = await loadApproval(ctx, id);
      if (state !== "pending") return await refuse(ctx, id);
      throw new AppError("conflict", "This message does not leave by itself: it waits for a decision.");
    }
    return await loadApproval(ctx, id);
  },
});

export const edit = defineOperation({
  id: "approvals.edit",
  method: "POST",
  path: "/approvals/{id}/edit",
  summary: "Change the text of a message that waits",
  description:
    "`template` is what the step's form takes, such as `subject` and `body` with variables. The message is written anew by its channel: tracked links and the unsubscribe line included. It goes on waiting; a delayed message no longer leaves by itself.",
  permission: "approvals:decide",
  input: byId.extend({ template: z.record(z.string(), z.unknown()) }),
  output: ApprovalDetailSchema,
  async handle(ctx, { id, template }) {
    // Held until the end: nobody decides about a text that is being changed.
    const [row] = await ctx.db<{ message_id: string; state: string }[]>`
      select message_id, state from public.approvals where tenant_id = (select kernel.tenant()) and id = ${id} for update`;
    if (!row) throw noApproval();
    if (row.state !== "pending") return await refuse(ctx, id);
    const { prepared, written } = await rewrittenMessage(ctx, row.message_id, template);
    if (!(await rewriteMessage(ctx, row.message_id, prepared)))
      throw new AppError("conflict", "The message was cancelled meanwhile: there is nothing left to change.");
    await ctx.db`
      update public.approvals a set edited_template = ${ctx.db.json(written as never)}, edited_subject = ${prepared.subject}, edited_body = ${prepared.text},
        edited_by = ${whoOf(ctx)}, auto_at = null, expires_at = case when a.auto_at is null then a.expires_at
          else kernel.now() + make_interval(hours => (t.settings ->> 'approval_expiry_hours')::int) end
      from public.tenants t
      where t.id = (select kernel.tenant()) and a.tenant_id = (select kernel.tenant()) and a.id = ${id}`;
    ctx.audit({ subject: prepared.subject }, id);
    return await loadApproval(ctx, id);
  },
});

/** Requests that one call decides. */
const MOST = 1000;

export const decideMany = defineOperation({
  id: "approvals.bulk",
  method: "POST",
  path: "/approvals/bulk",
  summary: "Approve or reject many messages",
  description:
    "Either those with these `ids`, or `similar_to` one request: all that wait for the same rule at the same step of the same campaign, itself included. At most 1,000 in one call; `left` says how many similar ones still wait, up to 1,000. What others decided meanwhile is left out.",
  permission: "approvals:decide",
  input: z.object({
    ids: z.array(z.uuid()).min(1).max(MOST).optional(),
    similar_to: z.uuid().optional(),
    verdict: z.enum(["approve", "reject"]),
    reason: Reason.optional().describe("Needed to reject."),
  }),
  output: z.object({ decided: z.number().int(), withdrawn: z.number().int(), left: z.number().int() }),
  async handle(ctx, { ids, similar_to, verdict, reason }) {
    if ((ids === undefined) === (similar_to === undefined))
      throw invalidField("/ids", "Give either ids or similar_to.");
    if (verdict === "reject" && reason === undefined) throw invalidField("/reason", "is needed to reject messages");
    const { db } = ctx;
    let chosen = ids ?? [];
    const waiting = async (of: string) =>
      (
        await db<{ id: string }[]>`
          select x.id from public.approvals a
          join public.approvals x on x.tenant_id = (select kernel.tenant()) and x.campaign_id = a.campaign_id and x.state = 'pending'
            and x.step_id = a.step_id and x.rule = a.rule
          where a.tenant_id = (select kernel.tenant()) and a.id = ${of} order by x.id limit ${MOST}`
      ).map((r) => r.id);
    if (similar_to !== undefined) {
      const [known] =
        await db`select from public.approvals where tenant_id = (select kernel.tenant()) and id = ${similar_to}`;
      if (!known) throw invalidField("/similar_to", "There is no such request for approval.");
      chosen = await waiting(similar_to);
    }
    const rows = await decide(ctx, chosen, verdict === "approve" ? "approved" : "rejected", reason ?? null);
    const withdrawn = rows.filter((r) => r.became === "withdrawn").length;
    const left = similar_to === undefined ? 0 : (await waiting(similar_to)).length;
    ctx.audit({ verdict, decided: rows.length - withdrawn, similar_to: similar_to ?? null });
    return { decided: rows.length - withdrawn, withdrawn, left };
  },
});
