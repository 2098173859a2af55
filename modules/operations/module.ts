import { defineModule } from "../kernel/module.ts";
import { defineSchedule } from "../kernel/queues/schedule.ts";
import { alertGauges, listAlerts } from "./alerts.ts";
import { operationsConfig } from "./config.ts";
import { notify } from "./notify.ts";
import { listDeadLetters, listQueues, purgeDeadLetters, requeueDeadLetters } from "./queues.ts";
import { listSchedules } from "./schedules.ts";
import { serviceLevel } from "./service.ts";
import { operationsWords } from "./words.ts";

/** Operations: what runs behind the scenes — queues, dead letters, schedules, alerts, service levels. Owns alerts. */
export const operations = defineModule({
  name: "operations",
  needs: [],
  owns: ["operations_notify", "public.alerts"],
  permissions: { "operations:read": "member", "operations:write": "admin" },
  operations: [
    listQueues,
    listDeadLetters,
    requeueDeadLetters,
    purgeDeadLetters,
    listSchedules,
    listAlerts,
    serviceLevel,
  ],
  consumers: [notify],
  schedules: [
    defineSchedule({
      name: "operations.alerts",
      cron: "* * * * *",
      everySeconds: 60,
      sql: "select private.evaluate_alerts()",
    }),
    defineSchedule({
      name: "operations.prune",
      cron: "47 * * * *",
      everySeconds: 3600,
      sql: "select private.prune_alerts()",
    }),
  ],
  config: operationsConfig,
  gauges: alertGauges,
  catalogue: operationsWords,
  pages: [
    {
      path: "/queues",
      label: "Operations",
      icon: "layers",
      shortcut: "q",
      group: "system",
      position: 20,
      permission: "operations:read",
    },
  ],
});
