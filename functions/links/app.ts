import { Hono } from "hono";
import type { Kernel } from "../../modules/boot.ts";
import { newRequestId, problemResponse } from "../../modules/kernel/operations/api.ts";
import { AppError } from "../../modules/kernel/errors.ts";
import { measured } from "../../modules/kernel/observability/measure.ts";
import { followLink, openPixel, showUnsubscribe, unsubscribe } from "../../modules/messaging/links.ts";

/** What recipients touch: the open pixel, tracked links and the unsubscribe page. Signed tokens, no cookies, no scripts. */
export const createApp = (kernel: Kernel): Hono =>
  new Hono()
    .basePath("/links")
    .use(measured(kernel, "links"))
    .onError((error, c) => problemResponse(kernel, error, newRequestId(c.req.header("x-request-id"))))
    .notFound((c) =>
      problemResponse(kernel, new AppError("not_found", "No such link."), newRequestId(c.req.header("x-request-id"))),
    )
    .get("/o/:token", (c) => openPixel(kernel, c.req.param("token"), c.req.raw))
    .get("/c/:token", (c) => followLink(kernel, c.req.param("token"), c.req.raw))
    .get("/u/:token", (c) => showUnsubscribe(kernel, c.req.param("token")))
    .post("/u/:token", (c) => unsubscribe(kernel, c.req.param("token"), c.req.raw));
