import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { Kernel } from "../../modules/boot.ts";
import { newRequestId, problemResponse } from "../../modules/kernel/api.ts";
import { AppError } from "../../modules/kernel/errors.ts";
import { ingest } from "../../modules/providers/ingest.ts";

/** Inbound mail with attachments is the largest thing a provider posts. */
const MAX_BYTES = 25 * 1024 * 1024;

/** Providers' callbacks. No user auth: the adapter's check of the raw bytes is the gate. Answers before any product logic runs. */
export const createApp = (kernel: Kernel): Hono =>
  new Hono()
    .basePath("/webhooks")
    .onError((error, c) => problemResponse(kernel, error, newRequestId(c.req.header("x-request-id"))))
    .notFound((c) =>
      problemResponse(
        kernel,
        new AppError("not_found", "No such webhook."),
        newRequestId(c.req.header("x-request-id")),
      ),
    )
    .post(
      "/:provider/:connection",
      bodyLimit({
        maxSize: MAX_BYTES,
        onError: (c) =>
          problemResponse(
            kernel,
            new AppError("too_large", `At most ${MAX_BYTES} bytes.`),
            newRequestId(c.req.header("x-request-id")),
          ),
      }),
      async (c) => {
        const { provider, connection } = c.req.param();
        const body = new Uint8Array(await c.req.arrayBuffer());
        const fresh = await ingest(kernel, provider, connection, {
          headers: c.req.raw.headers,
          body,
          url: c.req.url,
          now: new Date(),
        });
        return c.json({ accepted: true, duplicate: !fresh }, 200);
      },
    );
