import { type Catalogue, entriesOf } from "../kernel/catalogue.ts";
import { ROLES } from "../kernel/context.ts";
import { CURRENT_ZONES, ZONES } from "../kernel/operations/zones.ts";
import { AUDIT_STATES } from "./audit-log.ts";
import { INVITATION_STATUS } from "./invitations.ts";

export const tenancyWords: Catalogue = {
  role: entriesOf([...ROLES].reverse(), {
    owner: { label: "Owner", description: "Everything, including the workspace's settings and owners" },
    admin: { label: "Admin", description: "Everything except changing owners", traits: ["invitable"] },
    member: { label: "Member", description: "Contacts, campaigns and replies", traits: ["invitable"] },
    approver: { label: "Approver", description: "Approves what is sent", traits: ["invitable"] },
    viewer: { label: "Viewer", description: "Reads everything, changes nothing", traits: ["invitable"] },
  }),
  // What pickers offer is current; former names are valid as well.
  time_zone: ZONES.map((value) => ({
    value,
    label: value.replaceAll("_", " "),
    ...(CURRENT_ZONES.includes(value) ? { traits: ["current"] } : {}),
  })),
  "audit.state": entriesOf(AUDIT_STATES, {
    started: { label: "Started", tone: "warn" },
    ok: { label: "Done", tone: "good" },
    failed: { label: "Failed", tone: "bad" },
  }),
  "invitation.status": entriesOf(INVITATION_STATUS, {
    open: { label: "Open", tone: "info" },
    expired: { label: "Expired", tone: "neutral" },
    accepted: { label: "Accepted", tone: "good" },
  }),
};
