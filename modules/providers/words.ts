import { type Catalogue, entriesOf } from "../kernel/catalogue.ts";
import { CONNECTION_STATUS, LIMIT_PERIODS, SENDER_STATUS } from "./schemas.ts";

export const providersWords: Catalogue = {
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
  "limit.period": entriesOf(LIMIT_PERIODS, { hour: "an hour", day: "a day", week: "a week" }),
};
