import { tenancyConfig } from "./config.ts";
import { defineModule } from "../kernel/module.ts";
import { defineSchedule } from "../kernel/queues/schedule.ts";
import { acceptInvitation, readInvitation } from "./accept.ts";
import { createApiKey, listApiKeys, revokeApiKey } from "./api-keys.ts";
import { listAudit } from "./audit-log.ts";
import { readCatalogue } from "./catalogue.ts";
import { checkClaim, claim } from "./claim.ts";
import { beginFactor, confirmFactor, readFactor, removeFactor } from "./factor-operations.ts";
import { rotateFactorsConsumer } from "./factor-rotation.ts";
import { createInvitation, listInvitations, revokeInvitation } from "./invitations.ts";
import { changePassword, endOtherSessions, endSession, listSessions } from "./account.ts";
import { me, options } from "./me.ts";
import { getMember, listMembers, removeMember, updateMember } from "./members.ts";
import { login, logout, refreshSession, registerAccount, signUp } from "./sessions.ts";
import { createTenant, getTenant, listTenants, updateTenant } from "./tenants.ts";
import { tenancyWords } from "./words.ts";

/** Tenancy: accounts, teams, members, invitations, API keys, the audit log. */
export const tenancy = defineModule({
  name: "tenancy",
  config: tenancyConfig,
  needs: [],
  owns: ["public.api_keys", "public.invitations", "public.members", "public.tenants", "tenancy_rotate"],
  permissions: {
    "tenant:read": "viewer",
    "tenant:write": "admin",
    "members:read": "viewer",
    "members:write": "admin",
    "members:leave": "viewer",
    "api_keys:read": "admin",
    "api_keys:write": "admin",
    "audit:read": "admin",
  },
  operations: [
    registerAccount,
    signUp,
    login,
    refreshSession,
    logout,
    changePassword,
    listSessions,
    endSession,
    endOtherSessions,
    readFactor,
    beginFactor,
    confirmFactor,
    removeFactor,
    me,
    options,
    checkClaim,
    claim,
    readInvitation,
    acceptInvitation,
    createTenant,
    listTenants,
    getTenant,
    updateTenant,
    listMembers,
    getMember,
    updateMember,
    removeMember,
    createInvitation,
    listInvitations,
    revokeInvitation,
    createApiKey,
    listApiKeys,
    revokeApiKey,
    listAudit,
    readCatalogue,
  ],
  consumers: [rotateFactorsConsumer],
  schedules: [
    defineSchedule({
      name: "tenancy.rotate",
      cron: "47 3 * * *",
      everySeconds: 86_400,
      sql: "select private.wake_factor_rotation()",
    }),
  ],
  catalogue: tenancyWords,
  pages: [{ path: "/settings", label: "Settings", icon: "settings", shortcut: "s", group: "system", position: 30 }],
});
