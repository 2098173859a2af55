import { defineModule } from "../kernel/module.ts";
import { defineSchedule } from "../kernel/queues/schedule.ts";
import { webhooksIn } from "./events.ts";
import { messageFacts } from "./facts.ts";
import { fetchInbound } from "./inbound.ts";
import { messagingLinkActs } from "./link-acts.ts";
import { messagingReconcile } from "./reconcile.ts";
import { messagingRelease } from "./release.ts";
import { messagingSend } from "./send.ts";
import { updateThread } from "./threads.ts";

/** Messaging: the ledger of every message on every channel, sending, and what providers and recipients report. */
export const messaging = defineModule({
  name: "messaging",
  needs: ["channels", "contacts", "providers", "compliance"],
  owns: [
    "messaging_link_acts",
    "messaging_reconcile",
    "messaging_release",
    "messaging_send",
    "providers_inbound",
    "public.attempts",
    "public.email_details",
    "public.message_events",
    "public.messages",
    "public.threads",
    "public.tracked_links",
    "webhooks_in",
  ],
  permissions: { "messages:read": "viewer", "messages:write": "member" },
  operations: [updateThread],
  emits: messageFacts,
  guards: ["approval"],
  consumers: [messagingSend, messagingReconcile, messagingRelease, messagingLinkActs, webhooksIn, fetchInbound],
  schedules: [
    defineSchedule({
      name: "messaging.wake",
      cron: "10 seconds",
      everySeconds: 60,
      sql: "select private.wake_sending()",
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
      sql: "select private.wake_reconciling()",
    }),
  ],
});
