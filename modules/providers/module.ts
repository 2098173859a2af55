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
import { providers as registered } from "./registry.ts";
import { createSender, deleteSender, getSender, listSenders, updateSender } from "./senders.ts";
import { rotateConsumer, rotateKeys } from "./vault-rotation.ts";
import { providersWords } from "./words.ts";

/** Providers: the teams' own accounts, their senders, and the webhooks that come back. Owns connections, senders, webhook_deliveries. */
export const providers = defineModule({
  name: "providers",
  needs: ["tenancy", "channels"],
  owns: [
    "providers_rotate",
    "public.connections",
    "public.sender_limits",
    "public.sender_usage",
    "public.senders",
    "public.webhook_deliveries",
  ],
  permissions: {
    "providers:read": "viewer",
    "providers:write": "admin",
    "senders:read": "viewer",
    "senders:write": "admin",
  },
  categories: ["enrichment", "llm", "search"],
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
    getSender,
    updateSender,
    deleteSender,
  ],
  consumers: [rotateConsumer],
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
  catalogue: providersWords,
  pages: [{ path: "/providers", label: "Providers", icon: "cable", shortcut: "p", group: "system", position: 10 }],
  // What adapters keep open, such as SMTP pools.
  close: async () => void (await Promise.all(registered.map((p) => p.close?.()))),
});
