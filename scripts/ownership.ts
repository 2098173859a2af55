import ts from "typescript";
import type { Module } from "./manifest.ts";

/**
 * Who writes and reads which table. A module writes its own tables only, and reads those of the modules it needs: a table that
 * two modules write has no invariant either of them can keep. Text is searched, not parsed: PL/pgSQL and SQL that is put
 * together of strings have no parser, and names of tables are always written with their schema.
 */

export type Access = "write" | "read";
export type Use = { table: string; access: Access; line: number };
export type Exception = { module: string; access: Access; table: string; why: string };

/** The kernel is no module: everybody needs it. */
export const KERNEL: Module = {
  name: "kernel",
  needs: [],
  owns: [
    "kernel.buckets",
    "kernel.clock",
    "kernel.clocks",
    "kernel.dead_letters",
    "kernel.idempotency",
    "kernel.queues",
    "kernel.samples",
    "kernel.schedules",
    "kernel.settings",
    "kernel.subscriptions",
    "public.audit_log",
    "public.counter_deltas",
    "public.counters",
    "public.decisions",
  ],
};

/** Tables that every module adds rows to: what it counted (docs/concepts/counters.md). */
const OPEN = new Set(["public.counter_deltas"]);

const WRITES =
  /(insert\s+into|update|delete\s+from|merge\s+into|truncate(\s+table)?|lock\s+table(\s+[\w.]+\s*,)*|create\s+(or\s+replace\s+)?(constraint\s+)?trigger\s[^;]*\son)(\s+only)?\s+$/i;

/** The tables and queues that a migration makes: `public.contacts`, `contacts_import`. Partitions belong to their table. */
export function madeIn(migration: string): string[] {
  const text = migration.replace(/^-- generated from [^]*?^-- end of generated$/gm, "").replace(/--.*/g, "");
  return [
    ...[...text.matchAll(/create\s+(?:unlogged\s+)?table\s+((?:public|kernel)\.\w+)/gi)].map((m) => m[1]!),
    ...[...text.matchAll(/kernel\.create_queue\('(\w+)'\)/g)].map((m) => m[1]!),
  ];
}

/** What a script of SQL does to the named tables. `line` is the line of its first character. */
export function usesIn(script: string, tables: ReadonlySet<string>, line = 1): Use[] {
  const text = script
    .replace(/--.*/g, (comment) => " ".repeat(comment.length))
    // The argument of a guard is a type: the message comes from the claim.
    .replace(/\((?:m )?public\.messages\)/g, (type) => " ".repeat(type.length));
  const uses: Use[] = [];
  for (const found of text.matchAll(/\b(public|kernel)\.\w+\b(?!\s*\()/g)) {
    const at = found.index;
    // `insert into public.x (…)` has a bracket behind its table; a function has one behind its name.
    if (tables.has(found[0])) uses.push(use(text, at, found[0], line));
  }
  for (const found of text.matchAll(/\binsert\s+into\s+((?:public|kernel)\.\w+)\s*\(/gi))
    if (tables.has(found[1]!)) uses.push(use(text, found.index + found[0].indexOf(found[1]!), found[1]!, line));
  return uses.sort((a, b) => a.line - b.line);
}

function use(text: string, at: number, table: string, line: number): Use {
  const access = WRITES.test(text.slice(Math.max(0, at - 400), at)) ? "write" : "read";
  return { table, access, line: line + text.slice(0, at).split("\n").length - 1 };
}

/** The same of the tagged templates of a TypeScript file; text inside a placeholder counts with its template. */
export function usesInTypeScript(source: string, tables: ReadonlySet<string>): Use[] {
  const file = ts.createSourceFile("x.ts", source, ts.ScriptTarget.Latest, true);
  const uses: Use[] = [];
  const visit = (node: ts.Node): void => {
    if (!ts.isTaggedTemplateExpression(node)) return ts.forEachChild(node, visit);
    const start = node.template.getStart(file);
    uses.push(...usesIn(node.template.getText(file), tables, file.getLineAndCharacterOfPosition(start).line + 1));
  };
  visit(file);
  return uses;
}

/**
 * Faults of the given files of modules/ (`*.sql` and `*.ts`, no tests), each with file and line, and at the end exceptions that
 * nothing needs any more. `made` are the tables and queues of the migrations: each has exactly one owner.
 */
export function ownershipFaults(
  modules: readonly Module[],
  made: readonly string[],
  files: readonly { path: string; text: string }[],
  exceptions: readonly Exception[],
): string[] {
  const faults: string[] = [];
  const all = [KERNEL, ...modules];
  const owner = new Map<string, string>();
  for (const { name, owns } of all)
    for (const thing of owns) {
      if (owner.has(thing)) faults.push(`modules/${name}/module.ts: owns ${thing}, which ${owner.get(thing)} owns`);
      owner.set(thing, name);
      if (!made.includes(thing)) faults.push(`modules/${name}/module.ts: owns ${thing}, which no migration makes`);
    }
  for (const thing of made)
    if (!owner.has(thing))
      faults.push(`migrations: ${thing} belongs to no module: name it in the owns of its module.ts`);

  const needs = new Map(all.map((m) => [m.name, m.needs]));
  const reach = (name: string, seen = new Set([name, KERNEL.name])): Set<string> => {
    for (const need of needs.get(name) ?? []) if (!seen.has(need)) reach(need, seen.add(need));
    return seen;
  };
  const tables = new Set([...owner.keys()].filter((thing) => thing.includes(".")));
  const used = new Set<Exception>();
  for (const { path, text } of files) {
    const module = path.split("/")[1]!;
    if (!needs.has(module) || !/\b(public|kernel)\.\w/.test(text)) continue;
    const reachable = reach(module);
    for (const { table, access, line } of path.endsWith(".sql")
      ? usesIn(text, tables)
      : usesInTypeScript(text, tables)) {
      const theirs = owner.get(table)!;
      if (theirs === module || (access === "read" ? reachable.has(theirs) : OPEN.has(table))) continue;
      const exception = exceptions.find((e) => e.module === module && e.access === access && e.table === table);
      if (exception) used.add(exception);
      else if (access === "write")
        faults.push(
          `${path}:${line}: ${module} writes ${table}; only ${theirs}, which owns it, may: call one of its functions`,
        );
      else
        faults.push(`${path}:${line}: ${module} reads ${table} of ${theirs}, which it does not need: name it in needs`);
    }
  }
  for (const e of exceptions)
    if (!used.has(e))
      faults.push(
        `scripts/ownership-exceptions.ts: ${e.module} no longer has to ${e.access} ${e.table}: remove the line`,
      );
  return faults;
}
