import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ROOT } from "../supabase/embedded/home.ts";
import { newChannel } from "./new-channel.ts";
import { newModule } from "./new-module.ts";
import { newProvider, openIn } from "./new-provider.ts";
import { newStep } from "./new-step.ts";
import { registered } from "./scaffold.ts";

/** A copy of the sources, so that what is written lives nowhere else. */
let copy: string;
beforeAll(() => {
  copy = mkdtempSync(join(tmpdir(), "overture-scaffold-"));
  for (const folder of ["modules", "migrations", "functions", "scripts", "supabase/embedded"])
    cpSync(join(ROOT, folder), join(copy, folder), { recursive: true });
  cpSync(join(ROOT, "tests", "support"), join(copy, "tests", "support"), { recursive: true });
  for (const file of ["tsconfig.json", "package.json", "deno.json", ".prettierrc", ".oxlintrc.json"])
    cpSync(join(ROOT, file), join(copy, file));
  symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"));
});
afterAll(() => rmSync(copy, { recursive: true, force: true }));

const bin = (name: string) => join(ROOT, "node_modules", ".bin", name);
const run = (args: string[], command = bin("node")) => {
  const ran = spawnSync(command, args, {
    cwd: copy,
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1", VITEST: "" },
  });
  return { code: ran.status, out: `${ran.stdout}${ran.stderr}` };
};
const inCopy = (path: string) => readFileSync(join(copy, path), "utf8");

/** Each generator in the order in which an author would need them, with the file that gets its line. */
const MADE = [
  ["new-module", "price_lists", "modules/boot.ts", "priceLists"],
  ["new-step", "keep_note", "modules/campaigns/module.ts", "keepNoteStep"],
  ["new-channel", "whatsapp", "modules/channels/module.ts", "whatsapp"],
  ["new-channel", "linkedin", "modules/channels/module.ts", "linkedin"],
  ["new-channel", "fax", "modules/channels/module.ts", "fax"],
  ["new-provider", "email/acme_mail", "modules/providers/registry.ts", "acmeMail"],
  ["new-provider", "linkedin/pigeon", "modules/providers/registry.ts", "pigeon"],
] as const;
const FOLDERS = [
  "modules/price_lists",
  "modules/channels/whatsapp",
  "modules/channels/linkedin",
  "modules/channels/fax",
  "modules/providers/email/acme_mail",
  "modules/providers/linkedin",
  "modules/providers/whatsapp",
  "modules/providers/fax",
  "modules/providers/conformance",
  "modules/sandbox/linkedin.ts",
  "modules/campaigns/steps",
  ...new Set(MADE.map(([, , list]) => list)),
];

const digest = () => {
  const hash = createHash("sha256");
  for (const path of readdirSync(join(copy, "modules"), { recursive: true, encoding: "utf8" }).sort())
    hash.update(path.endsWith(".ts") ? `${path}\n${inCopy(`modules/${path}`)}` : path);
  return hash.digest("hex");
};

