import { expect, test } from "vitest";
import { sinksIn, unusedExceptions } from "./sinks.ts";

test.each([
  ["web/src/routes/+page.svelte", "<p>{@html reply}</p>"],
  ["web/src/lib/x.ts", "node.innerHTML = name;"],
  ["modules/messaging/links.ts", "html`<p>${raw(team)}</p>`"],
  ["modules/contacts/csv.ts", 'import { exec } from "node:child_process";'],
  ["functions/api/app.ts", "await db.unsafe(`select ${name}`)"],
  ["modules/kernel/http/client.ts", "new https.Agent({ rejectUnauthorized: false })"],
  ["modules/tenancy/claim.ts", "const token = Math.random().toString(36);"],
  ["modules/kernel/secrets/signatures.ts", 'createHash("md5")'],
  ["web/src/lib/x.ts", "localStorage.setItem('token', t)"],
])("%s must not say %s", (path, line) => {
  expect(sinksIn(path, `// first\n${line}\n`)).toMatchObject([{ line: 2 }]);
});

test("tests, comments and the places with a reason may", () => {
  expect(sinksIn("tests/hostile/x.test.ts", "page.innerHTML")).toEqual([]);
  expect(sinksIn("web/src/lib/x.ts", "// no innerHTML here")).toEqual([]);
  expect(sinksIn("web/src/lib/theme.svelte.ts", "localStorage.setItem('theme', t)")).toEqual([]);
  expect(sinksIn("scripts/verify.ts", 'import { spawn } from "node:child_process";')).toEqual([]);
});

test("a reason without its place is told", () => {
  expect(unusedExceptions([])).not.toEqual([]);
});
