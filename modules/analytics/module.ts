import { defineModule } from "../kernel/module.ts";
import { defineSchedule } from "../kernel/queues/schedule.ts";
import { activity } from "./activity.ts";
import { dashboard } from "./dashboard.ts";

/** Deltas are few and reading them is cheap; a minute keeps it so without waking the database all the time. */
const fold = defineSchedule({
  name: "analytics.fold",
  cron: "* * * * *",
  everySeconds: 60,
  sql: "select private.fold_analytics(); select private.fold_tallies();",
});

const prune = defineSchedule({
  name: "analytics.prune_tallies",
  cron: "17 * * * *",
  everySeconds: 3600,
  sql: "select private.prune_tallies()",
});

/** Analytics: the dashboard, the activity feed, daily totals and the analysts' views. */
export const analytics = defineModule({
  name: "analytics",
  needs: ["contacts", "campaigns", "messaging", "operations"],
  permissions: { "analytics:read": "viewer" },
  operations: [dashboard, activity],
  schedules: [fold, prune],
  pages: [{ path: "/", label: "Dashboard", icon: "gauge", shortcut: "d", group: "work", position: 0 }],
});
