import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Mutation } from "../tests/mutations/mutation.ts";
import { mutations, SECTIONS } from "../tests/mutations/table.ts";
import { MutationRun } from "./mutation-run.ts";

/**
 * Takes each guard of the table away, in a copy, and demands that the test named for it goes red.
 *
 *   npm run mutations                  all of them (more than an hour)
 *   npm run mutations -- ssrf "row level"   those whose section, promise or file contains one of the words
 *   npm run mutations -- --part 2/4    a quarter of the test files
 *   npm run mutations -- --list
 */

const ROOT = join(import.meta.dirname, "..");

const stem = (path: string) =>
  path
    .split("/")
    .at(-1)!
    .replace(/\.(test|spec)\.ts$/, "");
const occurrences = (text: string, find: string) => text.split(find).length - 1;

/** What a row of docs/concepts/guarantees.md says of a mutation's test. */
const testCell = (m: Mutation) => `\`${stem(m.test)}\`: ${m.name}`;

/** What is wrong with the table itself; fast, so that it cannot rot between runs. `read` gives a tracked file's text. */
export function tableFaults(read: (path: string) => string | null): string[] {
  const faults: string[] = [];
  const page = (read("docs/concepts/guarantees.md") ?? "").replace(/ +/g, " ");
  for (const m of mutations) {
    const fault = (what: string) => faults.push(`tests/mutations: "${m.promise}": ${what}`);
    const source = read(m.file);
    if (source === null) fault(`${m.file} does not exist`);
    else if (occurrences(source, m.find) !== 1)
      fault(`the text to replace stands ${occurrences(source, m.find)} times in ${m.file}; it must stand once`);
    else if (m.file.startsWith("migrations/") && inGenerated(source, m.find))
      fault("the text stands in a generated block, which is written anew; name its home in modules/*/sql");
    if (m.replace === m.find) fault("replaces nothing");
    const test = read(m.test);
    if (test === null) fault(`${m.test} does not exist`);
    else if (!titled(test, m.name)) fault(`${m.test} has no test named exactly "${m.name}"`);
    if (!page.includes(testCell(m).replace(/ +/g, " ")))
      fault(`docs/concepts/guarantees.md has no row with ${testCell(m)}`);
    if (SECTIONS.includes(m.section) && !page.includes(`| ${m.promise} |`))
      fault("docs/concepts/guarantees.md does not make this promise");
  }
  return faults;
}

/** Whether a test file has a title that is this name from quote to quote: a run selects tests by their whole title. */
const titled = (test: string, name: string) => {
  const plain = test.replace(/\\(["'`])/g, "$1");
  return [`"`, `'`, "`"].some((quote) => plain.includes(quote + name + quote));
};

/** Whether a text of a migration stands in a block that `npm run migration -- --refresh` writes. */
const inGenerated = (source: string, find: string) =>
  !source.replace(/^-- generated from [^]*?^-- end of generated$/gm, "").includes(find);

/** `2/4` as numbers; without it everything is one part. */
function partOf(args: readonly string[]): { part: number; parts: number } {
  const at = args.indexOf("--part");
  if (at < 0) return { part: 1, parts: 1 };
  const [part, parts] = (args[at + 1] ?? "").split("/").map(Number);
  if (!(part! >= 1 && part! <= parts!)) throw new Error("--part wants K/N, as in --part 2/4.");
  return { part: part!, parts: parts! };
}

async function main(args: readonly string[]): Promise<number> {
  const { part, parts } = partOf(args);
  const words = args.filter((a, i) => !a.startsWith("--") && args[i - 1] !== "--part").map((w) => w.toLowerCase());
  const named = mutations.filter(
    (m) =>
      words.length === 0 ||
      words.some((w) => `${m.section} ${m.promise} ${m.file} ${m.test}`.toLowerCase().includes(w)),
  );
  const byFile = [...Map.groupBy(named, (m) => m.test)].filter((_, i) => i % parts === part - 1);
  const chosen = byFile.flatMap(([, list]) => list);
  if (args.includes("--list")) {
    for (const m of chosen) console.log(`${m.section}: ${m.promise}\n    ${m.file} → ${testCell(m)}`);
    return 0;
  }
  const faults = tableFaults((path) => (existsSync(join(ROOT, path)) ? readFileSync(join(ROOT, path), "utf8") : null));
  for (const fault of faults) console.error(fault);
  if (faults.length > 0) return 1;
  if (chosen.length === 0) {
    console.error(`No mutation has ${words.join(" or ")} in its section, promise or file; --list shows all.`);
    return 1;
  }
  const run = new MutationRun();
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.on(signal, () => void run.close().finally(() => process.exit(130)));
  let [done, wrong] = [0, 0];
  let started = performance.now();
  try {
    for (const [file, list] of byFile) {
      await run.file(file, list, (m, { ok, detail }) => {
        if (!ok) wrong += 1;
        const seconds = ((performance.now() - started) / 1000).toFixed(0);
        console.log(
          `${ok ? "ok  " : "FAIL"} ${++done}/${chosen.length} ${m.section}: ${m.promise} — ${detail} (${seconds} s)`,
        );
        started = performance.now();
      });
    }
  } finally {
    await run.close();
  }
  console.log(wrong === 0 ? `every guard is missed when it is gone (${chosen.length})` : `${wrong} faults`);
  return wrong === 0 ? 0 : 1;
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
