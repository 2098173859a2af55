import { defineModule } from "../kernel/module.ts";
import { addSuppression, addSuppressions, deleteSuppression, listSuppressions } from "./suppressions.ts";

/** Compliance: who must not be written to. Owns suppressions. */
export const compliance = defineModule({
  name: "compliance",
  needs: ["contacts", "messaging"],
  owns: ["public.suppressions"],
  permissions: { "compliance:read": "viewer", "compliance:write": "member" },
  operations: [listSuppressions, addSuppression, addSuppressions, deleteSuppression],
  pages: ["/suppressions"],
});
