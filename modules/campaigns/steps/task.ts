import { z } from "zod";
import { fillPieces, markVariables, toPieces } from "../../channels/placeholders.ts";
import { type MergeRow, valuesOf } from "../../channels/variables.ts";
import type { Fault, VariableUse } from "../../kernel/channel.ts";
import type { Ctx } from "../../kernel/context.ts";
import { defineStep, type StepRun } from "../../kernel/step.ts";
import { plain } from "../../kernel/text.ts";
import { customKeysOf } from "../custom-keys.ts";

const Outcome = z
  .string()
  .regex(/^[a-z][a-z0-9_]{0,39}$/, "use lower case letters, digits and _, at most 40")
  .refine((o) => o !== "next" && o !== "skipped", "is reserved: every task has this outcome");

/** A person does something (a call, a letter) and says what came of it; each outcome can have a branch. */
export const taskStep = defineStep({
  kind: "task",
  label: "Manual task",
  description: "A member does something by hand and reports the outcome.",
  action: null,
  config: z.object({
    title: z.string().trim().min(1, "must not be empty").max(200).meta({
      title: "What to do",
      description: "Variables such as {{firstName}} are replaced with the contact's values.",
    }),
    note: z.string().max(10_000).default("").meta({ title: "Note", widget: "textarea" }),
    outcomes: z
      .array(Outcome)
      .min(1, "name at least one outcome")
      .max(10)
      .refine((all) => new Set(all).size === all.length, "must not name an outcome twice")
      .default(["done"])
      .meta({ title: "Possible outcomes" }),
    due_in_hours: z.number().min(0).max(8760).default(24).meta({ title: "Due after hours" }),
    assignee_id: z.uuid().nullable().default(null).meta({ title: "Assignee", widget: "member" }),
  }),
  branches: ({ outcomes }) => [...outcomes, "skipped"],
  references: ({ assignee_id }) =>
    assignee_id === null ? [] : [{ to: "member", id: assignee_id, field: "assignee_id" }],
  async plan(runs, ctx) {
    const fill = await filler(ctx, runs);
    return runs.map(({ enrollment_id, config }) => ({
      do: "task" as const,
      title: plain(fill(enrollment_id, config.title), 200).trim() || config.title,
      note: plain(fill(enrollment_id, config.note), 10_000),
      assignee_id: config.assignee_id,
      due_at: new Date(ctx.now.getTime() + config.due_in_hours * 3_600_000),
    }));
  },
});

type Texts = { title: string; note: string };

/**
 * Fills the variables of titles and notes with the contact's values, as messages do. A missing value is left out, because the member who
 * reads the task needs no complete sentence. A text with an unknown variable stays as it was written.
 */
async function filler(
  ctx: Ctx,
  runs: readonly StepRun<Texts>[],
): Promise<(enrollmentId: string, text: string) => string> {
  const used = runs.filter(({ config }) => `${config.title}${config.note}`.includes("{{"));
  if (used.length === 0) return (_, text) => text;
  const customKeys = await customKeysOf(ctx);
  const rows = await ctx.db<(MergeRow & { enrollment_id: string })[]>`
    select e.id as enrollment_id, c.email, c.first_name, c.last_name, c.full_name, c.title, c.phone, c.whatsapp_number, c.linkedin_url, c.country,
      c.time_zone, c.deal_value, c.custom, o.name as company_name, o.domain as company_domain, o.size as company_size,
      o.industry as company_industry, o.country as company_country, '' as sender_name, '' as sender_address
    from public.enrollments e
    join public.contacts c on c.tenant_id = (select kernel.tenant()) and c.id = e.contact_id
    left join public.companies o on o.tenant_id = (select kernel.tenant()) and o.id = c.company_id
    where e.tenant_id = (select kernel.tenant()) and e.id = any(${used.map((r) => r.enrollment_id)}::uuid[])`;
  const people = new Map(rows.map((r) => [r.enrollment_id, valuesOf(r)]));
  return (enrollmentId, text) => {
    const valueOf = people.get(enrollmentId);
    const uses: VariableUse[] = [];
    const faults: Fault[] = [];
    const pieces = toPieces(markVariables("text", text, customKeys, uses, faults), uses);
    if (!valueOf || faults.length > 0) return text;
    return fillPieces(pieces, { valueOf, showMissing: false, missing: new Set() });
  };
}
