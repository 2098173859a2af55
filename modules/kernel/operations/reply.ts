import { z } from "zod";
import { AppError } from "../errors.ts";
import { pathParams } from "./operation.ts";

/** What an operation answers, before any transport: a status and JSON, or a `Response` of the handler's own (a file). */
export type Reply = { status: number; body: unknown; replayed?: true } | Response;

type Answering<O extends z.ZodType> = { id: string; output: O; status?: number };

/** The handler's result as it leaves. Throws `internal` when it breaks the operation's own schema. */
export function replyOf(op: Answering<z.ZodType>, result: unknown): Reply {
  if (result instanceof Response) return result;
  const status = op.status ?? 200;
  return { status, body: status === 204 ? null : outputOf(op, result) };
}

/** What leaves matches what the document promises; a mismatch is our fault, not the caller's. */
export function outputOf<O extends z.ZodType>(op: Answering<O>, result: unknown): z.output<O> {
  const output = op.output.safeParse(result);
  if (output.success) return output.data;
  throw new AppError("internal", "The response does not match its schema.", {
    cause: new Error(`${op.id}: ${z.prettifyError(output.error)}`),
  });
}

/** The row an act is about: the first id in its path. */
export function targetOf(op: { path: string }, input: Record<string, unknown>): string | undefined {
  const first = pathParams(op.path)[0];
  return first ? String(input[first]) : undefined;
}
