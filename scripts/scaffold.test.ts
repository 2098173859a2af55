import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ROOT } from "../supabase/embedded/home.ts";
import { nextVersion } from "./migration-blocks.ts";
import { newChannel } from "./new-channel.ts";
import { newModule } from "./new-module.ts";
import { newProvider, openIn } from "./new-provider.ts";
import { newStep } from "./new-step.ts";
import { inserted, registered } from "./scaffold.ts";

/** A copy of the repository, so that what is written lives nowhere else. */
let copy: string;
const LEFT_OUT = /(^|\/)(node_modules|\.git|\.overture|\.svelte-kit|\.temp|dist|test-results|coverage)$|^web\/build$/;
beforeAll(() => {
  copy = mkdtempSync(join(tmpdir(), "overture-scaffold-"));
  cpSync(ROOT, copy, {
    recursive: true,
    verbatimSymlinks: true,
    filter: (path) => !LEFT_OUT.test(relative(ROOT, path)),
  });
  symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"));
  // The rules ask git which files there are.
  expect(run(["init", "--quiet"], "git")).toEqual({ code: 0, out: "" });
});
afterAll(() => rmSync(copy, { recursive: true, force: true }));

const bin = (name: string) => join(ROOT, "node_modules", ".bin", name);
const inCopy = (path: string) => readFileSync(join(copy, path), "utf8");
const env = () => ({ ...process.env, NO_COLOR: "1", VITEST: "" });
const run = (args: string[], command = bin("node")) => {
  const ran = spawnSync(command, args, { cwd: copy, encoding: "utf8", env: env() });
  return { code: ran.status, out: `${ran.stdout}${ran.stderr}` };
};

/** Each generator in the order in which an author would need them, with the file that gets its line. */
const MADE = [
  ["new-module", "price_lists", "modules/boot.ts", "priceLists"],
  ["new-step", "keep_note", "modules/campaigns/module.ts", "keepNoteStep"],
  ["new-channel", "linkedin", "modules/channels/module.ts", "linkedin"],
  ["new-channel", "fax_line", "modules/channels/module.ts", "faxLine"],
  ["new-provider", "email/acme_mail", "modules/providers/registry.ts", "acmeMail"],
  ["new-provider", "linkedin/pigeon", "modules/providers/registry.ts", "pigeon"],
] as const;

const digest = () => {
  const hash = createHash("sha256");
  for (const folder of ["modules", "migrations", "tests/isolation"])
    for (const path of readdirSync(join(copy, folder), { recursive: true, encoding: "utf8" }).sort())
      hash.update(/\.\w+$/.test(path) ? `${path}\n${inCopy(`${folder}/${path}`)}` : path);
  return hash.digest("hex");
};

test.each([
  [
    "new-module",
    "price_lists",
    [
      "price-lists.test.ts",
      "_price_lists.sql",
      "kernel.protect('public.price_lists')",
      "-- generated from modules/*/sql",
    ],
  ],
  [
    "new-step",
    "keep_note",
    ["steps/keep-note.ts", "steps/keep-note.test.ts", "and keepNoteStep to the list «steps: […»"],
  ],
  ["new-channel", "whatsapp", ["whatsapp/channel.ts", "whatsapp/whatsapp.test.ts", 'contact_field: "whatsapp_number"']],
  [
    "new-provider",
    "email/acme_mail",
    [
      "adapter.ts",
      "emulation.ts",
      "acme_mail.test.ts",
      'import { acmeMail } from "./email/acme_mail/adapter.ts";',
      "Next: fill in",
    ],
  ],
])("without --write %s prints the files, the line and what is next, and writes nothing", (script, name, parts) => {
  const before = digest();
  const { code, out } = run([`scripts/${script}.ts`, name]);
  expect(code, out).toBe(0);
  for (const part of parts) expect(out).toContain(part);
  expect(digest()).toBe(before);
});

type Results = {
  testResults: { name: string; assertionResults: { status: string; title: string; failureMessages: string[] }[] }[];
};
const SETUP = `import { startStack } from "./supabase/embedded/stack.ts";
export default async ({ provide }) => {
  const stack = await startStack({ gateway: false });
  provide("stackEnv", { ...stack.env, LOG_LEVEL: "silent" });
  return () => stack.stop();
};`;
const TESTS = [
  "modules/price_lists/*.test.ts",
  "modules/campaigns/steps/keep-note.test.ts",
  "modules/channels/{linkedin,fax_line}/*.test.ts",
  "modules/providers/{email/acme_mail,linkedin/pigeon}/*.test.ts",
  "tests/isolation/rows.test.ts",
];

