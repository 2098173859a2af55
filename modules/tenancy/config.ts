import { z } from "zod";

export const tenancyConfig = z.object({
  OVERTURE_SIGNUP: z
    .enum(["open", "invite"])
    .default("open")
    .meta({ description: "Whether anybody may register a new tenant" }),
  OVERTURE_MAIL_FROM: z.email().optional().meta({
    description:
      "Address that mails about accounts (a forgotten password, a changed address) come from: an email sender of the workspace that runs the installation",
  }),
});
