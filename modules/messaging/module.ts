import { defineModule } from "../kernel/module.ts";
import { defineSchedule } from "../kernel/schedule.ts";
import { getMessage, getThread, listMessages, listThreads, resolveMessage } from "./messages.ts";
import { messagingReconcile } from "./reconcile.ts";
import { messagingSend } from "./send.ts";

/** Messaging: the ledger of every message, the sender, and what recipients do. Owns messages, attempts, message_events, tracked_links. */
export const messaging = defineModule({
  name: "messaging",
  needs: ["contacts", "providers"],
  permissions: { "messages:read": "viewer", "messages:write": "member" },
  operations: [listMessages, getMessage, resolveMessage, listThreads, getThread],
  consumers: [messagingSend, messagingReconcile],
  schedules: [
    defineSchedule({ name: "messaging.wake", cron: "10 seconds", everySeconds: 60, sql: "select private.wake_tenants('messaging_send')" }),
    defineSchedule({ name: "messaging.expire_leases", cron: "30 seconds", everySeconds: 60, sql: "select private.expire_leases()" }),
    defineSchedule({ name: "messaging.reconcile", cron: "30 seconds", everySeconds: 60, sql: "select private.wake_tenants('messaging_reconcile')" }),
  ],
  pages: ["/inbox"],
});
