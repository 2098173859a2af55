import { defineModule } from "../kernel/module.ts";
import { addSuppression, addSuppressions, deleteSuppression, listSuppressions } from "./suppressions.ts";
import { complianceWords } from "./words.ts";

/** Compliance: who must not be written to. Owns suppressions. */
export const compliance = defineModule({
  name: "compliance",
  needs: ["contacts", "messaging"],
  permissions: { "compliance:read": "viewer", "compliance:write": "member" },
  operations: [listSuppressions, addSuppression, addSuppressions, deleteSuppression],
  catalogue: complianceWords,
});
