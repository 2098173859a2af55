import { Hono } from "hono";
import type { Kernel } from "../../modules/boot.ts";
import { newRequestId, problemResponse } from "../../modules/kernel/operations/api.ts";
import { readBody } from "../../modules/kernel/http/body.ts";
import { AppError } from "../../modules/kernel/errors.ts";
import { measured } from "../../modules/kernel/observability/measure.ts";
import { ingest } from "../../modules/providers/ingest.ts";

/** Inbound mail with attachments is the largest thing a provider posts. */
const MAX_BYTES = 25 * 1024 * 1024;

/** Providers' callbacks. No user auth: the adapter's check of the raw bytes is the gate. Answers before any product logic runs. */
export const createApp = (kernel: Kernel): Hono =>
  new Hono()
    .basePath("/webhooks")
    .use(measured(kernel, "webhooks"))
    .onError((error, c) => problemResponse(kernel, error, newRequestId(c.req.header("x-request-id"))))
    .notFound((c) =>
      problemResponse(
        kernel,
        new AppError("not_found", "No such webhook."),
        newRequestId(c.req.header("x-request-id")),
      ),
    )
    .post("/:provider/:connection", async (c) => {
      const { provider, connection } = c.req.param();
      const timeout = kernel.config.bodyTimeoutMs;
      const call = { headers: c.req.raw.headers, url: c.req.url, now: new Date() };
      const { fresh, answer } = await ingest(kernel, provider, connection, call, () =>
        readBody(c.req.raw, { maxBytes: MAX_BYTES, idleMs: timeout, totalMs: timeout }),
      );
      if (answer) return c.body(answer.body, 200, { "content-type": answer.content_type });
      return c.json({ accepted: true, duplicate: !fresh }, 200);
    });
