import { z } from "zod";

export const operationsConfig = z
  .object({
    OVERTURE_ALERT_WEBHOOK_URL: z
      .url()
      .optional()
      .meta({ description: "Where alerts are posted when they open and close, as Standard Webhooks" }),
    OVERTURE_ALERT_WEBHOOK_SECRET: z
      .string()
      .regex(/^whsec_[A-Za-z0-9+/]{32,88}={0,2}$/, "must be whsec_ and 24 to 64 bytes in base64")
      .optional()
      .meta({ description: "whsec_<base64>: what those posts are signed with" }),
  })
  .refine((c) => !c.OVERTURE_ALERT_WEBHOOK_URL === !c.OVERTURE_ALERT_WEBHOOK_SECRET, {
    path: ["OVERTURE_ALERT_WEBHOOK_SECRET"],
    message: "set it together with OVERTURE_ALERT_WEBHOOK_URL, or neither",
  });
