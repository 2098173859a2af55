import { z } from "zod";
import { AppError } from "../../kernel/errors.ts";
import { defineOperation } from "../../kernel/operations/operation.ts";
import { reasonText } from "../reasons.ts";
import { EnrollmentSchema } from "../schemas.ts";
import { loadLead } from "./leads.ts";

const at = z.iso.datetime();

/** What is told of one person's way: decisions and steps in one line of time. */
export const whyLead = defineOperation({
  id: "campaigns.leads.why",
  method: "GET",
  path: "/campaigns/{id}/leads/{enrollment_id}/why",
  summary: "Explain the state of an enrollment",
  description: "The decisions about the enrollment and its step runs in order of time, the newest 500.",
  permission: "campaigns:read",
  input: z.object({ id: z.uuid(), enrollment_id: z.uuid() }),
  output: z.object({
    lead: EnrollmentSchema,
    history: z.array(
      z.object({
        at,
        kind: z.enum(["enrolled", "step", "decision"]),
        verdict: z.string().describe("The result: sent, branched, deferred, skipped, ended …"),
        reason: z.string().nullable().describe("The reason as a sentence."),
        reason_code: z.string().nullable(),
        step_id: z.uuid().nullable(),
        step_kind: z.string().nullable(),
        until: at.nullable(),
        message_id: z.uuid().nullable(),
        detail: z.record(z.string(), z.unknown()),
      }),
    ),
  }),
  async handle(ctx, { id, enrollment_id }) {
    const lead = await loadLead(ctx, id, enrollment_id);
    if (!lead) throw new AppError("not_found", "This contact is not in the campaign.");
    const rows = await ctx.db<
      {
        at: Date;
        kind: "enrolled" | "step" | "decision";
        verdict: string;
        code: string | null;
        step_id: string | null;
        step_kind: string | null;
        until: Date | null;
        message_id: string | null;
        detail: Record<string, unknown>;
      }[]
    >`
      select * from (
        select e.created_at as at, 'enrolled' as kind, case when e.status = 'left_out' then 'left_out' else 'enrolled' end as verdict,
          case when e.status = 'left_out' then e.reason end as code, null::uuid as step_id, null::text as step_kind, null::timestamptz as until,
          null::uuid as message_id, '{}'::jsonb as detail, e.id
        from public.enrollments e where e.tenant_id = ${ctx.tenantId} and e.id = ${enrollment_id}
        union all
        select coalesce(r.finished_at, r.started_at), 'step', coalesce(r.outcome, r.state), null, r.step_id, n.kind, null, m.id, r.output, r.id
        from public.step_runs r
        left join public.sequence_nodes n on n.tenant_id = r.tenant_id and n.id = r.node_id
        left join public.messages m on m.tenant_id = r.tenant_id and m.step_run_id = r.id and m.direction = 'out'
        where r.tenant_id = ${ctx.tenantId} and r.enrollment_id = ${enrollment_id}
        union all
        select d.at, 'decision', d.verdict, d.reason, n.step_id, n.kind, d.until,
          case when d.detail ->> 'message_id' ~ '^[0-9a-f-]{36}$' then (d.detail ->> 'message_id')::uuid end, d.detail, d.id
        from public.decisions d
        left join lateral (select s.step_id, s.kind from public.sequence_nodes s
          where s.tenant_id = ${ctx.tenantId} and s.step_id = case when d.detail ->> 'step_id' ~ '^[0-9a-f-]{36}$' then (d.detail ->> 'step_id')::uuid end limit 1) n on true
        where d.tenant_id = ${ctx.tenantId} and d.subject_id = ${enrollment_id}
      ) x order by x.at desc, x.id desc limit 500`;
    return {
      lead,
      history: rows.reverse().map(({ code, at, until, ...row }) => ({
        ...row,
        at: at.toISOString(),
        until: until?.toISOString() ?? null,
        reason: reasonText(code),
        reason_code: code,
      })),
    };
  },
});
