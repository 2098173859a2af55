import { z } from "zod";

/** What a team sets for approvals; PATCH /tenant takes it, private.hold_messages and private.settle_due_approvals read it. */
export const TeamSettings = z.object({
  approval_recipients: z
    .number()
    .int()
    .min(0)
    .max(10_000_000)
    .describe("Messages of campaigns with more contacts than this wait for approval."),
  approval_risk: z.number().int().min(0).max(10).describe("Messages with this risk or a higher one wait for approval."),
  approval_high_value: z
    .boolean()
    .describe(
      "Whether messages to contacts wait whose company has more than 1,000 employees or whose deal value is above 50,000.",
    ),
  approval_first_campaign: z.boolean().describe("Whether all messages of the workspace's first campaign wait."),
  approval_phrases: z
    .array(z.string().trim().min(2).max(100))
    .max(50)
    .describe("Messages that contain one of these phrases wait, in upper or lower case, with or without accents."),
  approval_daily_cap: z
    .number()
    .int()
    .min(0)
    .max(10_000_000)
    .describe("How many messages a day, in UTC, are planned to leave without approval; those beyond it wait."),
  approval_expiry_hours: z
    .number()
    .int()
    .min(1)
    .max(8760)
    .describe("After how many hours a request ends that nobody decided; never unless set."),
  approval_on_expiry: z
    .enum(["reject", "escalate"], "use reject or escalate")
    .describe(
      "What then happens: the message is rejected (the default), or it goes on waiting and an alert tells the admins.",
    ),
});
