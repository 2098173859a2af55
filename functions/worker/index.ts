import { boot } from "../../modules/boot.ts";
import { live, processMetrics, ready } from "../../modules/kernel/observability/health.ts";
import { startWorker } from "../../modules/kernel/queues/worker.ts";

/** The long-lived worker. SIGTERM drains: nothing new is taken, what runs is finished. */
const kernel = await boot(Deno.env.toObject());
const worker = await startWorker(kernel);

/** For probes and the scraper; nothing else is served here. */
const port = kernel.config.metricsPort;
const server =
  port === null
    ? null
    : Deno.serve({ port, onListen: () => {} }, (request, info) => {
        const { pathname } = new URL(request.url);
        if (pathname === "/health/live") return live();
        if (pathname === "/health/ready") return ready(kernel);
        if (pathname !== "/metrics") return new Response("Not found\n", { status: 404 });
        // Who really asks comes last: what the caller or a proxy says before that opens nothing.
        const headers = new Headers(request.headers);
        headers.append("x-forwarded-for", (info.remoteAddr as Deno.NetAddr).hostname);
        return processMetrics(kernel, headers);
      });

const stop = async () => {
  await worker.stop();
  await server?.shutdown();
  await kernel.close();
  Deno.exit(0);
};
Deno.addSignalListener("SIGTERM", stop);
Deno.addSignalListener("SIGINT", stop);
