import type { MiddlewareHandler } from "hono";
import { routePath } from "hono/route";
import type { Kernel } from "../kernel.ts";

/** One answered request, as the metrics and the service levels count it. */
export type Answered = {
  /** `contacts.list`; what stands before the dot is its group in the service levels. */
  operation: string;
  method: string;
  /** The template, never the address: `/contacts/{id}`. */
  route: string;
  status: number;
  seconds: number;
  /** The caller hung up: what came of it is no fault of ours. */
  left: boolean;
};

export function measureRequest(kernel: Pick<Kernel, "metrics" | "samples">, r: Answered): void {
  const labels = { operation: r.operation, method: r.method, route: r.route, status: String(r.status) };
  kernel.metrics.observe("overture_http_request_seconds", "Time to respond to a request", r.seconds, labels);
  if (!r.left) kernel.samples.record("http", r.operation.split(".")[0]!, r.seconds, r.status >= 500);
}

/** For the functions that have routes instead of operations. */
export const measured =
  (kernel: Pick<Kernel, "metrics" | "samples">, group: string): MiddlewareHandler =>
  async (c, next) => {
    const started = performance.now();
    await next();
    measureRequest(kernel, {
      operation: group,
      method: c.req.method,
      // What matched nothing is one route: strangers' addresses must not become series.
      route: c.res.status === 404 ? "none" : routePath(c, -1),
      status: c.res.status,
      seconds: (performance.now() - started) / 1000,
      left: c.req.raw.signal.aborted,
    });
  };