/** Runs the tests of the copy; beside the other checks, because most of it is waiting for the database. */
const startTests = () =>
  new Promise<string>((resolve) => {
    const config = { include: TESTS, globalSetup: ["setup.ts"], testTimeout: 30_000, maxWorkers: 1 };
    writeFileSync(join(copy, "setup.ts"), SETUP);
    writeFileSync(join(copy, "vitest.config.ts"), `export default { test: ${JSON.stringify(config)} };`);
    const args = [bin("vitest"), "run", "--root", copy, "--reporter=json", "--outputFile=results.json"];
    const child = spawn(bin("node"), args, { cwd: copy, env: env() });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (text: Buffer) => (output += text));
    child.on("close", () => resolve(output));
  });

describe("what --write writes", () => {
  let tested: Promise<string>;
  beforeAll(() => {
    for (const [script, name, list, line] of MADE) {
      const { code, out } = run([`scripts/${script}.ts`, name, "--write"]);
      expect(code, out).toBe(0);
      expect(inCopy(list)).toMatch(new RegExp(`\\[[^\\]]*\\b${line},?\\s*\\]`));
    }
    // The second provider is filled in with an API that was made up; the first is left as it was written.
    for (const file of ["adapter.ts", "emulation.ts", "pigeon.test.ts"])
      fillIn(`modules/providers/linkedin/pigeon/${file}`);
    tested = startTests();
  }, 120_000);

  /** Files that are new or changed. */
  const written = () => {
    const paths = (root: string) =>
      readdirSync(root, { recursive: true, encoding: "utf8" }).filter((p) => p.endsWith(".ts"));
    return ["modules", "tests/isolation"].flatMap((folder) =>
      paths(join(copy, folder))
        .map((path) => `${folder}/${path}`)
        .filter((path) => !existsSync(join(ROOT, path)) || inCopy(path) !== readFileSync(join(ROOT, path), "utf8")),
    );
  };

  test("type-checks, with its lines in the files that exist", () => {
    // The list of all modules takes longer than all the rest, and is run below.
    const files = [...written().filter((path) => path !== "modules/boot.ts"), "tests/support/global.ts"];
    expect(files.length).toBeGreaterThan(20);
    const config = { extends: "./tsconfig.json", compilerOptions: { incremental: false }, include: [], files };
    writeFileSync(join(copy, "tsconfig.written.json"), JSON.stringify(config));
    expect(run(["node_modules/typescript-native/bin/tsc", "-p", "tsconfig.written.json"])).toEqual({
      code: 0,
      out: "",
    });
  }, 180_000);

  test("is formatted, lint finds nothing in it, and the rules of the code base hold", () => {
    const files = written();
    expect(run(["--check", "--log-level", "warn", ...files], bin("prettier"))).toEqual({ code: 0, out: "" });
    const { code, out } = run(["--deny-warnings", "--quiet", ...files], bin("oxlint"));
    expect(code, out).toBe(0);
    const rules = run(["scripts/check.ts"]);
    expect(rules.code, rules.out).toBe(0);
  }, 120_000);

  test("boots: every shape is registered once and fits, and each provider has a page", () => {
    const generated = run(["scripts/generate.ts"]);
    expect(generated.code, generated.out).toBe(0);
    expect(inCopy("docs/providers/README.md")).toMatch(/acme_mail\.md[^]*pigeon\.md/);
    writeFileSync(
      join(copy, "boots.ts"),
      `import { modules } from "./modules/boot.ts";
import { createRegistry } from "./modules/kernel/registry.ts";
import { loadEmulations } from "./modules/sandbox/emulations.ts";
const { modules: on, steps, channels, providers, catalogue } = createRegistry(modules);
const emulations = (await loadEmulations()).map((e) => e.id);
const known = Object.values(catalogue).flat().map((e) => e.value);
console.log(JSON.stringify({ modules: on.map((m) => m.name), steps: [...steps.keys()], channels: [...channels.keys()], providers: providers.map((p) => p.id), emulations, known }));`,
    );
    const { code, out } = run(["boots.ts"]);
    expect(code, out).toBe(0);
    const has = (...names: string[]) => expect.arrayContaining(names);
    expect(JSON.parse(out)).toEqual({
      modules: has("price_lists"),
      // A channel brings its own step.
      steps: has("keep_note", "linkedin", "fax_line"),
      channels: ["email", "sms", "linkedin", "fax_line"],
      providers: has("acme_mail", "pigeon"),
      emulations: has("acme_mail", "pigeon"),
      known: has("keep_note", "linkedin", "fax_line"),
    });
  }, 60_000);

  test("a second run for the same name is refused and leaves everything as it is", () => {
    const before = digest();
    for (const [script, name] of MADE) {
      const { code, out } = run([`scripts/${script}.ts`, name, "--write"]);
      expect(code).toBe(1);
      expect(out).toMatch(/^modules\/[\w/.-]+ exists already\.\n$/);
    }
    expect(digest()).toBe(before);
  }, 60_000);

  test("its own tests pass on a real database; what nobody but the author can know is red and says so", async () => {
    expect(readdirSync(join(copy, "migrations")).sort().at(-1)).toMatch(/_price_lists\.sql$/);
    const output = await tested;
    expect(existsSync(join(copy, "results.json")), output).toBe(true);
    const results = JSON.parse(inCopy("results.json")) as Results;
    const red = (file: string) => {
      const all = results.testResults.find((r) => r.name.endsWith(file))?.assertionResults ?? [];
      expect(all.length, `${file}: ${output}`).toBeGreaterThan(1);
      return all.filter((a) => a.status !== "passed").map((a) => `${a.title}: ${a.failureMessages.join(" ")}`);
    };
    for (const file of ["price-lists", "keep-note", "linkedin", "pigeon", "rows"])
      expect(red(`${file}.test.ts`)).toEqual([]);
    // Contacts keep no address for it.
    expect(red("fax-line.test.ts")).toEqual([
      expect.stringMatching(/fill in: modules\/contacts\/sql\/addresses\.sql takes no address for fax_line/),
    ]);
    const acme = red("acme_mail.test.ts").join("\n");
    for (const what of [
      ...["adapter.ts", "emulation.ts"].map((file) => `fill in ${file} from the API's documentation: `),
      "the header that carries the API key",
      "the answer to a send that was accepted",
      "fill in BASE",
      "Fill in modules/providers/email/acme_mail/adapter.ts from the API's documentation: path and body of a send",
    ])
      expect(acme).toContain(what);
  }, 240_000);
});

