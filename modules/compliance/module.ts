import { defineModule } from "../kernel/module.ts";
import { listConsents, putConsents } from "./consents.ts";
import { complianceFacts } from "./facts.ts";
import { addSuppression, addSuppressions, deleteSuppression, listSuppressions } from "./suppressions.ts";
import { complianceWords } from "./words.ts";

/** Compliance: who must not be written to, and whose consent is recorded. */
export const compliance = defineModule({
  name: "compliance",
  needs: ["contacts", "channels"],
  owns: ["public.consents", "public.suppressions"],
  permissions: { "compliance:read": "viewer", "compliance:write": "member" },
  emits: complianceFacts,
  guards: ["suppression", "consent"],
  operations: [listSuppressions, addSuppression, addSuppressions, deleteSuppression, listConsents, putConsents],
  catalogue: complianceWords,
});