test.each([
  [
    "new-module",
    "price_lists",
    ["price-lists.test.ts", "_price_lists.sql", "select kernel.protect('public.price_lists')"],
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

describe("what --write writes", () => {
  beforeAll(() => {
    for (const [script, name, list, line] of MADE) {
      const { code, out } = run([`scripts/${script}.ts`, name, "--write"]);
      expect(code, out).toBe(0);
      expect(inCopy(list)).toMatch(new RegExp(`\\[[^\\]]*\\b${line},?\\s*\\]`));
    }
  }, 120_000);

  test("type-checks, with its lines in the files that exist", () => {
    const config = inCopy("tsconfig.json").replace(
      /"include": \[[^\]]*\]/,
      `"include": ${JSON.stringify([...FOLDERS, "tests/support/global.ts"])}`,
    );
    writeFileSync(join(copy, "tsconfig.scaffold.json"), config);
    const { code, out } = run([bin("tsc"), "-p", "tsconfig.scaffold.json"]);
    expect(out).toBe("");
    expect(code).toBe(0);
  }, 180_000);

  test("is formatted, and lint finds nothing in it", () => {
    expect(run(["--check", "--log-level", "warn", ...FOLDERS], bin("prettier"))).toEqual({ code: 0, out: "" });
    const { code, out } = run(["--deny-warnings", "--quiet", ...FOLDERS], bin("oxlint"));
    expect(code, out).toBe(0);
  });

  test("boots: every shape is registered once, and fits", () => {
    writeFileSync(
      join(copy, "boots.ts"),
      `import { modules } from "./modules/boot.ts";
import { createRegistry } from "./modules/kernel/registry.ts";
import { loadEmulations } from "./modules/sandbox/emulations.ts";
const { modules: on, steps, channels, providers } = createRegistry(modules);
const emulations = (await loadEmulations()).map((e) => e.id);
console.log(JSON.stringify({ modules: on.map((m) => m.name), steps: [...steps.keys()], channels: [...channels.keys()], providers: providers.map((p) => p.id), emulations }));`,
    );
    const { code, out } = run(["boots.ts"]);
    expect(code, out).toBe(0);
    const has = (...names: string[]) => expect.arrayContaining(names);
    expect(JSON.parse(out)).toEqual({
      modules: has("price_lists"),
      // A channel brings its own step.
      steps: has("keep_note", "whatsapp", "linkedin", "fax"),
      channels: ["email", "sms", "whatsapp", "linkedin", "fax"],
      providers: has("acme_mail", "pigeon"),
      emulations: has("acme_mail", "pigeon"),
    });
  });

  test("its own tests pass on a real database; what nobody but the author can know is red and says so", () => {
    expect(readdirSync(join(copy, "migrations")).sort().at(-1)).toMatch(/_price_lists\.sql$/);
    writeFileSync(
      join(copy, "setup.ts"),
      `import { startStack } from "./supabase/embedded/stack.ts";
export default async ({ provide }) => {
  const stack = await startStack({ gateway: false });
  provide("stackEnv", { ...stack.env, LOG_LEVEL: "silent" });
  return () => stack.stop();
};`,
    );
    // The second provider is filled in with an API that was made up; the first is left as it was written.
    for (const file of ["adapter.ts", "emulation.ts", "pigeon.test.ts"])
      fillIn(`modules/providers/linkedin/pigeon/${file}`);
    const tests = [
      "modules/price_lists/*.test.ts",
      "modules/campaigns/steps/keep-note.test.ts",
      ...["whatsapp", "linkedin", "fax"].map((c) => `modules/channels/${c}/*.test.ts`),
      "modules/providers/email/acme_mail/*.test.ts",
      "modules/providers/linkedin/pigeon/*.test.ts",
    ];
    writeFileSync(
      join(copy, "vitest.config.ts"),
      `export default { test: { include: ${JSON.stringify(tests)}, globalSetup: ["setup.ts"], testTimeout: 30000, maxWorkers: 2 } };`,
    );
    run([bin("vitest"), "run", "--root", copy, "--reporter=json", "--outputFile=results.json"]);
    const results = JSON.parse(inCopy("results.json")) as {
      testResults: { name: string; assertionResults: { status: string; title: string; failureMessages: string[] }[] }[];
    };
    const red = (file: string) => {
      const all = results.testResults.find((r) => r.name.endsWith(file))?.assertionResults ?? [];
      expect(all.length, file).toBeGreaterThan(1);
      return all.filter((a) => a.status !== "passed").map((a) => `${a.title}: ${a.failureMessages.join(" ")}`);
    };
    for (const file of ["price-lists", "keep-note", "whatsapp", "linkedin", "pigeon"])
      expect(red(`${file}.test.ts`)).toEqual([]);
    // Contacts keep no address for it.
    expect(red("fax.test.ts")).toEqual([
      expect.stringMatching(/fill in: modules\/contacts\/sql\/addresses\.sql takes no address for fax/),
    ]);
    const acme = red("acme_mail.test.ts").join("\n");
    for (const what of [
      "fill in adapter.ts from the API's documentation",
      "fill in emulation.ts from the API's documentation",
      "the header that carries the API key",
      "fill in BASE",
      "Fill in modules/providers/email/acme_mail/adapter.ts from the API's documentation: path and body of a send",
    ])
      expect(acme).toContain(what);
  }, 240_000);

  test("a second run for the same name is refused and leaves everything as it is", () => {
    const before = digest();
    for (const [script, name] of MADE) {
      const { code, out } = run([`scripts/${script}.ts`, name, "--write"]);
      expect(code).toBe(1);
      expect(out).toMatch(/^modules\/[\w/.-]+ exists already\.\n$/);
    }
    expect(digest()).toBe(before);
  });
});

/** What an author would write from the documentation of an API that keeps messages of a sender under a key. */
const FILLED: readonly [open: string, code: string][] = [
  ["BASE, the address", `""`],
  ["the header that carries the API key", "({ authorization: `Bearer ${credentials.api_key}` })"],
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
  ["the answer to a send", "({ id: message.id })"],
  ["CHECK, path and answer", "({ id: account.id })"],
];

function fillIn(path: string) {
  let text = inCopy(path);
  for (const what of openIn(text)) {
    const code = FILLED.find(([open]) => what.startsWith(open))?.[1];
    if (!code) throw new Error(`Nothing to fill in for: ${what}`);
    const start = text.search(new RegExp(`fillIn\\(\\s*"${what.slice(0, 20)}`));
    // Up to its closing bracket; none of them holds another.
    const end = text.slice(start).search(/",?[^"()]*\)(?=[;,\n])/);
    const rest = text.slice(start + end).replace(/^[^)]*\)/, "");
    text = text.slice(0, start) + code + rest;
  }
  text = text
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
}

