import { entriesOf } from "../kernel/catalogue.ts";
import { OUTCOMES } from "./answer.ts";
import { FACTS, REASONS } from "./route.ts";

/** Words of the module's lists, for the console. */
export const modelsWords = {
  "model.outcome": entriesOf(OUTCOMES, {
    completed: { label: "Answered", tone: "good" },
    cached: { label: "From the cache", tone: "info" },
    invalid: { label: "Did not fit its form", tone: "warn" },
    length: { label: "Cut off", tone: "warn" },
    declined: { label: "Declined", tone: "warn" },
    refused: { label: "Refused", tone: "bad" },
    retry: { label: "Not answered", tone: "warn" },
    unknown: { label: "Answer lost", tone: "bad" },
    broken: { label: "Connection unusable", tone: "bad" },
    lost: { label: "Interrupted", tone: "bad" },
  }),
  "model.fact": entriesOf(FACTS, {
    company_employees: { label: "Employees of the company" },
    deal_value: { label: "Deal value" },
    campaign_tier: { label: "Tier of the campaign" },
  }),
  "model.route": entriesOf(REASONS, {
    company_employees: { label: "Employees of the company" },
    deal_value: { label: "Deal value" },
    campaign_tier: { label: "Tier of the campaign" },
    default: { label: "No rule holds" },
    chosen: { label: "Chosen by the caller" },
    share_cap: { label: "The share of other models is used up" },
    alias_missing: { label: "The rule’s alias has no model" },
  }),
};
