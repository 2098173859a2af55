import { type Catalogue, entriesOf } from "../kernel/catalogue.ts";
import { ALERT_SEVERITY, ALERT_STATUS } from "./alerts.ts";
import { SERVICE_WINDOWS } from "./service.ts";

export const operationsWords: Catalogue = {
  "alert.status": entriesOf(ALERT_STATUS, {
    open: { label: "Open", tone: "bad", traits: ["moving"] },
    resolved: { label: "Resolved", tone: "neutral" },
  }),
  "alert.severity": entriesOf(ALERT_SEVERITY, {
    warning: { label: "Warning", tone: "warn" },
    critical: { label: "Critical", tone: "bad" },
  }),
  "service_level.window": entriesOf(SERVICE_WINDOWS, {
    "1h": "Last hour",
    "24h": "Last 24 hours",
    "30d": "Last 30 days",
  }),
};
