import { defineModule } from "../kernel/module.ts";
import { defineSchedule } from "../kernel/queues/schedule.ts";
import { listProviders } from "./catalogue.ts";
import { checkConnection, registerWebhook } from "./check.ts";
import {
  activateConnection,
  createConnection,
  deleteConnection,
  getConnection,
  listConnections,
  pauseConnection,
} from "./connections.ts";
import { updateConnection } from "./edit.ts";
import { webhooksIn } from "./events.ts";
import { fetchInboundMail } from "./inbound-mail.ts";
import { providers as registered } from "./registry.ts";
import { createSender, deleteSender, listSenders, updateSender } from "./senders.ts";
import { rotateConsumer, rotateKeys } from "./vault-rotation.ts";

/** Providers: the teams' own accounts, their senders, and the webhooks that come back. Owns connections, senders, webhook_deliveries. */
export const providers = defineModule({
  name: "providers",
  needs: ["tenancy"],
  owns: [
    "providers_inbound",
    "providers_rotate",
    "public.connections",
    "public.sender_usage",
    "public.senders",
    "public.webhook_deliveries",
    "webhooks_in",
  ],
  permissions: {
    "providers:read": "viewer",
    "providers:write": "admin",
    "senders:read": "viewer",
    "senders:write": "admin",
  },
  providers: registered,
  operations: [
    listProviders,
    listConnections,
    createConnection,
    rotateKeys,
    getConnection,
    updateConnection,
    deleteConnection,
    checkConnection,
    activateConnection,
    pauseConnection,
    registerWebhook,
    listSenders,
    createSender,
    updateSender,
    deleteSender,
  ],
  consumers: [webhooksIn, fetchInboundMail, rotateConsumer],
  schedules: [
    defineSchedule({
      name: "providers.prune",
      cron: "*/5 * * * *",
      everySeconds: 300,
      sql: "select private.prune_webhooks()",
    }),
    defineSchedule({
      name: "providers.rotate",
      cron: "43 3 * * *",
      everySeconds: 86_400,
      sql: "select private.wake_rotation()",
    }),
  ],
  pages: ["/providers"],
});
