import { type Catalogue, entriesOf } from "../kernel/catalogue.ts";
import { THREAD_STATUS } from "../messaging/threads.ts";
import { ATTEMPT_OUTCOMES, EVENT_KINDS, MESSAGE_STATUS } from "./schemas.ts";

const events = entriesOf(EVENT_KINDS, {
  sent: { label: "Sent", tone: "info" },
  delivered: { label: "Delivered", tone: "good" },
  deferred: { label: "Deferred", tone: "warn" },
  opened: { label: "Opened", tone: "accent" },
  clicked: { label: "Clicked", tone: "accent" },
  replied: { label: "Replied", tone: "good" },
  auto_replied: { label: "Automatic reply", tone: "neutral" },
  bounced: { label: "Bounced", tone: "bad" },
  complained: { label: "Complained", tone: "bad" },
  unsubscribed: { label: "Unsubscribed", tone: "warn" },
  failed: { label: "Failed", tone: "bad" },
});
const statuses = entriesOf(MESSAGE_STATUS, {
  queued: { label: "Queued", tone: "neutral" },
  held: { label: "Held", tone: "warn" },
  sending: { label: "Sending", tone: "accent", traits: ["moving"] },
  sent: { label: "Sent", tone: "info" },
  failed: { label: "Failed", tone: "bad" },
  unknown: { label: "Unknown", tone: "warn" },
  cancelled: { label: "Cancelled", tone: "neutral" },
  received: { label: "Received", tone: "good" },
});

export const inboxWords: Catalogue = {
  "message.status": statuses,
  "message.event": events,
  // How far a message has come: its status, and once sent the furthest of its events.
  "message.state": [...statuses, ...events.filter((e) => !statuses.some((s) => s.value === e.value))],
  "thread.status": entriesOf(THREAD_STATUS, {
    open: { label: "Open", tone: "info" },
    closed: { label: "Closed", tone: "neutral" },
  }),
  "attempt.outcome": entriesOf(ATTEMPT_OUTCOMES, {
    sent: { label: "Accepted by the provider", tone: "good" },
    rejected: { label: "Refused by the provider", tone: "bad" },
    retry: { label: "Failed; will be tried again", tone: "warn" },
    unknown: { label: "No response: the message may have been sent", tone: "warn" },
    broken: { label: "The connection failed", tone: "bad" },
  }),
};
