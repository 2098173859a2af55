import { Hono } from "hono";
import { cors } from "hono/cors";
import { secureHeaders } from "hono/secure-headers";
import type { Kernel } from "../../modules/boot.ts";
import { type Api, mountOperations, newRequestId, problemResponse } from "../../modules/kernel/operations/api.ts";
import { docsPage } from "../../modules/kernel/operations/docs-page.ts";
import { AppError } from "../../modules/kernel/errors.ts";
import { live, metricsText, ready } from "../../modules/kernel/observability/health.ts";
import { supabaseParts } from "../../modules/kernel/observability/parts.ts";
import { openApiDocument } from "../../modules/kernel/operations/openapi.ts";
import { createApp as createWebhooks } from "../webhooks/app.ts";

/** The API: every operation under /api/v1, and the same under /api for callers that name no version. */
export function createApp(kernel: Kernel): Api {
  const document = openApiDocument(kernel.registry.operations, {
    title: `${kernel.config.productName} API`,
    version: "1.0.0",
  });
  const docs = docsPage(document);
  const parts = supabaseParts(kernel);
  const allowed = new Set([
    new URL(kernel.config.publicUrl).origin,
    new URL(kernel.config.supabaseUrl).origin,
    ...kernel.config.corsOrigins,
  ]);

  const base = () => {
    const app: Api = new Hono();
    app.get("/health", (c) => c.redirect("health/ready"));
    app.get("/health/live", () => live());
    app.get("/health/ready", () => ready(kernel, parts));
    app.get("/metrics", (c) => metricsText(kernel, c.req.raw.headers));
    app.get("/openapi.json", (c) => c.json(document as object));
    app.get("/docs", (c) => c.html(docs));
    return mountOperations(app, kernel);
  };

  const app: Api = new Hono();
  app.use(async (c, next) => {
    c.set("requestId", newRequestId(c.req.header("x-request-id")));
    await next();
  });
  app.use(secureHeaders({ crossOriginResourcePolicy: "same-site", xFrameOptions: "DENY" }));
  app.use(
    cors({
      // No wildcard: the console's own origin and those the installation lists.
      origin: (origin) => (allowed.has(origin) ? origin : null),
      allowHeaders: ["authorization", "content-type", "idempotency-key", "x-tenant-id", "x-request-id", "x-api-key"],
      exposeHeaders: [
        "x-request-id",
        "ratelimit",
        "ratelimit-policy",
        "retry-after",
        "idempotency-replayed",
        "content-disposition",
      ],
      allowMethods: ["GET", "POST", "PUT", "PATCH", "DELETE"],
      maxAge: 600,
    }),
  );
  app.route("/api/v1", base());
  const webhooks = createWebhooks(kernel);
  app.mount("/api/webhooks", (request) => webhooks.fetch(aliasRequest(request)));
  app.route("/api", base());
  app.notFound((c) =>
    problemResponse(
      kernel,
      new AppError("not_found", `There is no ${c.req.method} ${c.req.path}.`, {
        suggestion: "GET /api/v1/openapi.json lists all routes.",
      }),
      c.get("requestId"),
    ),
  );
  app.onError((error, c) => problemResponse(kernel, error, c.get("requestId")));
  return app;
}

/** `/api/webhooks/x/y` is `/webhooks/x/y`: mount() has cut the prefix, the webhooks app expects its own. */
const aliasRequest = (request: Request): Request => {
  const url = new URL(request.url);
  url.pathname = `/webhooks${url.pathname}`;
  return new Request(url, request);
};
