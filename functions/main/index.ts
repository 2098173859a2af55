import { CONFIGURATION } from "./configuration.gen.ts";

/**
 * The edge runtime's main service where Supabase is self-hosted with compose or Kubernetes: maps /<name> to the bundle
 * /<name> beside this one. Neither `supabase start` nor the embedded default needs it; they bring their own.
 */

/** What the edge runtime offers to its main service; only the options used here. */
declare const EdgeRuntime: {
  userWorkers: {
    create(options: {
      servicePath: string;
      envVars: [string, string][];
      memoryLimitMb: number;
      workerTimeoutMs: number;
      cpuTimeSoftLimitMs: number;
      cpuTimeHardLimitMs: number;
      noModuleCache: boolean;
      forceCreate: boolean;
    }): Promise<{ fetch(request: Request): Promise<Response> }>;
  };
};

/** The long-lived worker is a process of its own and has no URL. */
const FUNCTIONS = ["api", "webhooks", "links", "tick"];

/** The container's environment also holds what only the platform may know; a function sees its configuration. */
const envVars = CONFIGURATION.flatMap((key): [string, string][] => {
  const value = Deno.env.get(key);
  return value === undefined ? [] : [[key, value]];
});

const problem = (status: number, title: string, detail: string) =>
  new Response(JSON.stringify({ type: "about:blank", title, status, detail }), {
    status,
    headers: { "content-type": "application/problem+json" },
  });

const createWorker = (name: string) =>
  EdgeRuntime.userWorkers.create({
    servicePath: new URL(`../${name}`, import.meta.url).pathname,
    envVars,
    memoryLimitMb: 256,
    // The tick drains for 20 s; an import streams for longer. Half of it is when an isolate stops taking requests.
    workerTimeoutMs: 400_000,
    // Both zero: CPU time adds up over all requests of an isolate, so any limit would end busy ones at random.
    cpuTimeSoftLimitMs: 0,
    cpuTimeHardLimitMs: 0,
    noModuleCache: false,
    forceCreate: false,
  });

Deno.serve(async (request) => {
  const [, name = ""] = new URL(request.url).pathname.split("/");
  if (name === "_health") return Response.json({ status: "ok" });
  if (!FUNCTIONS.includes(name))
    return problem(404, "Not found", `There is no function "${name}". There are: ${FUNCTIONS.join(", ")}.`);
  try {
    const worker = await createWorker(name);
    return await worker.fetch(request);
  } catch (error) {
    console.error(`the function ${name} did not respond: ${(error as Error).stack ?? error}`);
    return problem(503, "Unavailable", `The function ${name} did not respond; its log says why.`);
  }
});
