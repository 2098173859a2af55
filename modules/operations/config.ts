import { z } from "zod";

export const operationsConfig = z
  .object({
    OVERTURE_ALERT_WEBHOOK_URL: z.url().optional().meta({
      description: "URL that receives a POST when an alert opens or closes, in the format of Standard Webhooks",
    }),
    OVERTURE_ALERT_WEBHOOK_SECRET: z
      .string()
      .regex(/^whsec_[A-Za-z0-9+/]{32,88}={0,2}$/, "must be whsec_ and 24 to 64 bytes in base64")
      .optional()
      .meta({ description: "whsec_<base64>: the secret that signs the posts to OVERTURE_ALERT_WEBHOOK_URL" }),
  })
  .refine((c) => !c.OVERTURE_ALERT_WEBHOOK_URL === !c.OVERTURE_ALERT_WEBHOOK_SECRET, {
    path: ["OVERTURE_ALERT_WEBHOOK_SECRET"],
    message: "set both this and OVERTURE_ALERT_WEBHOOK_URL, or neither",
  });
