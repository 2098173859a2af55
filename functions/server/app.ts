import { Hono } from "hono";
import type { Kernel } from "../../modules/boot.ts";
import { newRequestId, problemResponse } from "../../modules/kernel/operations/api.ts";
import { AppError } from "../../modules/kernel/errors.ts";
import { createApp as createApi } from "../api/app.ts";
import { createApp as createLinks } from "../links/app.ts";
import { createApp as createWebhooks } from "../webhooks/app.ts";

/** Addresses without a version, which the API answers below /api. */
const FACADE = /^\/(health(\/.*)?|metrics|auth\/(register|signup|login|refresh|me|logout))$/;

/** API, webhooks and links in one long-lived process: one pool, one set of metrics, the addresses of the gateway. For containers. */
export function createApp(kernel: Kernel): Hono {
  const [api, webhooks, links] = [createApi(kernel), createWebhooks(kernel), createLinks(kernel)];
  const app = new Hono();
  app.all("/webhooks/*", (c) => webhooks.fetch(c.req.raw));
  app.all("/links/*", (c) => links.fetch(c.req.raw));
  app.all("/api/*", (c) => api.fetch(c.req.raw));
  app.all("*", (c) => {
    if (FACADE.test(c.req.path)) {
      const url = new URL(c.req.url);
      url.pathname = `/api${url.pathname}`;
      return api.fetch(new Request(url, c.req.raw));
    }
    const requestId = newRequestId(c.req.header("x-request-id"));
    return problemResponse(kernel, new AppError("not_found", `There is no ${c.req.method} ${c.req.path}.`), requestId);
  });
  return app;
}

/**
 * The request with the address it came from. A proxy in front has named its caller already; only that it was this very machine is
 * believed of nobody but this machine, because such callers need no key for the metrics.
 */
export function withPeer(request: Request, peer: string): Request {
  const given = request.headers.get("x-forwarded-for");
  const last = given?.split(",").at(-1)?.trim();
  if (last && (isLocal(peer) || !isLocal(last))) return request;
  const forwarded = new Request(request);
  forwarded.headers.set("x-forwarded-for", given ? `${given}, ${peer}` : peer);
  return forwarded;
}

const isLocal = (address: string) => /^(127\.0\.0\.1|::1)$/.test(address);
