// Runs after npm install; drop it with the release of postgres that fixes both. postgres 3.4.9
// - writes to a socket that is gone when a connection is lost inside a transaction: the exception comes from a timer, so nothing can catch it
//   and the process ends; a write that was waiting also keeps the pooled connection from ever writing again (pull requests 1168, 1176, 1209
//   of github.com/porsager/postgres).
// - lets a transaction that goes on after its connection was lost send its statements, its commit or its rollback over the same object,
//   which by then may be in another's transaction.
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const CONNECTION = [
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

const BEGIN = [
  [
    `        new Promise((_, reject) => connection.onclose = reject)
`,
    `        new Promise((_, reject) => connection.onclose = x => {
          lost = x
          while (queries.length) queries.shift().reject(x)
          reject(x)
        })
`,
  ],
  [
    `      , connection
      , prepare = null
`,
    `      , connection
      , lost = null
      , prepare = null
`,
  ],
  [
    `        q.catch(e => uncaughtError || (uncaughtError = e))
        c.queue === full
`,
    `        q.catch(e => uncaughtError || (uncaughtError = e))
        lost
          ? q.reject(lost)
          : c.queue === full
`,
  ],
];

const root = join(import.meta.dirname, "..", "node_modules", "postgres");
const FILES = [
  ["src/connection.js", CONNECTION],
  ["cjs/src/connection.js", CONNECTION],
  ["src/index.js", BEGIN],
  ["cjs/src/index.js", BEGIN],
];
for (const [name, patches] of FILES) {
  const file = join(root, name);
  if (!existsSync(file)) continue;
  let text = readFileSync(file, "utf8");
  const before = text;
  for (const [wrong, right] of patches) {
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
