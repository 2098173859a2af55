// Loads a function under plain Deno at the address of DENO_SERVE_ADDRESS, which Deno 2.1 does not know itself.
// As `userWorker` it finds the world of a Supabase edge runtime's user worker: `Deno` holds what the edge runtime puts there and
// nothing else; what would end or signal the process does nothing. As `process` it finds all of Deno.
// Arguments: `userWorker` or `process`, the function's entry.

const [kind, entry] = Deno.args;
const given = { ...Deno };
const nothing = () => {};
const address = /^tcp:(.+):(\d+)$/.exec(given.env.get("DENO_SERVE_ADDRESS") ?? "");

const serve = (...args) => {
  if (!address || args.length > 1) return given.serve(...args);
  return given.serve({ hostname: address[1], port: Number(address[2]), onListen: nothing }, args[0]);
};

/** The members that a user worker's `Deno` has; those for files are left out, because there they only throw. */
const kept = [
  ...["build", "connect", "connectTls", "consoleSize", "env", "errors", "gid", "hostname", "isatty", "listen"],
  ...["loadavg", "memoryUsage", "networkInterfaces", "osRelease", "osUptime", "permissions", "Permissions"],
  ...["PermissionStatus", "pid", "refTimer", "resolveDns", "startTls", "stderr", "stdin", "stdout"],
  ...["systemMemoryInfo", "uid", "unrefTimer", "upgradeWebSocket", "version"],
];
const edge = () => ({
  ...Object.fromEntries(kept.map((name) => [name, given[name]])),
  ...Object.fromEntries(["addSignalListener", "exit", "kill", "removeSignalListener"].map((name) => [name, nothing])),
  args: [],
  execPath: () => "/bin/edge-runtime",
  mainModule: given.mainModule,
  serve,
});

if (kind === "userWorker") {
  Object.defineProperty(globalThis, "Deno", { value: edge(), configurable: false, writable: false });
  Object.defineProperty(globalThis, "EdgeRuntime", { value: { waitUntil: (promise) => promise } });
  for (const name of ["SharedArrayBuffer", "Worker"]) delete globalThis[name];
} else {
  Deno.serve = serve;
}

await import(`file://${entry}`);
