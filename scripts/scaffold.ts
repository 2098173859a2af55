import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

/**
 * What `npm run new:module`, `new:provider`, `new:step` and `new:channel` share: names, and printing or writing new files together with
 * the lines that register them.
 */

export type Scaffold = {
  /** Text by path below the repository. */
  files: Map<string, string>;
  registrations: Registration[];
  /** Lines in files that exist, which are no lists. */
  insertions?: Insertion[];
  /** What to do next, a line each. */
  next: string[];
};

/** A line in a file that exists: an import, and its name at the end of a list. */
export type Registration = {
  path: string;
  import: string;
  name: string;
  /** The list's beginning up to its bracket; stands once in the file. */
  list: string;
};

/** A line above a text that stands once in the file. */
export type Insertion = { path: string; line: string; before: string };

/** Names the language or the generated files use themselves. */
const WORDS = new Set(
  "await break case catch class const continue debugger default delete do else enum eval export extends false finally for function if implements import in instanceof interface let new null package private protected public return static super switch this throw true try typeof var void while with yield".split(
    " ",
  ),
);

/** `price_lists` → `priceLists`. */
export const camel = (name: string): string => name.replace(/_(\w)/g, (_, c: string) => c.toUpperCase());
export const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
/** `price_lists` → `PriceLists`. */
export const pascal = (name: string): string => capital(camel(name));
/** `price_lists` → `price lists`. */
export const words = (name: string): string => name.replaceAll("_", " ");
/** `price_lists` → `price-lists`, as files are called. */
export const kebab = (name: string): string => name.replaceAll("_", "-");

export type NameRule = { what: string; max: number; example: string; taken?: readonly string[] };

/** Throws with what to type instead unless it is lower case letters, digits and single _, and no word of the language. */
export function checkName(name: string, { what, max, example, taken = [] }: NameRule): void {
  if (!/^[a-z][a-z0-9]*(_[a-z0-9]+)*$/.test(name) || name.length < 2 || name.length > max)
    throw new Error(
      `"${name}" is not a valid name for a ${what}: use lower case letters, digits and _, 2 to ${max}, such as ${example}.`,
    );
  if (WORDS.has(name) || taken.includes(name)) throw new Error(`"${name}" is a reserved word; choose another name.`);
}

/** Throws when one of the paths exists. */
export function checkFree(root: string, ...paths: string[]): void {
  for (const path of paths) if (existsSync(join(root, path))) throw new Error(`${path} exists already.`);
}

/** The file's text, or null where there is none. */
export const textOf = (root: string, path: string): string | null =>
  existsSync(join(root, path)) ? readFileSync(join(root, path), "utf8") : null;

/** The file with the import behind its last one and the name at the end of its list. Throws where it has no such list. */
export function registered(text: string, { path, import: line, name, list }: Registration): string {
  const at = text.indexOf(list);
  const end = text.indexOf("]", at + list.length);
  const lastImport = [...text.matchAll(/^import [^;]*;\n/gm)].at(-1);
  if (at < 0 || text.includes(list, at + 1) || end < 0 || !lastImport)
    throw new Error(`${path} has no list «${list.trim()}…» where it is expected: add the line by hand.`);
  if (new RegExp(`\\b${name}\\b`).test(text)) throw new Error(`${path} has a ${name} already; choose another name.`);
  const names = text
    .slice(at + list.length, end)
    .split(",")
    .map((n) => n.trim())
    .filter(Boolean);
  const whole = `${text.slice(0, at)}${list}${[...names, name].join(", ")}${text.slice(end)}`;
  const behind = lastImport.index + lastImport[0].length;
  return `${whole.slice(0, behind)}${line}\n${whole.slice(behind)}`;
}

/** The file with the line above its place. Throws where it has no such place. */
export function inserted(text: string, { path, line, before }: Insertion): string {
  const at = text.indexOf(before);
  if (at < 0 || text.includes(before, at + 1))
    throw new Error(`${path} has no place for «${line.trim()}» where it is expected: add the line by hand.`);
  return `${text.slice(0, at)}${line}${text.slice(at)}`;
}

/** As `npm run format` would leave it. */
export async function formatted(root: string, path: string, text: string): Promise<string> {
  if (!/\.(ts|json)$/.test(path)) return text;
  const { format, resolveConfig } = await import("prettier");
  return await format(text, { ...(await resolveConfig(join(root, path))), filepath: path });
}

/** New files and changed ones as they will be. Throws before anything is written where one of them cannot be. */
async function texts(root: string, { files, registrations, insertions = [] }: Scaffold) {
  checkFree(root, ...files.keys());
  const changed = new Map<string, string>();
  const change = <T extends { path: string }>(edits: readonly T[], edit: (text: string, by: T) => string) => {
    for (const by of edits)
      changed.set(by.path, edit(changed.get(by.path) ?? readFileSync(join(root, by.path), "utf8"), by));
  };
  change(registrations, registered);
  change(insertions, inserted);
  const ready = async (all: Map<string, string>) => {
    const done: [path: string, text: string][] = [];
    for (const [path, text] of all) done.push([path, await formatted(root, path, text)]);
    return done;
  };
  return { made: await ready(files), changed: await ready(changed) };
}

async function write(root: string, scaffold: Scaffold): Promise<void> {
  const { made, changed } = await texts(root, scaffold);
  for (const [path, text] of made) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text, { flag: "wx" });
    console.log(`wrote ${path}`);
  }
  for (const [path, text] of changed) {
    writeFileSync(join(root, path), text);
    console.log(`added its line to ${path}`);
  }
}

async function print(root: string, scaffold: Scaffold): Promise<void> {
  const { made } = await texts(root, scaffold);
  for (const [path, text] of made) console.log(`--- ${path}\n${text}`);
  for (const { path, import: line, name, list } of scaffold.registrations)
    console.log(`--- ${path}: add\n${line}\nand ${name} to the list «${list.trim()}…».`);
  for (const { path, line, before } of scaffold.insertions ?? [])
    console.log(`--- ${path}: add above «${before.trim().split("\n")[0]}»\n${line}`);
  console.log("Repeat the command with --write to make these changes.");
}

/** The command of a generator: one name, `--write` or not. Ends the process with 1 and one line where it cannot be done. */
export async function scaffold(
  script: string,
  usage: string,
  make: (name: string, root: string) => Scaffold,
): Promise<void> {
  const root = join(import.meta.dirname, "..");
  const args = process.argv.slice(2);
  const [name, ...others] = args.filter((a) => a !== "--write");
  try {
    if (!name || name.startsWith("-") || others.length > 0)
      throw new Error(`Type: npm run ${script} -- ${usage} [--write]`);
    const made = make(name, root);
    await (args.includes("--write") ? write : print)(root, made);
    console.log(made.next.map((line) => `Next: ${line}`).join("\n"));
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}

/** Whether this file is the script that was started. */
export const isMain = (filename: string): boolean =>
  process.argv[1] !== undefined && filename === resolve(process.argv[1]);
