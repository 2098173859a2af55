// The part of the edge runtime that functions/main uses, under plain Deno: every user worker is a process of its own that
// gets exactly the environment it was created with and the rights a user worker has; a bundle also gets no import map.
// Arguments: the main service's entry. Environment: DENO_SERVE_ADDRESS of the main service.

const started = new Map();
const [, hostname, mainPort] = /^tcp:(.+):(\d+)$/.exec(Deno.env.get("DENO_SERVE_ADDRESS"));
const isBundle = Deno.args[0].endsWith(".js");
const launch = new URL("launch.mjs", import.meta.url).pathname;

const serve = Deno.serve;
Deno.serve = (handler) => serve({ hostname, port: Number(mainPort), onListen: () => {} }, handler);

function freePort() {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}

async function accepts(port, child) {
  const ended = child.status.then(() => true);
  const pause = () => new Promise((done) => setTimeout(() => done(false), 50));
  for (let tries = 0; tries < 400; tries++) {
    if (await Promise.race([ended, pause()])) return false;
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      return true;
    } catch {
      // Not yet.
    }
  }
  return false;
}

function spawn(servicePath, envVars) {
  const port = freePort();
  const own = { DENO_SERVE_ADDRESS: `tcp:127.0.0.1:${port}`, DENO_DIR: Deno.env.get("DENO_DIR") };
  const rights = ["--allow-net", "--allow-env", "--allow-read", "--allow-write", "--allow-sys=hostname"];
  const isolated = isBundle ? ["--no-config", "--no-remote", "--no-npm"] : [];
  const entry = `${servicePath}/index.${isBundle ? "js" : "ts"}`;
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-lock", ...isolated, ...rights, launch, "userWorker", entry],
    cwd: servicePath,
    env: { ...Object.fromEntries(envVars), ...own },
    clearEnv: true,
    stdout: "inherit",
    stderr: "inherit",
  });
  return { port, child: command.spawn() };
}

globalThis.EdgeRuntime = {
  userWorkers: {
    async create({ servicePath, envVars }) {
      // A port that was free a moment ago may be another process's by now.
      for (let tries = 1; !started.has(servicePath); tries++) {
        const worker = spawn(servicePath, envVars);
        started.set(servicePath, { ...worker, listens: accepts(worker.port, worker.child) });
        if (await started.get(servicePath).listens) break;
        started.delete(servicePath);
        if (tries === 3) throw new Error("the worker did not listen");
      }
      const { port, listens } = started.get(servicePath);
      if (!(await listens)) throw new Error("the worker did not listen");
      return {
        fetch: (request) => {
          const url = new URL(request.url);
          url.host = `127.0.0.1:${port}`;
          return fetch(new Request(url, request), { redirect: "manual" });
        },
      };
    },
  },
};

Deno.addSignalListener("SIGTERM", () => {
  for (const { child } of started.values()) {
    try {
      child.kill("SIGTERM");
    } catch {
      // It has ended already.
    }
  }
  Deno.exit(0);
});

await import(`file://${Deno.args[0]}`);
