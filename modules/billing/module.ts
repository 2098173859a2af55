import { entriesOf } from "../kernel/catalogue.ts";
import { defineModule } from "../kernel/module.ts";
import { defineSchedule } from "../kernel/queues/schedule.ts";
import { listBudgets, putBudget } from "./budgets.ts";
import { COST_STATES, costSummary, listCosts } from "./costs.ts";

/** Billing: what calls that cost money did cost, and the budgets that stop them. */
export const billing = defineModule({
  name: "billing",
  needs: ["tenancy", "contacts"],
  owns: ["public.budgets", "public.costs", "public.spending"],
  permissions: { "billing:read": "viewer", "billing:write": "admin" },
  operations: [costSummary, listCosts, listBudgets, putBudget],
  schedules: [
    defineSchedule({
      name: "billing.close_lost",
      cron: "*/5 * * * *",
      everySeconds: 300,
      sql: "select private.close_lost_costs()",
    }),
  ],
  catalogue: {
    "cost.state": entriesOf(COST_STATES, {
      reserved: { label: "Under way", tone: "info" },
      settled: { label: "Settled", tone: "good" },
      unknown: { label: "Unknown", tone: "warn" },
    }),
    "cost.kind": entriesOf(["enrichment", "verification", "search", "model"], {
      enrichment: { label: "Enrichment" },
      verification: { label: "Email verification" },
      search: { label: "Web search" },
      model: { label: "Language models" },
    }),
  },
});
