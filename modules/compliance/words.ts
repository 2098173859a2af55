import { type Catalogue, entriesOf } from "../kernel/catalogue.ts";
import { CONSENT_STATES } from "./consents.ts";
import { Reason } from "./suppressions.ts";

export const complianceWords: Catalogue = {
  "consent.state": entriesOf(CONSENT_STATES, {
    granted: { label: "Granted", tone: "good" },
    withdrawn: { label: "Withdrawn", tone: "bad" },
  }),
  "suppression.reason": entriesOf(Reason.options, {
    unsubscribe: { label: "Unsubscribed", tone: "warn" },
    bounce: { label: "Bounced", tone: "bad" },
    complaint: { label: "Complained", tone: "bad" },
    manual: { label: "Added by a member", tone: "neutral" },
  }),
};
