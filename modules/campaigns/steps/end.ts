import { z } from "zod";
import { defineStep } from "../../kernel/step.ts";

/** Ends the sequence for whoever comes here, as a goal that was reached or without one. */
export const endStep = defineStep({
  kind: "end",
  label: "End",
  description: "Ends the enrollment here, optionally with a goal that was reached.",
  action: null,
  config: z.object({
    goal: z
      .string()
      .trim()
      .max(80)
      .default("")
      .meta({ title: "Goal", description: "The goal as the statistics show it; empty: no goal." }),
  }),
  branches: () => [],
  plan: (runs) =>
    Promise.resolve(runs.map(({ config }) => ({ do: "next" as const, outcome: config.goal ? "goal" : "end" }))),
});