const makers = { module: newModule, step: newStep, channel: newChannel, provider: newProvider };
test.each([
  ["module", "Notes", /lower case/],
  ["module", "../notes", /lower case/],
  ["module", "1notes", /lower case/],
  ["module", "kernel", /taken/],
  ["module", "delete", /taken/],
  ["module", "contacts", /modules\/contacts exists already/],
  ["step", "Call", /lower case/],
  ["step", "a-b", /lower case/],
  ["step", "wait", /steps\/wait\.ts exists already/],
  ["step", "email", /modules\/channels\/email exists already/],
  ["channel", "Fax", /lower case/],
  ["channel", "a/b", /lower case/],
  ["channel", "sms", /modules\/channels\/sms exists already/],
  ["channel", "wait", /steps\/wait\.ts exists already/],
  ["channel", "x".repeat(32), /2 to 31/],
  ["provider", "acme", /write the channel and the provider's id, such as email\/acme/],
  ["provider", "email/acme/two", /write the channel/],
  ["provider", "email/Acme", /lower case/],
  ["provider", "fax/acme", /no channel «fax»; there are email, sms\. A new one: npm run new:channel -- fax/],
  ["provider", "email/resend", /modules\/providers\/email\/resend exists already/],
  ["provider", "email/twilio", /modules\/providers\/sms\/twilio exists already/],
  ["provider", "email/api", /taken/],
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

test("the migration's name sorts after every other, also when the clock is behind", () => {
  const made = newModule("notes", ROOT, new Date("2020-01-01T00:00:00Z"));
  const [migration] = [...made.files.keys()].filter((p) => p.startsWith("migrations/"));
  const newest = readdirSync(join(ROOT, "migrations")).sort().at(-1)!;
  expect(migration! > `migrations/${newest}`).toBe(true);
});

test("a list it does not find, or a name that the file has already, is left to a person", () => {
  const [line] = newModule("notes", ROOT).registrations;
  const list = 'import { a } from "./a.ts";\n\nexport const modules: readonly ModuleDef[] = [a];\n';
  expect(registered(list, line!)).toBe(
    'import { a } from "./a.ts";\nimport { notes } from "./notes/module.ts";\n\nexport const modules: readonly ModuleDef[] = [a, notes];\n',
  );
  expect(() => registered("export const modules = load();", line!)).toThrow(/by hand/);
  expect(() => registered(`${list}const notes = 1;`, line!)).toThrow(/has a notes already/);
});

test("nothing of it stands in the repository", () => {
  for (const [, , list, line] of MADE) expect(readFileSync(join(ROOT, list), "utf8")).not.toContain(line);
  expect(existsSync(join(ROOT, "modules", "price_lists"))).toBe(false);
});
