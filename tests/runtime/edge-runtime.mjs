// The part of the edge runtime that functions/main uses, under plain Deno: every user worker is a process of its own that
// gets exactly the environment it was created with and the rights a user worker has; a bundle also gets no import map.
// Arguments: the main service's entry. Environment: DENO_SERVE_ADDRESS of the main service, FIRST_PORT of the workers.

const started = new Map();
let nextPort = Number(Deno.env.get("FIRST_PORT"));
const [, hostname, mainPort] = /^tcp:(.+):(\d+)$/.exec(Deno.env.get("DENO_SERVE_ADDRESS"));
const isBundle = Deno.args[0].endsWith(".js");
const launch = new URL("launch.mjs", import.meta.url).pathname;

const serve = Deno.serve;
Deno.serve = (handler) => serve({ hostname, port: Number(mainPort), onListen: () => {} }, handler);

async function accepts(port, child) {
  const ended = child.status.then(() => true);
  const pause = () => new Promise((done) => setTimeout(() => done(false), 50));
  for (let tries = 0; tries < 400; tries++) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      return;
    } catch {
      if (await Promise.race([ended, pause()])) break;
    }
  }
  throw new Error("the worker did not listen");
}

globalThis.EdgeRuntime = {
  userWorkers: {
    async create({ servicePath, envVars }) {
      if (!started.has(servicePath)) {
        const port = nextPort++;
        const own = { DENO_SERVE_ADDRESS: `tcp:127.0.0.1:${port}`, DENO_DIR: Deno.env.get("DENO_DIR") };
        const env = { ...Object.fromEntries(envVars), ...own };
        const rights = ["--allow-net", "--allow-env", "--allow-read", "--allow-write", "--allow-sys=hostname"];
        const isolated = isBundle ? ["--no-config", "--no-remote", "--no-npm"] : [];
        const entry = `${servicePath}/index.${isBundle ? "js" : "ts"}`;
        const command = new Deno.Command(Deno.execPath(), {
          args: ["run", "--no-lock", ...isolated, ...rights, launch, "userWorker", entry],
          cwd: servicePath,
          env,
          clearEnv: true,
          stdout: "inherit",
          stderr: "inherit",
        });
        started.set(servicePath, { port, child: command.spawn(), env });
      }
      const { port, child } = started.get(servicePath);
      await accepts(port, child);
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
