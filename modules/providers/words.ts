import { type Catalogue, entriesOf } from "../kernel/catalogue.ts";
import type { Channel } from "../kernel/provider.ts";
import { providers } from "./registry.ts";
import { CONNECTION_STATUS, SENDER_STATUS } from "./schemas.ts";

const CHANNELS: Record<Channel, string> = {
  email: "Email",
  linkedin: "LinkedIn",
  sms: "SMS",
  whatsapp: "WhatsApp",
  instagram: "Instagram",
};
const connectable = new Set(providers.map((p) => p.channel));

export const providersWords: Catalogue = {
  // `connectable`: a provider for it is installed.
  channel: entriesOf(Object.keys(CHANNELS) as Channel[], CHANNELS).map((entry) =>
    connectable.has(entry.value as Channel) ? { ...entry, traits: ["connectable"] } : entry,
  ),
  "connection.status": entriesOf(CONNECTION_STATUS, {
    draft: { label: "Draft", tone: "neutral" },
    tested: { label: "Tested", tone: "info" },
    active: { label: "Active", tone: "good" },
    paused: { label: "Paused", tone: "warn" },
    issue: { label: "Issue", tone: "bad" },
  }),
  "sender.status": entriesOf(SENDER_STATUS, {
    active: { label: "Active", tone: "good" },
    paused: { label: "Paused", tone: "warn" },
  }),
};
