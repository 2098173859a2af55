import { z } from "zod";
import { defineStep } from "../../kernel/step.ts";

const Outcome = z
  .string()
  .regex(/^[a-z][a-z0-9_]{0,39}$/, "use lower case letters, digits and _, at most 40")
  .refine((o) => o !== "next" && o !== "skipped", "is taken: every task has it");

/** A person does something (a call, a letter) and says what came of it; each outcome can have a branch. */
export const taskStep = defineStep({
  kind: "task",
  label: "Manual task",
  description: "A person does something and says what came of it.",
  action: null,
  config: z.object({
    title: z.string().trim().min(1, "must not be empty").max(200).meta({ title: "What to do" }),
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
  plan: (runs, ctx) =>
    Promise.resolve(
      runs.map(({ config }) => ({
        do: "task" as const,
        title: config.title,
        note: config.note,
        assignee_id: config.assignee_id,
        due_at: new Date(ctx.now.getTime() + config.due_in_hours * 3_600_000),
      })),
    ),
});
