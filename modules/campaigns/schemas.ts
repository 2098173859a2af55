import { z } from "zod";
import { TimeZone } from "../kernel/operations/time.ts";
import type { StepOutput } from "./sequence/tree.ts";

/** What campaigns look like to callers. */

export const CAMPAIGN_STATUS = ["draft", "running", "paused", "stopped", "done", "archived", "deleting"] as const;
export type CampaignStatus = (typeof CAMPAIGN_STATUS)[number];
export const ENROLLMENT_STATUS = [
  "waiting",
  "sending",
  "task",
  "blocked",
  "finished",
  "replied",
  "bounced",
  "unsubscribed",
  "suppressed",
  "stopped",
  "failed",
  "left_out",
] as const;
/** What somebody who is active can wait for. */
export const WAITS_FOR = [
  "time",
  "sender_limit",
  "sender",
  "window",
  "campaign",
  "message",
  "approval",
  "task",
  "value",
] as const;
/** On their way through the sequence. */
export const ACTIVE_STATUS = ["waiting", "sending", "task", "blocked"] as const;

const Clock = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, "must be a time of day, e.g. 09:00");

export const WindowSchema = z
  .object({
    days: z
      .array(z.number().int().min(1).max(7))
      .min(1, "must name at least one day")
      .max(7)
      .transform((days) => [...new Set(days)].sort())
      .describe("ISO days: 1 is Monday, 7 is Sunday."),
    start: Clock.describe("First minute of the day, in the campaign's time zone."),
    end: Clock.describe("No message is sent at or after this time."),
  })
  .refine((w) => w.start < w.end, {
    path: ["end"],
    message: "must be after start; for the whole day use 00:00 to 23:59",
  });

/** How much leaves without a person's yes; docs/concepts/approvals.md. */
export const APPROVAL_MODES = ["auto", "delayed", "first", "every"] as const;
const Approval = z
  .enum(APPROVAL_MODES)
  .describe(
    "Whether messages wait for a person: `auto`, none; `delayed`, each leaves by itself after `approval_minutes` unless somebody stops it; `first`, the first message to each contact waits; `every`, each message waits. Rules of the workspace may hold more.",
  );
const ApprovalMinutes = z
  .number()
  .int()
  .min(1)
  .max(10_080)
  .describe("With `approval` = `delayed`: minutes until a message leaves by itself.");

/** Which there are, and what they take, say the channels that are on (options.ts). */
const ChannelOption = z
  .unknown()
  .describe(
    "An option of a channel, such as `track_opens`: the catalogue's forms `options.<channel>` say which there are.",
  );

export const SettingsSchema = z
  .object({
    time_zone: TimeZone.default("UTC"),
    window: WindowSchema.nullable().default(null).describe("When messages may be sent; null: at any time."),
    skip_dates: z
      .array(z.iso.date())
      .max(366)
      .default([])
      .describe("Days without sending, such as holidays, in the campaign's time zone."),
    stop_on_reply: z.boolean().default(true),
    exclusive: z
      .boolean()
      .default(true)
      .describe("Whether contacts that are active in another exclusive campaign are left out."),
    approval: Approval.default("auto"),
    approval_minutes: ApprovalMinutes.default(60),
  })
  .catchall(ChannelOption)
  .meta({ id: "CampaignSettings" });
export type Settings = z.output<typeof SettingsSchema>;

/** For PATCH: only what is named changes, so nothing may have a default. */
export const SettingsPatch = z
  .object({
    time_zone: SettingsSchema.shape.time_zone.unwrap().optional(),
    window: WindowSchema.nullable().optional(),
    stop_on_reply: z.boolean().optional(),
    skip_dates: z.array(z.iso.date()).max(366).optional(),
    exclusive: z.boolean().optional(),
    approval: Approval.optional(),
    approval_minutes: ApprovalMinutes.optional(),
  })
  .catchall(ChannelOption);

