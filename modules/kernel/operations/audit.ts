import type { Actor } from "../context.ts";
import type { Tx } from "../database/db.ts";
import { auditDetail } from "./audit-mask.ts";

/** Audit rows: one per act. Written with the act where that is one transaction, else before it and completed after it. */

export type AuditNote = { detail: Record<string, unknown>; target: string | null };

/** Who does what, in which tenant. */
export type Act = { actor: Actor; tenantId: string; action: string; requestId: string };

/** How a started act ended; `started` only adds detail to it. */
export type ActState = { state: "started" | "ok" } | { state: "failed"; errorCode: string };

/** A `ctx.audit` that collects into `notes`. */
export const noteInto =
  (notes: AuditNote[]) =>
  (detail: Record<string, unknown>, target?: string): void =>
    void notes.push({ detail, target: target ?? null });

/** The row of an act that happens in this very transaction. */
export async function writeAudit(tx: Tx, act: Act, notes: readonly AuditNote[]): Promise<void> {
  await insert(tx, act, notes, "ok");
}

/** The row of an act that is about to begin. Returns its id, for `settleAudit`. */
export async function startAudit(tx: Tx, act: Act, notes: readonly AuditNote[]): Promise<string> {
  return await insert(tx, act, notes, "started");
}

/** Adds detail and outcome to a started row of the transaction's tenant. Throws when it has its outcome already. */
export async function settleAudit(
  tx: Tx,
  id: string,
  state: ActState,
  notes: readonly AuditNote[] = [],
): Promise<void> {
  const code = state.state === "failed" ? state.errorCode : null;
  await tx`select kernel.audit_settle(${id}, ${state.state}, ${code}, ${tx.json(detailOf(notes))})`;
}

async function insert(tx: Tx, act: Act, notes: readonly AuditNote[], state: "ok" | "started"): Promise<string> {
  const target = notes.find((n) => n.target)?.target ?? null;
  const kind = act.actor.kind === "anonymous" ? "user" : act.actor.kind;
  // Not `returning`: whoever acts may write to the audit log, but only an admin may read it.
  const [row] = await tx<{ id: string }[]>`
    with act as materialized (select kernel.uuid7() as id),
    written as (
      insert into public.audit_log (tenant_id, id, actor_kind, actor_id, action, target, request_id, detail, state)
      select ${act.tenantId}::uuid, act.id, ${kind}, ${actorId(act.actor)}, ${act.action}, ${target}, ${act.requestId},
        ${tx.json(detailOf(notes))}::jsonb, ${state}
      from act
    )
    select id from act`;
  return row!.id;
}

const detailOf = (notes: readonly AuditNote[]): Record<string, unknown> =>
  auditDetail(Object.assign({}, ...notes.map((n) => n.detail)));

const actorId = (actor: Actor): string =>
  actor.kind === "user"
    ? actor.userId
    : actor.kind === "api_key"
      ? actor.keyId
      : actor.kind === "job"
        ? actor.name
        : actor.address;
