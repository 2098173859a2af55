import { type Catalogue, entriesOf } from "../kernel/catalogue.ts";
import { APPROVAL_RULES, APPROVAL_STATES, RISK_PARTS } from "./schemas.ts";

export const approvalsWords: Catalogue = {
  "approval.state": entriesOf(APPROVAL_STATES, {
    pending: { label: "Waiting", tone: "warn" },
    approved: { label: "Approved", tone: "good" },
    rejected: { label: "Rejected", tone: "bad" },
    expired: { label: "Expired", tone: "neutral" },
    withdrawn: {
      label: "Withdrawn",
      tone: "neutral",
      description: "The message was cancelled before anybody decided.",
    },
  }),
  "approval.rule": entriesOf(APPROVAL_RULES, {
    phrase: { label: "Phrase", description: "The message contains a phrase that always needs a person." },
    high_value: {
      label: "High-value contact",
      description: "The company has more than 1,000 employees, or the deal value is above 50,000.",
    },
    risk: { label: "Risk", description: "The risk has reached the workspace’s threshold." },
    recipients: { label: "Many recipients", description: "The campaign has more contacts than the threshold." },
    first_campaign: { label: "First campaign", description: "It is the workspace’s first campaign." },
    every: { label: "Every message", description: "Every message of this campaign waits for approval." },
    first: { label: "First message", description: "The first message to each contact waits for approval." },
    daily_cap: { label: "Daily cap", description: "The day’s number of automatic messages is used up." },
    delayed: { label: "Delay", description: "The message leaves on its own unless somebody stops it." },
  }),
  "approval.risk_part": entriesOf(RISK_PARTS, {
    recipients: {
      label: "Many recipients",
      description: "More than 100 contacts in the campaign: 1. More than 1,000: 2.",
    },
    spam_words: { label: "Spam words", description: "One word that spam filters weigh: 1. Two or more: 2." },
    links: { label: "Links", description: "More than three links: 1." },
    warmth: { label: "Cold contact", description: "Warmth below 50: 1. Below 20: 2." },
    consent: { label: "No consent", description: "No consent is recorded for the channel: 1." },
    first_campaign: { label: "First campaign", description: "The workspace’s first campaign: 1." },
    sender_age: { label: "New sender", description: "The sender was added less than 14 days ago: 1." },
  }),
  "approval.reason": entriesOf(["delay_over", "expired", "message_gone"], {
    delay_over: "The delay was over and nobody stopped it.",
    expired: "Nobody decided in time.",
    message_gone: "The message was cancelled meanwhile.",
  }),
};
