import { z } from "zod";

/** What campaigns look like to callers. */

export const CAMPAIGN_STATUS = ["draft", "running", "paused", "stopped", "done", "archived"] as const;
export type CampaignStatus = (typeof CAMPAIGN_STATUS)[number];
export const ENROLLMENT_STATUS = [
  "waiting",
  "sending",
  "blocked",
  "finished",
  "replied",
  "bounced",
  "unsubscribed",
  "suppressed",
  "stopped",
  "failed",
] as const;

export const STEP_KINDS = ["email"] as const;

export const MAX_STEPS = 20;

/** An IANA name that JavaScript and Postgres read alike. Offsets such as +02:00 mean opposite things to the two. */
const isTimeZone = (name: string): boolean => {
  if (!/^[A-Za-z]/.test(name)) return false;
  try {
    return new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
};

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
    end: Clock.describe("Nothing leaves at or after this time."),
  })
  .refine((w) => w.start < w.end, {
    path: ["end"],
    message: "must be after start; for the whole day use 00:00 to 23:59",
  });

export const SettingsSchema = z
  .object({
    time_zone: z.string().max(64).refine(isTimeZone, "must be an IANA time zone, e.g. Europe/Berlin").default("UTC"),
    window: WindowSchema.nullable().default(null).describe("When messages may leave; null: at any time."),
    track_opens: z.boolean().default(true),
    track_clicks: z.boolean().default(true),
    stop_on_reply: z.boolean().default(true),
  })
  .meta({ id: "CampaignSettings" });
export type Settings = z.output<typeof SettingsSchema>;

/** For PATCH: only what is named changes, so nothing may have a default. */
export const SettingsPatch = z.object({
  time_zone: SettingsSchema.shape.time_zone.unwrap().optional(),
  window: WindowSchema.nullable().optional(),
  track_opens: z.boolean().optional(),
  track_clicks: z.boolean().optional(),
  stop_on_reply: z.boolean().optional(),
});

const oneLine = (text: string) => text.replace(/\s*[\r\n]+\s*/g, " ").trim();

export const StepInput = z.object({
  id: z.uuid().optional().describe("Keeps the step's identity, and so its history, when it is moved or rewritten."),
  kind: z.enum(STEP_KINDS).default("email"),
  wait_hours: z
    .number()
    .min(0)
    .max(8760)
    .default(0)
    .describe("Hours after the step before; for the first step, after enrollment."),
  subject: z
    .string()
    .max(500)
    .transform(oneLine)
    .default("")
    .describe("Empty on a follow-up: it answers the first message in its thread."),
  body: z
    .string()
    .min(1, "must not be empty")
    .max(100_000)
    .describe("Markdown without HTML, with variables such as {{firstName|there}}."),
});
export type StepInput = z.output<typeof StepInput>;
export const StepsInput = z.array(StepInput).max(MAX_STEPS);

export const Name = z.string().trim().min(1, "must not be empty").max(120);
export const Tier = z.string().trim().min(1).max(40);

export const StepSchema = z
  .object({
    id: z.uuid(),
    position: z.number().int(),
    kind: z.string(),
    wait_hours: z.number(),
    subject: z.string(),
    body: z.string(),
  })
  .meta({ id: "CampaignStep" });

export const CampaignSchema = z
  .object({
    id: z.uuid(),
    name: z.string(),
    status: z.enum(CAMPAIGN_STATUS),
    sender: z
      .object({
        id: z.uuid(),
        from_email: z.string(),
        from_name: z.string(),
        status: z.string(),
        daily_cap: z.number().int(),
        connection: z.object({ id: z.uuid(), name: z.string(), provider: z.string(), status: z.string() }),
      })
      .nullable(),
    audience: z.object({ list_id: z.uuid().nullable(), segment_id: z.uuid().nullable(), name: z.string().nullable() }),
    tier: z.string(),
    settings: SettingsSchema,
    steps: z.array(StepSchema),
    counts: z.object({
      enrolled: z.number().int(),
      pending: z.number().int().describe("People still on their way through the sequence."),
      blocked: z.number().int().describe("Of these, waiting for a missing value."),
      sent: z.number().int(),
      delivered: z.number().int(),
      opened: z.number().int(),
      clicked: z.number().int(),
      replied: z.number().int(),
      bounced: z.number().int(),
    }),
    enrolling: z.boolean().describe("Whether an audience is still being taken in."),
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
    step: z.number().int().describe("The last step that was planned; 0 before the first."),
    next_at: z.iso.datetime().nullable(),
    reason: z.string().nullable().describe("Why it is blocked or ended."),
    last_event: z.object({ kind: z.string(), at: z.iso.datetime() }).nullable(),
    created_at: z.iso.datetime(),
    finished_at: z.iso.datetime().nullable(),
  })
  .meta({ id: "Enrollment" });

export const byId = z.object({ id: z.uuid() });
