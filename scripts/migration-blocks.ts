import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { digest, objectsIn, readHomes, statementsOf, type SqlObject } from "./sql-homes.ts";

/**
 * What migrations hold of the homes. A generated block names each object with the digest of its text, so the migrations
 * themselves say what a database has after them. `refreshed` says what they should be; `migrationFaults` what is wrong.
 */

export const RELEASED_FILE = "supabase/released-migrations.txt";
/** A place for what the homes hold; `npm run migration -- --refresh` fills it. */
export const EMPTY_BLOCK = "-- generated from modules/*/sql\n-- end of generated\n";
const BEGIN = /^-- generated from modules\/\*\/sql(: kernel functions)?$/;
const END = "-- end of generated";
/** Ends the lines that belong to a replacement and not to the object. */
const REPLACED = " -- before it is replaced";

type Block = {
  begin: number;
  end: number;
  /** Holds the kernel's functions and nothing else, because tables need them. */
  kernel: boolean;
  objects: Map<string, { digest: string; text: string }>;
  dropped: string[];
};
export type Migration = { name: string; version: string; text: string; released: boolean; blocks: Block[] };

/** The version of the next migration: UTC now, or a second after the newest one where the clock is not past it. */
export function nextVersion(root: string, now = new Date()): string {
  const written = (at: Date) => at.toISOString().replace(/\D/g, "").slice(0, 14);
  const versions = readdirSync(join(root, "migrations")).flatMap((name) => /^(\d{14})_.*\.sql$/.exec(name)?.[1] ?? []);
  const newest = versions.sort().at(-1) ?? "";
  if (written(now) > newest) return written(now);
  const [, day, hour, minute, second] = /^(\d{8})(..)(..)(..)$/.exec(newest)!;
  const date = day!.replace(/(....)(..)(..)/, "$1-$2-$3");
  return written(new Date(Date.parse(`${date}T${hour}:${minute}:${second}Z`) + 1000));
}

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

/** Released migrations by version, with the digest of their whole text. */
function released(root: string): Map<string, string> {
  const path = join(root, RELEASED_FILE);
  if (!existsSync(path)) return new Map();
  const lines = readFileSync(path, "utf8").split("\n");
  return new Map(
    lines.filter((l) => l.trim() && !l.startsWith("#")).map((l) => l.trim().split(/\s+/) as [string, string]),
  );
}

function blocksOf(name: string, text: string): Block[] {
  const blocks: Block[] = [];
  let open: Block | null = null;
  let current: { digest: string; text: string } | null = null;
  for (const [index, line] of text.split("\n").entries()) {
    const begin = BEGIN.exec(line);
    if (begin) {
      if (open) throw new Error(`migrations/${name}:${index + 1}: a generated block begins inside another`);
      open = { begin: index, end: -1, kernel: begin[1] !== undefined, objects: new Map(), dropped: [] };
    } else if (line === END) {
      if (!open) throw new Error(`migrations/${name}:${index + 1}: ends a generated block that did not begin`);
      blocks.push({ ...open, end: index });
      open = current = null;
    } else if (open) {
      const object = /^-- object (.+) sha256:(\w+)$/.exec(line);
      const gone = /^-- dropped (.+)$/.exec(line);
      if (object) open.objects.set(object[1]!, (current = { digest: object[2]!, text: "" }));
      else if (gone) {
        open.dropped.push(gone[1]!);
        current = null;
      } else if (line === "reset check_function_bodies;") current = null;
      else if (current && !line.endsWith(REPLACED)) current.text += `${line}\n`;
    }
  }
  if (open) throw new Error(`migrations/${name}: the generated block of line ${open.begin + 1} has no "${END}"`);
  return blocks;
}

export function readMigrations(root: string): Migration[] {
  const known = released(root);
  return readdirSync(join(root, "migrations"))
    .filter((name) => name.endsWith(".sql"))
    .sort()
    .map((name) => {
      const text = readFileSync(join(root, "migrations", name), "utf8");
      const version = name.split("_")[0]!;
      return { name, version, text, released: known.has(version), blocks: blocksOf(name, text) };
    });
}

/** The objects that a database has after these migrations. */
function stateAfter(migrations: readonly Migration[]): Map<string, { digest: string; text: string }> {
  const state = new Map<string, { digest: string; text: string }>();
  for (const { blocks } of migrations)
    for (const block of blocks) {
      for (const id of block.dropped) state.delete(id);
      for (const [id, object] of block.objects) state.set(id, object);
    }
  return state;
}

/** The statement that removes an object, from its identity. What a `do` block made is removed by hand, beside the tables. */
const dropOf = (id: string) =>
  id.startsWith("do ")
    ? "-- What it made is dropped by hand above."
    : `drop ${id.replace(/^(\w+) /, "$1 if exists ")};`;

