import { z } from "zod";
import { decodeCursor, pageOf, pageParams, toPage } from "../kernel/operations/cursor.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { instant } from "./schemas.ts";

/** How far an act came. */
export const AUDIT_STATES = ["started", "ok", "failed"] as const;

const Entry = z
  .object({
    id: z.uuid(),
    at: instant,
    actor_kind: z.enum(["user", "api_key", "job"]),
    actor_id: z.string(),
    actor_name: z.string().nullable().describe("Email address of the member or name of the API key, while it exists."),
    action: z.string(),
    target: z.string().nullable(),
    request_id: z.string().nullable(),
    state: z
      .enum(AUDIT_STATES)
      .describe(
        "started: the action began and its result is not recorded yet. failed: the action ended with error_code.",
      ),
    error_code: z.string().nullable().describe("The reason of the failure: the code of the problem document."),
    finished_at: instant
      .nullable()
      .describe("When an action that calls other services ended; null for all other actions, which end at `at`."),
    detail: z.record(z.string(), z.unknown()),
  })
  .meta({ id: "AuditEntry" });
type EntryRow = z.input<typeof Entry>;

export const listAudit = defineOperation({
  id: "audit_log.list",
  method: "GET",
  path: "/audit-log",
  summary: "List the audit log, newest first",
  permission: "audit:read",
  input: z.object({
    ...pageParams,
    action: z.string().max(80).optional().describe("Only this action, e.g. members.update."),
  }),
  output: pageOf(Entry),
  async handle(ctx, { limit, cursor, action }) {
    const before = decodeCursor(cursor, z.tuple([z.uuid()]))?.[0];
    // The page is cut before the names are joined: two lookups per row shown, none per row skipped.
    const rows = await ctx.db<EntryRow[]>`
      select a.id, a.at, a.actor_kind, a.actor_id, coalesce(m.email, k.name) as actor_name, a.action, a.target, a.request_id,
        a.state, a.error_code, a.finished_at, a.detail
      from (
        select * from public.audit_log where tenant_id = ${ctx.tenantId}
          ${action ? ctx.db`and action = ${action}` : ctx.db``} ${before ? ctx.db`and id < ${before}` : ctx.db``}
        order by id desc limit ${limit + 1}
      ) a
      left join public.members m on a.actor_kind = 'user' and m.tenant_id = a.tenant_id and m.user_id::text = a.actor_id
      left join public.api_keys k on a.actor_kind = 'api_key' and k.tenant_id = a.tenant_id and k.id::text = a.actor_id
      order by a.id desc`;
    return toPage(
      rows,
      limit,
      (r) => [r.id],
      (r) => r,
    );
  },
});
