import { defineModule } from "../kernel/module.ts";
import { check } from "./check.ts";

/** Drafts: what an agent or a person wrote, checked against its sources before anybody approves it. */
export const drafts = defineModule({
  name: "drafts",
  needs: ["tenancy"],
  permissions: { "drafts:check": "member" },
  operations: [check],
});
