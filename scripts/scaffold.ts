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
      `"${name}" is no name for a ${what}: use lower case letters, digits and _, 2 to ${max}, such as ${example}.`,
    );
  if (WORDS.has(name) || taken.includes(name))
    throw new Error(`"${name}" is taken by the code itself; choose another name.`);
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

/** As `npm run format` would leave it. */
async function formatted(root: string, path: string, text: string): Promise<string> {
  if (!path.endsWith(".ts")) return text;
  const { format, resolveConfig } = await import("prettier");
  return await format(text, { ...(await resolveConfig(join(root, path))), filepath: path });
}

/** Everything is read, checked and formatted before the first file is written; no file is overwritten. */
async function write(root: string, { files, registrations }: Scaffold): Promise<void> {
  checkFree(root, ...files.keys());
  const changed = new Map<string, string>();
  for (const r of registrations)
    changed.set(r.path, registered(changed.get(r.path) ?? readFileSync(join(root, r.path), "utf8"), r));
  const texts: [string, string][] = [];
  for (const [path, text] of [...files, ...changed]) texts.push([path, await formatted(root, path, text)]);
  for (const [path, text] of texts) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text, { flag: changed.has(path) ? "w" : "wx" });
    console.log(changed.has(path) ? `added its line to ${path}` : `wrote ${path}`);
  }
}

async function print(root: string, { files, registrations }: Scaffold): Promise<void> {
  for (const [path, text] of files) console.log(`--- ${path}\n${await formatted(root, path, text)}`);
  for (const { path, import: line, name, list } of registrations)
    console.log(`--- ${path}: add\n${line}\nand ${name} to the list «${list.trim()}…».`);
  console.log("With --write all of this is done.");
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
