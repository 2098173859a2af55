import { type Catalogue, entriesOf } from "../kernel/catalogue.ts";
import { Reason } from "./suppressions.ts";

export const complianceWords: Catalogue = {
  "suppression.reason": entriesOf(Reason.options, {
    unsubscribe: { label: "Unsubscribed", tone: "warn" },
    bounce: { label: "Bounced", tone: "bad" },
    complaint: { label: "Complained", tone: "bad" },
    manual: { label: "Added by hand", tone: "neutral" },
  }),
};
