import { z } from "zod";

/** What requests for approval look like to callers. */

/** In the order of strictness: of several rules the first is named as the one that held the message. Written by private.hold_messages. */
export const APPROVAL_RULES = [
  "phrase",
  "high_value",
  "risk",
  "recipients",
  "first_campaign",
  "every",
  "first",
  "daily_cap",
  "delayed",
] as const;
export const APPROVAL_STATES = ["pending", "approved", "rejected", "expired", "withdrawn"] as const;
/** What the risk is the sum of. */
export const RISK_PARTS = [
  "recipients",
  "spam_words",
  "links",
  "warmth",
  "consent",
  "first_campaign",
  "sender_age",
] as const;

const at = z.iso.datetime();
const Rule = z.enum(APPROVAL_RULES);

export const ApprovalSchema = z
  .object({
    id: z.uuid(),
    state: z.enum(APPROVAL_STATES),
    rule: Rule.describe("The rule that held the message, the strictest of `rules`."),
    rules: z.array(Rule),
    risk: z.number().int().describe("0 (none) to 10, the sum of `risk_parts`."),
    risk_parts: z.record(z.string(), z.number().int()),
    requested_at: at,
    expires_at: at.nullable().describe("When it ends without a decision."),
    auto_at: at.nullable().describe("When the message leaves by itself unless somebody stops it."),
    escalated_at: at.nullable().describe("Since when admins are told that nobody decided in time."),
    decided_by: z.string().describe("Email of who decided; empty where nobody did."),
    decided_at: at.nullable(),
    reason: z.string().nullable().describe("Why it was rejected, or a code of the catalogue's list `approval.reason`."),
    is_edited: z.boolean(),
    message: z.object({
      id: z.uuid(),
      channel: z.string(),
      status: z.string(),
      from_address: z.string(),
      from_name: z.string(),
      to_address: z.string(),
      subject: z.string(),
      snippet: z.string().describe("The first 200 characters of the text."),
    }),
    contact: z
      .object({
        id: z.uuid(),
        full_name: z.string(),
        email: z.string().nullable(),
        title: z.string(),
        company: z.string().nullable(),
      })
      .nullable(),
    campaign: z.object({ id: z.uuid(), name: z.string() }).nullable(),
    step: z
      .object({ id: z.uuid(), kind: z.string(), position: z.number().int() })
      .nullable()
      .describe("The step that wrote it; `position` is its place in the sequence, from 1."),
  })
  .meta({ id: "Approval" });

export const ApprovalDetailSchema = ApprovalSchema.extend({
  text: z.string(),
  html: z.string().nullable().describe("Null on channels with plain text only."),
  template: z
    .record(z.string(), z.unknown())
    .nullable()
    .describe(
      "The text with its variables, as the step or the last edit has it: what `edit` takes. Null when the step is gone.",
    ),
  original: z.object({ subject: z.string(), body: z.string() }).describe("As it was written."),
  edited: z.object({ subject: z.string(), body: z.string(), by: z.string() }).nullable().describe("As it was changed."),
  similar: z
    .number()
    .int()
    .describe("Other messages that wait for the same rule at the same step of the same campaign; counted to 1,000."),
}).meta({ id: "ApprovalDetail" });

export const byId = z.object({ id: z.uuid() });
