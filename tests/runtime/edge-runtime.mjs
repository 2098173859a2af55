// The part of the edge runtime that functions/main uses, under plain Deno: every user worker is a process of its own that
// gets exactly the environment it was created with, no import map, and the rights a user worker has.
// Arguments: the main bundle. Environment: DENO_SERVE_ADDRESS of the main service, FIRST_PORT of the workers.

const started = new Map();
let nextPort = Number(Deno.env.get("FIRST_PORT"));

async function accepts(port) {
  for (let tries = 0; tries < 400; tries++) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      return;
    } catch {
      await new Promise((done) => setTimeout(done, 50));
    }
  }
  throw new Error("the worker did not listen");
}

globalThis.EdgeRuntime = {
  userWorkers: {
    async create({ servicePath, envVars }) {
      if (!started.has(servicePath)) {
        const port = nextPort++;
        const env = { ...Object.fromEntries(envVars), DENO_SERVE_ADDRESS: `tcp:127.0.0.1:${port}` };
        const rights = ["--allow-net", "--allow-env", "--allow-read", "--allow-write", "--allow-sys=hostname"];
        const command = new Deno.Command(Deno.execPath(), {
          args: ["run", "--no-config", "--no-lock", "--no-remote", "--no-npm", ...rights, `${servicePath}/index.js`],
          cwd: servicePath,
          env,
          clearEnv: true,
          stdout: "inherit",
          stderr: "inherit",
        });
        started.set(servicePath, { port, child: command.spawn(), env });
      }
      const { port } = started.get(servicePath);
      await accepts(port);
      return {
        fetch: (request) => {
          const url = new URL(request.url);
          url.host = `127.0.0.1:${port}`;
          return fetch(new Request(url, request));
        },
      };
    },
  },
};

Deno.addSignalListener("SIGTERM", () => {
  for (const { child } of started.values()) child.kill("SIGTERM");
  Deno.exit(0);
});

await import(`file://${Deno.args[0]}`);
