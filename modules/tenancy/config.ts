import { z } from "zod";

export const tenancyConfig = z.object({
  OVERTURE_SIGNUP: z
    .enum(["open", "invite"])
    .default("open")
    .meta({ description: "Whether anybody may register a new tenant" }),
});