/** What an author would write from the documentation of an API that keeps messages of a sender under a key. */
const FILLED: readonly [open: string, code: string][] = [
  ["BASE, the address", `""`],
  ["the header that carries the API key", "{ authorization: `Bearer ${credentials.api_key}` }"],
  [
    "the fields of an error's body",
    "ErrorBody.catch({ code: `http_${response.status}`, message: response.text() }).parse(answers.jsonOrNull(response))",
  ],
  ["the field of a send's answer", "z.object({ id: z.string() }).safeParse(answer).data?.id ?? null"],
  [
    "path and body of a send",
    `{ path: "/messages", body: { to: message.to.address, from: message.from.address, text: message.content.text, ref: message.id } }`,
  ],
  ["the path of a cheap call", `"/account"`],
  ["an error's answer", "Response.json({ code, message }, { status, headers })"],
  [
    "the header that carries the key",
    `/^Bearer key_/.test(request.headers.get("authorization") ?? "") ? { key: request.headers.get("authorization")!.slice(7) } : fail(401, "bad_key", "Wrong key.")`,
  ],
  [
    "SEND and NewMessage",
    `newMessage(account, "linkedin", { our_id: body.ref, from: { address: body.from, name: "" }, to: [{ address: body.to, name: "" }], text: body.text })`,
  ],
  ["the answer to a send", "{ id: message.id }"],
  ["CHECK, path and answer", "{ id: account.id }"],
];

function fillIn(path: string) {
  let text = inCopy(path);
  const calls: ts.CallExpression[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && node.expression.getText() === "fillIn" && ts.isStringLiteral(node.arguments[0]!))
      calls.push(node);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true));
  expect(calls.length, "what the next steps name").toBe(openIn(text).length);
  for (const call of calls.toReversed()) {
    const what = (call.arguments[0] as ts.StringLiteral).text;
    const code = FILLED.find(([open]) => what.startsWith(open))?.[1];
    if (!code) throw new Error(`Nothing to fill in for: ${what}`);
    text = `${text.slice(0, call.getStart())}(${code})${text.slice(call.end)}`;
  }
  text = text
    .replace(/\n\/\*\* What only the provider's documentation can say[^]*?\n\}\n/, "")
    .replace(/import \{ readFileSync \}.*\n/, "")
    .replace(/\/\/ Red until nothing is left[^]*?\n\}\);\n/, "")
    .replace(/const BASE: string \| null = null/, 'const BASE = "https://api.pigeon.example"')
    .replace('docs_url: ""', 'docs_url: "https://pigeon.example/docs"')
    .replace('setup: ""', 'setup: "Copy the key from the page of your account at pigeon.example."')
    .replace("const BROKEN =", "const ErrorBody = z.object({ code: z.string(), message: z.string() });\nconst BROKEN =")
    .replace("import type { Account, Message }", "import { newMessage, type Account, type Message }")
    .replace("POST /fill-in/send", "POST /messages")
    .replace("GET /fill-in/check", "GET /account")
    .replace(
      "const NewMessage = z.strictObject({});",
      "const NewMessage = z.strictObject({ from: z.string(), to: z.string(), text: z.string(), ref: z.string() });",
    );
  writeFileSync(join(copy, path), text);
  expect(run(["--write", "--log-level", "warn", path], bin("prettier"))).toEqual({ code: 0, out: "" });
}

