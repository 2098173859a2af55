// Runs after npm install. postgres 3.4.9 writes to a socket that is gone when a connection is lost inside a transaction: the
// exception comes from a timer, so nothing can catch it and the process ends; a write that was waiting also keeps the pooled
// connection from ever writing again (github.com/porsager/postgres pull requests 1168, 1176, 1209). Drop this with the release that fixes it.
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const PATCHES = [
  [
    `  function nextWrite(fn) {
    const x = socket.write(chunk, fn)
    nextWriteTimer !== null && clearImmediate(nextWriteTimer)
    chunk = nextWriteTimer = null
    return x
  }
`,
    `  function nextWrite(fn) {
    nextWriteTimer !== null && clearImmediate(nextWriteTimer)
    nextWriteTimer = null
    if (socket === null) {
      chunk = null
      error(Errors.connection('CONNECTION_CLOSED', options))
      return false
    }
    const x = socket.write(chunk, fn)
    chunk = null
    return x
  }
`,
  ],
  [
    `    clearImmediate(nextWriteTimer)
    if (socket) {
`,
    `    clearImmediate(nextWriteTimer)
    chunk = nextWriteTimer = null
    if (socket) {
`,
  ],
  [
    `    clearImmediate(nextWriteTimer)
    socket.removeListener('data', data)
`,
    `    clearImmediate(nextWriteTimer)
    chunk = nextWriteTimer = null
    socket.removeListener('data', data)
`,
  ],
];

const root = join(import.meta.dirname, "..", "node_modules", "postgres");
for (const file of ["src/connection.js", "cjs/src/connection.js"].map((name) => join(root, name))) {
  if (!existsSync(file)) continue;
  let text = readFileSync(file, "utf8");
  const before = text;
  for (const [wrong, right] of PATCHES) {
    if (text.includes(right)) continue;
    if (!text.includes(wrong)) {
      console.error(
        `${file} is not the release this patch was made for: see whether the new one needs it (scripts/patch-postgres.mjs).`,
      );
      process.exit(1);
    }
    text = text.replace(wrong, () => right);
  }
  if (text === before) continue;
  // At once for those who read it meanwhile.
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}
