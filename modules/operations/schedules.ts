import { z } from "zod";
import { defineOperation } from "../kernel/operations/operation.ts";

type ScheduleRow = {
  name: string;
  cron: string;
  last_started_at: Date | null;
  last_finished_at: Date | null;
  last_error: string | null;
  runs: number;
  skipped: number;
  lag_seconds: number;
  late: boolean;
};

export const listSchedules = defineOperation({
  id: "schedules.list",
  method: "GET",
  path: "/schedules",
  summary: "List the schedules with their last run and whether they are late",
  permission: "operations:read",
  input: z.object({}),
  output: z.object({
    data: z.array(
      z
        .object({
          name: z.string(),
          cron: z.string(),
          last_started_at: z.iso.datetime().nullable(),
          last_finished_at: z.iso.datetime().nullable(),
          last_error: z.string().nullable(),
          runs: z.number().int(),
          skipped: z.number().int().describe("Runs skipped because the previous run had not finished."),
          lag_seconds: z
            .number()
            .describe("Seconds since the last start; before the first start, since the schedule was created."),
          late: z.boolean().describe("More than three runs were missed."),
        })
        .meta({ id: "Schedule" }),
    ),
  }),
  async handle(ctx) {
    const rows = await ctx.db<ScheduleRow[]>`
      select name, cron, last_started_at, last_finished_at, last_error, runs, skipped, lag_seconds, late from kernel.schedule_health()`;
    return {
      data: rows.map((r) => ({
        ...r,
        last_started_at: r.last_started_at?.toISOString() ?? null,
        last_finished_at: r.last_finished_at?.toISOString() ?? null,
      })),
    };
  },
});
