import { z } from "zod";
import type { Registry } from "../registry.ts";
import { type AnyOperation, answersJson, isRead } from "./operation.ts";

/** The operations as tools, for SDKs, agents and tool protocols: read off the declarations that serve HTTP. */

export type Tool = {
  /** `campaigns_start`: the operation's id as tool protocols take it, letters, digits, `_` and `-` only. */
  name: string;
  /** The operation's id, by which the registry finds it; `perform` runs it. */
  operation: string;
  description: string;
  /** JSON Schema of the whole input: what HTTP splits into path, query and body. */
  inputSchema: Record<string, unknown>;
  permission: string;
  /** Changes nothing. */
  readOnly: boolean;
  /** Takes away what cannot be had back: ask a person before calling it. */
  destructive: boolean;
};

/** Those that act in a team, take JSON and answer JSON. A secret shown once is for a person, not for a model's context. */
export const toolsOf = (registry: Pick<Registry, "operations">): Tool[] =>
  registry.operations.flatMap((op) => (op.auth === "tenant" && isTool(op) ? [toolOf(op)] : []));

const isTool = (op: AnyOperation): boolean => op.body !== "binary" && answersJson(op) && !op.secretAnswer;

const toolOf = (op: Extract<AnyOperation, { auth: "tenant" }>): Tool => ({
  name: op.id.replaceAll(".", "_"),
  operation: op.id,
  description: op.description ? `${op.summary}. ${op.description}` : op.summary,
  inputSchema: z.toJSONSchema(op.input, { io: "input", unrepresentable: "any" }),
  permission: op.permission,
  readOnly: isRead(op),
  destructive: op.destructive ?? op.method === "DELETE",
});
