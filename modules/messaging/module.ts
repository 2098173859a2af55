import { defineModule } from "../kernel/module.ts";
import { defineSchedule } from "../kernel/queues/schedule.ts";
import { getMessage, getThread, listMessages, listThreads, resolveMessage } from "./messages.ts";
import { messagingReconcile } from "./reconcile.ts";
import { messagingSend } from "./send.ts";

/** Messaging: the ledger of every message, the sender, and what recipients do. Owns messages, attempts, message_events, tracked_links. */
export const messaging = defineModule({
  name: "messaging",
  needs: ["contacts", "providers"],
  owns: [
    "messaging_reconcile",
    "messaging_send",
    "public.attempts",
    "public.message_events",
    "public.messages",
    "public.tracked_links",
  ],
  permissions: { "messages:read": "viewer", "messages:write": "member" },
  operations: [listMessages, getMessage, resolveMessage, listThreads, getThread],
  consumers: [messagingSend, messagingReconcile],
  schedules: [
    defineSchedule({
      name: "messaging.wake",
      cron: "10 seconds",
      everySeconds: 60,
      sql: "select private.wake_tenants('messaging_send')",
    }),
    defineSchedule({
      name: "messaging.expire_leases",
      cron: "30 seconds",
      everySeconds: 60,
      sql: "select private.expire_leases()",
    }),
    defineSchedule({
      name: "messaging.partitions",
      cron: "7 * * * *",
      everySeconds: 3600,
      sql: "select private.ensure_partitions()",
    }),
    // Events older than the setting events_keep_months (24 unless set).
    defineSchedule({
      name: "messaging.retention",
      cron: "37 * * * *",
      everySeconds: 3600,
      sql: "select private.drop_partitions()",
    }),
    defineSchedule({
      name: "messaging.reconcile",
      cron: "30 seconds",
      everySeconds: 60,
      sql: "select private.wake_tenants('messaging_reconcile')",
    }),
  ],
  pages: ["/inbox"],
});
