import { defineModule } from "../kernel/module.ts";
import { defineSchedule } from "../kernel/queues/schedule.ts";
import { approve, decideMany, edit, reject, undo } from "./decide.ts";
import { approvalsDue, cancelledHearing } from "./due.ts";
import { holdForApproval } from "./hold.ts";
import { approvalsSummary, getApproval, listApprovals } from "./read.ts";
import { TeamSettings } from "./settings.ts";
import { approvalsWords } from "./words.ts";

/** Approvals: which messages wait for a person's yes, and what people decide. The claim lets none of them leave before. */
export const approvals = defineModule({
  name: "approvals",
  needs: ["tenancy", "contacts", "channels", "compliance", "providers", "messaging", "campaigns"],
  owns: ["approvals_due", "approvals_message_facts", "public.approval_days", "public.approvals"],
  permissions: { "approvals:read": "viewer", "approvals:decide": "approver" },
  settings: TeamSettings,
  holds: holdForApproval,
  operations: [listApprovals, approvalsSummary, getApproval, approve, reject, edit, undo, decideMany],
  consumers: [approvalsDue],
  hears: [cancelledHearing],
  schedules: [
    defineSchedule({
      name: "approvals.due",
      cron: "10 seconds",
      everySeconds: 60,
      sql: "select private.wake_approvals()",
    }),
  ],
  catalogue: approvalsWords,
  pages: [
    {
      path: "/approvals",
      label: "Approvals",
      icon: "shield-check",
      shortcut: "v",
      group: "work",
      position: 47,
      permission: "approvals:read",
    },
  ],
});
