import { type Catalogue, entriesOf } from "../kernel/catalogue.ts";
import { VARIABLE_NAMES, type VariableName } from "../channels/variables.ts";
import { REASONS } from "./reasons.ts";
import { APPROVAL_MODES, CAMPAIGN_STATUS, ENROLLMENT_STATUS, WAITS_FOR } from "./schemas.ts";
import { RULES } from "./steps/condition.ts";
import { TASK_STATUS } from "./tasks/tasks.ts";

const VARIABLES: Record<VariableName, { label: string; group: string; fallback?: string }> = {
  firstName: { label: "First name", group: "contact", fallback: "there" },
  lastName: { label: "Last name", group: "contact" },
  fullName: { label: "Full name", group: "contact" },
  email: { label: "Email", group: "contact" },
  title: { label: "Job title", group: "contact" },
  phone: { label: "Phone", group: "contact" },
  whatsappNumber: { label: "WhatsApp number", group: "contact" },
  linkedinUrl: { label: "LinkedIn URL", group: "contact" },
  country: { label: "Country", group: "contact" },
  timeZone: { label: "Time zone", group: "contact" },
  dealValue: { label: "Deal value", group: "contact" },
  companyName: { label: "Company", group: "company", fallback: "your company" },
  companyDomain: { label: "Company domain", group: "company" },
  companySize: { label: "Company size", group: "company" },
  companyIndustry: { label: "Industry", group: "company", fallback: "your industry" },
  companyCountry: { label: "Company country", group: "company" },
  senderName: { label: "Sender’s name", group: "sender" },
  senderFirstName: { label: "Sender’s first name", group: "sender" },
  senderAddress: { label: "Sender’s address", group: "sender" },
};

export const campaignsWords: Catalogue = {
  "campaign.status": entriesOf(CAMPAIGN_STATUS, {
    draft: { label: "Draft", tone: "neutral" },
    running: { label: "Running", tone: "accent", traits: ["moving"] },
    paused: { label: "Paused", tone: "warn" },
    stopped: { label: "Stopped", tone: "bad" },
    done: { label: "Done", tone: "good" },
    archived: { label: "Archived", tone: "neutral" },
    deleting: { label: "Being deleted", tone: "neutral" },
  }),
  "campaign.approval": entriesOf(APPROVAL_MODES, {
    auto: { label: "Send automatically", description: "Messages leave on their own." },
    delayed: {
      label: "Send after a delay",
      description: "Each message leaves on its own after a delay, unless somebody stops it first.",
    },
    first: {
      label: "Approve first messages",
      description: "The first message to each contact waits for approval; later ones leave on their own.",
    },
    every: { label: "Approve every message", description: "Nothing leaves before somebody has approved it." },
  }),
  // `over`: the person is through, nothing more is sent to them.
  "enrollment.status": entriesOf(ENROLLMENT_STATUS, {
    waiting: { label: "Waiting", tone: "neutral" },
    sending: { label: "Sending", tone: "accent", traits: ["moving"] },
    task: { label: "Task", tone: "info" },
    blocked: { label: "Blocked", tone: "warn" },
    finished: { label: "Finished", tone: "good", traits: ["over"] },
    replied: { label: "Replied", tone: "good", traits: ["over"] },
    bounced: { label: "Bounced", tone: "bad", traits: ["over"] },
    unsubscribed: { label: "Unsubscribed", tone: "warn", traits: ["over"] },
    suppressed: { label: "Suppressed", tone: "warn", traits: ["over"] },
    stopped: { label: "Stopped", tone: "bad", traits: ["over"] },
    failed: { label: "Failed", tone: "bad", traits: ["over"] },
    left_out: { label: "Left out", tone: "neutral", traits: ["over"] },
  }),
  "enrollment.waits_for": entriesOf(WAITS_FOR, {
    time: "The next step",
    sender_limit: "Capacity within the sender's limit",
    sender: "A sender that can send",
    window: "The sending window",
    campaign: "The campaign to resume",
    message: "The message to be sent",
    approval: "Approval",
    task: "A task to be done",
    value: "A missing value",
  }),
  // What happened to an enrollment: decisions, and outcomes of steps whose own word says too little. Other outcomes are shown as written.
  "enrollment.verdict": Object.entries({
    enrolled: "Enrolled",
    left_out: "Left out",
    open: "In progress",
    branched: "Branch taken",
    skipped: "Step skipped",
    blocked: "Blocked",
    moved: "Moved to the new steps",
    defer: "Message deferred",
    cancel: "Message cancelled",
    ended: "Sequence ended",
  }).map(([value, label]) => ({ value, label })),
  // What a condition asks of a person; `type` says what else it needs to know.
  "condition.rule": entriesOf(RULES, {
    opened: { label: "Opened a message", type: "message" },
    clicked: { label: "Clicked a link", type: "message" },
    replied: { label: "Replied to a message", type: "message" },
    delivered: { label: "Had a message delivered", type: "message" },
    sent: { label: "Was sent a message", type: "message" },
    has_address: { label: "Has an address for", type: "channel" },
    in_segment: { label: "Is in the segment", type: "segment" },
    matches: { label: "Matches a filter", type: "filter" },
  }),
  "message.variable": entriesOf(VARIABLE_NAMES, VARIABLES),
  "task.status": entriesOf(TASK_STATUS, {
    open: { label: "Open", tone: "info" },
    done: { label: "Done", tone: "good" },
    skipped: { label: "Skipped", tone: "neutral" },
    cancelled: { label: "Cancelled", tone: "neutral" },
  }),
  reason: Object.entries(REASONS).map(([value, label]) => ({ value, label })),
};
