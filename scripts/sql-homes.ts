import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { loadModule, parseSync } from "libpg-query";
import { manifestOf } from "./manifest.ts";

/**
 * The homes of SQL: `modules/<m>/sql/<family>.sql` hold the current text of every function, view, policy and trigger, one
 * statement each with its comment before it and its grants behind it. docs/concepts/sql.md tells the whole.
 */

export type Kind = "function" | "do" | "view" | "policy" | "trigger";

/** One object of a home with all that belongs to it. */
export type SqlObject = {
  /** As `function private.suppress(text[],text,text,text)` or `policy job on public.tenants`: its name and the types of its arguments. */
  id: string;
  kind: Kind;
  /** Comment, statement and grants, as they stand in the home. */
  text: string;
  /** What a replacement cannot change: result and parameters of a function. Empty for other kinds. */
  signature: string;
  /** The grants, which `create or replace` would leave as they were. */
  grants: string;
  module: string;
  path: string;
  line: number;
};

type Node = Record<string, any>;
type Statement = { kind: string; node: Node; text: string; line: number };

/** Order of creation: functions check no bodies, the rest needs what stands before it. */
const ORDER: readonly Kind[] = ["function", "do", "view", "policy", "trigger"];
const KINDS: Record<string, Kind> = {
  CreateFunctionStmt: "function",
  DoStmt: "do",
  ViewStmt: "view",
  CreatePolicyStmt: "policy",
  CreateTrigStmt: "trigger",
};

await loadModule();

/** The statements of a script, each with the comments before it and its semicolon. */
export function statementsOf(script: string): Statement[] {
  const bytes = Buffer.from(script);
  const slice = (from: number, to: number) => bytes.subarray(from, to).toString();
  return (parseSync(script).stmts as Node[]).map(({ stmt, stmt_location: at = 0, stmt_len: length }) => {
    const [[kind, node]] = Object.entries(stmt as Node) as [[string, Node]];
    const text = slice(at, length === undefined ? bytes.length : at + length + 1);
    return { kind, node, text: text.trim(), line: slice(0, at).split("\n").length + leadingLines(text) };
  });
}

const leadingLines = (text: string) => /^(\s*(--.*)?\n)*/.exec(text)![0].split("\n").length - 1;

const names = (list: Node[]) => list.map((n) => n.String.sval as string).join(".");
const table = (relation: Node) => `${relation.schemaname ?? "public"}.${relation.relname}`;

/** A type as written in an identity: without pg_catalog, arrays with brackets. */
const typeName = (type: Node) =>
  names(type.names).replace(/^pg_catalog\./, "") + "[]".repeat(type.arrayBounds?.length ?? 0);

/** The name by which an object is known in migrations; null for other statements. */
function identityOf({ kind, node }: Pick<Statement, "kind" | "node">, where: string): string | null {
  if (kind === "CreateFunctionStmt") {
    const inputs = ((node.parameters ?? []) as Node[])
      .map((p) => p.FunctionParameter as Node)
      .filter((p) => !["FUNC_PARAM_OUT", "FUNC_PARAM_TABLE"].includes(p.mode));
    return `function ${names(node.funcname)}(${inputs.map((p) => typeName(p.argType)).join(",")})`;
  }
  if (kind === "ViewStmt") return `view ${table(node.view)}`;
  if (kind === "CreatePolicyStmt") return `policy ${node.policy_name} on ${table(node.table)}`;
  if (kind === "CreateTrigStmt") return `trigger ${node.trigname} on ${table(node.relation)}`;
  if (kind === "DoStmt") return `do ${where}`;
  return null;
}

const withoutLocations = (value: unknown) =>
  JSON.stringify(value, (key, v: unknown) => (/location$|^stmt_len$/.test(key) ? undefined : v));

/** The objects of one home; throws with the line of a statement that has no place there. */
export function objectsIn(script: string, path: string): SqlObject[] {
  const module = path.split("/")[1]!;
  const where = path
    .replace(/^modules\//, "")
    .replace(/\.sql$/, "")
    .replace("/sql/", "/");
  const objects: SqlObject[] = [];
  let before: Statement[] = [];
  for (const statement of statementsOf(script)) {
    const kind = KINDS[statement.kind];
    if (kind) {
      const { node } = statement;
      objects.push({
        id: identityOf(statement, where)!,
        kind,
        text: [...before, statement].map((s) => s.text).join("\n"),
        signature: kind === "function" ? withoutLocations([node.returnType, node.parameters]) : "",
        grants: "",
        module,
        path,
        line: statement.line,
      });
      before = [];
    } else if (statement.kind === "DropStmt") {
      before.push(statement);
    } else if (["GrantStmt", "CommentStmt"].includes(statement.kind) && objects.length > 0 && before.length === 0) {
      const last = objects.at(-1)!;
      last.text += `\n${statement.text}`;
      if (statement.kind === "GrantStmt") last.grants += `${statement.text}\n`;
    } else {
      throw new Error(
        `${path}:${statement.line}: only functions, views, policies, triggers and their grants stand here; tables stand in migrations/`,
      );
    }
  }
  if (before.length > 0) throw new Error(`${path}:${before[0]!.line}: drops something that is not created behind it`);
  return objects;
}

/** Modules in the order in which their objects are created: a module after those it needs, the kernel first. */
function moduleOrder(root: string): string[] {
  const all = readdirSync(join(root, "modules"), { withFileTypes: true }).filter((e) => e.isDirectory());
  const order: string[] = ["kernel"];
  const add = (name: string) => {
    if (order.includes(name)) return;
    const manifest = join(root, "modules", name, "module.ts");
    if (existsSync(manifest)) manifestOf(name, readFileSync(manifest, "utf8")).needs.forEach(add);
    order.push(name);
  };
  for (const { name } of all.sort((a, b) => a.name.localeCompare(b.name))) add(name);
  return order;
}

/** Every object of every home, in the order of creation. Throws when two homes hold the same one. */
export function readHomes(root: string): SqlObject[] {
  const objects: SqlObject[] = [];
  const seen = new Map<string, SqlObject>();
  for (const module of moduleOrder(root)) {
    const folder = join(root, "modules", module, "sql");
    if (!existsSync(folder)) continue;
    for (const file of readdirSync(folder)
      .filter((f) => f.endsWith(".sql"))
      .sort()) {
      const path = `modules/${module}/sql/${file}`;
      for (const object of objectsIn(readFileSync(join(root, path), "utf8"), path)) {
        const other = seen.get(object.id);
        if (other) throw new Error(`${path}:${object.line}: ${object.id} stands in ${other.path}:${other.line} too`);
        seen.set(object.id, object);
        objects.push(object);
      }
    }
  }
  return ORDER.flatMap((kind) => objects.filter((o) => o.kind === kind));
}

/** The script that brings a database's objects to what the homes say, tables being there. */
export function homesScript(objects: readonly SqlObject[]): string {
  return ["set check_function_bodies = off;", ...objects.map((o) => o.text), "reset check_function_bodies;"].join(
    "\n\n",
  );
}

/** Digest of an object's text, short enough to read. */
export const digest = (text: string) => createHash("sha256").update(text.trim()).digest("hex").slice(0, 16);