/** An object as it stands in a block: what is replaced goes first where `create or replace` would not do. */
function rendered(object: SqlObject, was: { text: string } | undefined): string {
  const lines = [`-- object ${object.id} sha256:${digest(object.text)}`];
  const before = was && objectsIn(was.text, object.path).at(0);
  if (before && (object.kind === "view" || before.signature !== object.signature))
    lines.push(`${dropOf(object.id)}${REPLACED}`);
  else if (before && object.kind === "function" && before.grants !== object.grants)
    lines.push(
      `revoke all on ${object.id} from public, anon, authenticated, overture_user, overture_worker, overture_analyst, overture_analytics;${REPLACED}`,
    );
  return [...lines, object.text].join("\n");
}

/**
 * The text every unreleased migration should have, by file name. An object that differs from the released state stands once,
 * in the block where it stands already, else in the last one. Throws when there is something to write and no block for it.
 */
export function refreshed(root: string, migrations = readMigrations(root)): Map<string, string> {
  const homes = readHomes(root);
  const state = stateAfter(migrations.filter((m) => m.released));
  const open = migrations.filter((m) => !m.released);
  const blocks = open.flatMap((m) => m.blocks);
  const general = blocks.filter((b) => !b.kernel);
  const content = new Map<Block, string[]>(blocks.map((b) => [b, []]));
  const place = (id: string, object?: SqlObject) => {
    const early = object?.module === "kernel" && object.kind === "function" && blocks.find((b) => b.kernel);
    const block = early || general.findLast((b) => b.objects.has(id) || b.dropped.includes(id)) || general.at(-1);
    if (!block) throw new Error(`${id} changed and no unreleased migration holds it: npm run migration -- <subject>`);
    return content.get(block)!;
  };
  const present = new Set(homes.map((o) => o.id));
  for (const id of state.keys()) if (!present.has(id)) place(id).push(`-- dropped ${id}\n${dropOf(id)}`);
  for (const object of homes) {
    const was = state.get(object.id);
    if (was?.digest !== digest(object.text)) place(object.id, object).push(rendered(object, was));
  }
  return new Map(
    open.map((m) => {
      const lines = m.text.split("\n");
      for (const block of m.blocks.toReversed()) {
        const parts = content.get(block)!;
        const body =
          parts.length === 0
            ? []
            : [
                "set check_function_bodies = off;",
                ...parts.flatMap((p) => ["", p]),
                "",
                "reset check_function_bodies;",
              ];
        lines.splice(block.begin + 1, block.end - block.begin - 1, ...body);
      }
      return [m.name, lines.join("\n")];
    }),
  );
}

const OBJECTS = new Set(["CreateFunctionStmt", "ViewStmt", "CreatePolicyStmt", "CreateTrigStmt"]);
const MADE_IN_DO = /\bcreate\s+(?:or\s+replace\s+)?(?:function|view|policy|(?:constraint\s+)?trigger)\b/i;

/** Objects made by hand, outside of generated blocks. */
function handMade({ name, text, blocks }: Migration): string[] {
  const lines = text.split("\n");
  for (const { begin, end } of blocks) for (let i = begin; i <= end; i++) lines[i] = "";
  return statementsOf(lines.join("\n"))
    .filter((s) => OBJECTS.has(s.kind) || (s.kind === "DoStmt" && MADE_IN_DO.test(s.text)))
    .map(
      (s) =>
        `migrations/${name}:${s.line}: functions, views, policies and triggers stand in modules/*/sql, not in a migration`,
    );
}

/** What is wrong between homes and migrations. */
export function migrationFaults(root: string): string[] {
  const faults: string[] = [];
  try {
    const known = released(root);
    const migrations = readMigrations(root);
    for (const version of known.keys())
      if (!migrations.some((m) => m.version === version))
        faults.push(`migrations/: the released migration ${version} is gone`);
    const newest = [...known.keys()].sort().at(-1) ?? "";
    for (const m of migrations) {
      if (m.released && known.get(m.version) !== sha256(m.text))
        faults.push(`migrations/${m.name}: was released and must stay as it was; write a new one`);
      if (!m.released && m.version <= newest)
        faults.push(`migrations/${m.name}: is older than the newest released one, so upgraded databases would miss it`);
      faults.push(...handMade(m));
    }
    const wanted = refreshed(root, migrations);
    for (const m of migrations)
      if (wanted.has(m.name) && wanted.get(m.name) !== m.text)
        faults.push(`migrations/${m.name}: differs from modules/*/sql; run npm run migration -- --refresh`);
  } catch (error) {
    faults.push((error as Error).message);
  }
  return faults;
}

/** The lines that make every migration of today a released one. */
export function releaseLines(root: string): string {
  const lines = readMigrations(root).map((m) => `${m.version} ${sha256(m.text)}`);
  return `# Migrations that a released version holds, with the sha256 of each: they never change again. Written by npm run migration -- --release.\n${lines.join("\n")}\n`;
}