/** Read by `private.reply_policy`. */
export const TeamSettings = z.object({
  reply_stops: z
    .enum(["campaign", "contact", "company"], "use campaign, contact or company")
    .describe("What an answer ends: that campaign, every campaign of the person, or also those of their colleagues."),
});

export const Name = z.string().trim().min(1, "must not be empty").max(120);
export const Tier = z.string().trim().min(1).max(40);

export const StepSchema: z.ZodType<StepOutput, StepOutput> = z
  .lazy(() =>
    z.looseObject({
      id: z.uuid(),
      kind: z.string(),
      position: z.number().int().describe("The step's position in the whole sequence, branches included, from 1."),
      branches: z.record(z.string(), z.array(StepSchema)).optional(),
    }),
  )
  .meta({
    id: "CampaignStep",
    description: "A step; it also has the fields of its kind, at the same level as `kind`.",
  }) as never;

export const CampaignSchema = z
  .object({
    id: z.uuid(),
    name: z.string(),
    status: z.enum(CAMPAIGN_STATUS),
    senders: z.array(
      z.object({
        id: z.uuid(),
        channel: z.string(),
        address: z.string(),
        display_name: z.string(),
        status: z.string(),
        connection: z.object({ id: z.uuid(), name: z.string(), provider: z.string(), status: z.string() }),
      }),
    ),
    version: z
      .number()
      .int()
      .nullable()
      .describe("The version of the sequence that new contacts get; null while the sequence has no steps."),
    version_id: z
      .uuid()
      .nullable()
      .describe(
        "The id of that version, which changes with every change of the steps; null while the sequence has no steps.",
      ),
    audience: z.object({ list_id: z.uuid().nullable(), segment_id: z.uuid().nullable(), name: z.string().nullable() }),
    tier: z.string(),
    settings: SettingsSchema,
    steps: z.array(StepSchema),
    counts: z.object({
      enrolled: z.number().int(),
      pending: z.number().int().describe("Enrollments that have not ended."),
      blocked: z.number().int().describe("Of `pending`, enrollments blocked by a missing value."),
      tasks: z.number().int().describe("Of `pending`, enrollments waiting for a task."),
      left_out: z.number().int().describe("Contacts of the audience that were left out."),
      sent: z.number().int(),
      delivered: z.number().int(),
      opened: z.number().int(),
      clicked: z.number().int(),
      replied: z.number().int(),
      bounced: z.number().int(),
    }),
    approvals: z.object({
      waiting: z.number().int().describe("Messages that wait for a person's approval."),
      since: z.iso.datetime().nullable().describe("How long the oldest of them has waited."),
    }),
    enrolling: z.boolean().describe("Whether contacts are still being enrolled in the background."),
    started_at: z.iso.datetime().nullable(),
    finished_at: z.iso.datetime().nullable(),
    created_at: z.iso.datetime(),
    updated_at: z.iso.datetime(),
  })
  .meta({ id: "Campaign" });
export type Campaign = z.input<typeof CampaignSchema>;

export const EnrollmentSchema = z
  .object({
    id: z.uuid(),
    contact: z.object({ id: z.uuid(), email: z.string().nullable(), full_name: z.string() }),
    status: z.enum(ENROLLMENT_STATUS),
    step_id: z.uuid().nullable().describe("The step that the enrollment is at."),
    step_kind: z.string().nullable(),
    version: z.number().int().nullable().describe("The version of the sequence that the enrollment follows."),
    next_at: z.iso
      .datetime()
      .nullable()
      .describe(
        "When the enrollment continues. When a sender's limit is reached or the window is closed: when sending is possible again.",
      ),
    waits_for: z.enum(WAITS_FOR).nullable().describe("What the enrollment waits for while it is active."),
    reason: z.string().nullable().describe("The reason as a sentence: why the enrollment waits, or why it ended."),
    reason_code: z.string().nullable(),
    last_event: z.object({ kind: z.string(), at: z.iso.datetime() }).nullable(),
    created_at: z.iso.datetime(),
    finished_at: z.iso.datetime().nullable(),
  })
  .meta({ id: "Enrollment" });

export const byId = z.object({ id: z.uuid() });
