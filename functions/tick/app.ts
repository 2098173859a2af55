import { Hono } from "hono";
import type { Kernel } from "../../modules/boot.ts";
import { newRequestId, problemResponse } from "../../modules/kernel/operations/api.ts";
import { AppError } from "../../modules/kernel/errors.ts";
import { equalSecrets } from "../../modules/kernel/secrets/signatures.ts";
import { drainFor } from "../../modules/kernel/queues/worker.ts";

/** Below the shortest wall clock a platform gives a function, so that a run ends by itself. */
const BUDGET_MS = 20_000;

/** Drains the queues for a bounded time. pg_cron calls it where no long-lived worker runs. Needs the secret key. */
export const createApp = (kernel: Kernel): Hono =>
  new Hono()
    .basePath("/tick")
    .onError((error, c) => problemResponse(kernel, error, newRequestId(c.req.header("x-request-id"))))
    .post("/", async (c) => {
      if (!(await equalSecrets(c.req.header("apikey") ?? "", kernel.config.secretKey)))
        throw new AppError(
          "unauthenticated",
          "The tick function needs the installation's secret key in the header `apikey`.",
        );
      return c.json({ handled: await drainFor(kernel, BUDGET_MS) });
    });