const makers = { module: newModule, step: newStep, channel: newChannel, provider: newProvider };
test.each([
  ["module", "Notes", /lower case/],
  ["module", "../notes", /lower case/],
  ["module", "1notes", /lower case/],
  ["module", "kernel", /reserved word/],
  ["module", "delete", /reserved word/],
  ["module", "contacts", /modules\/contacts exists already/],
  ["module", "threads", /migrations\/\w+\.sql has a table of the name threads already/],
  ["module", "tags", /modules\/contacts\/tags\.ts has a route of the name tags already/],
  ["step", "Call", /lower case/],
  ["step", "a-b", /lower case/],
  ["step", "wait", /steps\/wait\.ts exists already/],
  ["step", "email", /modules\/channels\/email exists already/],
  ["channel", "Fax", /lower case/],
  ["channel", "a/b", /lower case/],
  ["channel", "sms", /modules\/channels\/sms exists already/],
  ["channel", "wait", /steps\/wait\.ts exists already/],
  ["channel", "x".repeat(32), /2 to 31/],
  ["provider", "acme", /give the channel and the provider's id, such as email\/acme/],
  ["provider", "email/acme/two", /give the channel/],
  ["provider", "email/Acme", /lower case/],
  ["provider", "fax/acme", /no channel «fax»; there are email, sms\. A new one: npm run new:channel -- fax/],
  ["provider", "email/resend", /modules\/providers\/email\/resend exists already/],
  ["provider", "email/twilio", /modules\/providers\/sms\/twilio exists already/],
  ["provider", "email/api", /reserved word/],
] as const)("a %s named %s is refused with what to do", (kind, name, message) => {
  expect(() => makers[kind](name, ROOT)).toThrow(message);
});

test("a command without a name, with two, or with an unknown option says how it is typed", () => {
  for (const args of [[], ["a", "b"], ["notes", "--force"], ["--write"]])
    expect(run(["scripts/new-step.ts", ...args])).toEqual({
      code: 1,
      out: "Type: npm run new:step -- <kind in snake_case> [--write]\n",
    });
});

test("the migration's name sorts after every other, also when the clock is behind, and is a time", () => {
  const made = newModule("notes", ROOT, new Date("2020-01-01T00:00:00Z"));
  const [migration] = [...made.files.keys()].filter((p) => p.startsWith("migrations/"));
  const newest = readdirSync(join(ROOT, "migrations")).sort().at(-1)!;
  expect(migration! > `migrations/${newest}`).toBe(true);
  const root = mkdtempSync(join(tmpdir(), "overture-versions-"));
  mkdirSync(join(root, "migrations"));
  writeFileSync(join(root, "migrations", "20261231235959_last.sql"), "");
  expect(nextVersion(root, new Date("2026-01-01T00:00:00Z"))).toBe("20270101000000");
  expect(nextVersion(root, new Date("2028-02-03T04:05:06Z"))).toBe("20280203040506");
  rmSync(root, { recursive: true });
});

test("a list it does not find, or a name that the file has already, is left to a person", () => {
  const [line] = newModule("notes", ROOT).registrations;
  const list = 'import { a } from "./a.ts";\n\nexport const modules: readonly ModuleDef[] = [a];\n';
  expect(registered(list, line!)).toBe(
    'import { a } from "./a.ts";\nimport { notes } from "./notes/module.ts";\n\nexport const modules: readonly ModuleDef[] = [a, notes];\n',
  );
  const [row] = newModule("notes", ROOT).insertions!;
  expect(inserted("a\n  });\n  return id;\n}", row!)).toMatch(
    /^a\n {4}await tx`insert into public\.notes .*\n {2}\}\);\n {2}return id;\n\}$/,
  );
  expect(() => inserted("a", row!)).toThrow(/by hand/);
  expect(() => registered("export const modules = load();", line!)).toThrow(/by hand/);
  expect(() => registered(`${list}const notes = 1;`, line!)).toThrow(/has a notes already/);
});
