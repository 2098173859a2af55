import type { ManualCtx } from "../context.ts";
import type { Tx } from "../database/db.ts";
import { toAppError } from "../errors.ts";
import type { Log } from "../observability/log.ts";
import { type ActState, type AuditNote, noteInto, settleAudit, startAudit } from "./audit.ts";
import { type Claim, claimKey, type Idempotency, settleKey } from "./idempotency.ts";
import type { AnyOperation } from "./operation.ts";
import type { Reply } from "./reply.ts";

/**
 * An act of several transactions, because it calls the outside in between. What must survive a crash stands before it
 * begins (the audit row as started, the key as claimed) and gets its end in one transaction after it.
 */

type Steps = {
  tx<T>(fn: (db: Tx) => Promise<T>): Promise<T>;
  log: Log;
  requestId: string;
  key: Idempotency | null;
  /** Null where nothing is audited: reads, and operations without a tenant. */
  audit: { start(db: Tx): Promise<void>; settle(db: Tx, state: ActState): Promise<void> } | null;
};

const isClaim = (found: Claim | Reply): found is Claim => "attempt" in found;

/** Runs `handle` between its beginning and its end, or gives the answer kept for the key. Throws what `handle` throws. */
export async function inSteps(op: AnyOperation, steps: Steps, handle: () => Promise<Reply>): Promise<Reply> {
  const { key, audit } = steps;
  if (!key && !audit) return await handle();
  const claim = await steps.tx(async (db) => {
    const found = key && (await claimKey(db, op, key));
    if (!found || isClaim(found)) await audit?.start(db);
    return found;
  });
  if (claim && !isClaim(claim)) return claim;

  const settle = async (state: ActState, reply: Reply | null): Promise<void> => {
    try {
      await steps.tx(async (db) => {
        await audit?.settle(db, state);
        if (claim) await settleKey(db, claim, reply);
      });
    } catch (error) {
      // What happened has happened: the caller learns that, and the row goes on saying `started`, which is all we know.
      steps.log.error("the result of an action could not be recorded", {
        action: op.id,
        request_id: steps.requestId,
        error,
      });
    }
  };
  let reply: Reply;
  try {
    reply = await handle();
  } catch (error) {
    await settle({ state: "failed", errorCode: toAppError(error).code }, null);
    throw error;
  }
  await settle({ state: "ok" }, reply);
  return reply;
}

/** The audit row of such an act in a team, and the context that writes a handler's own notes into that same row. */
export function auditedSteps(ctx: ManualCtx, action: string, note: AuditNote) {
  let id = "";
  const inner: ManualCtx = {
    ...ctx,
    tx: (fn) =>
      ctx.tx(async (tx) => {
        const notes: AuditNote[] = [];
        const result = await fn({ ...tx, audit: noteInto(notes) });
        // With the effect they speak of; what came of the whole act is told at its end.
        if (id !== "" && notes.length > 0) await settleAudit(tx.db, id, { state: "started" }, notes);
        return result;
      }),
  };
  const audit = {
    async start(db: Tx) {
      id = await startAudit(db, { ...ctx, action }, [note]);
    },
    settle: (db: Tx, state: ActState) => settleAudit(db, id, state),
  };
  return { inner, audit };
}
