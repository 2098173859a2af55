import { z } from "zod";

export const demoConfig = z.object({
  OVERTURE_SANDBOX_URL: z
    .url()
    .transform((url) => url.replace(/\/$/, ""))
    .optional()
    .meta({ description: "Base URL of the sandbox; the demo is available only where it is set" }),
  OVERTURE_SANDBOX_SMTP: z.string().optional().meta({ description: "host:port of the sandbox's SMTP server" }),
});
