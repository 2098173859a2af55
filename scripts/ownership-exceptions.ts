import type { Access, Exception } from "./ownership.ts";

/** Where a module still uses a table against the rule of scripts/ownership.ts. A line that nothing needs any more is a fault. */

const known = (module: string, access: Access, why: string, ...tables: string[]): Exception[] =>
  tables.map((table) => ({ module, access, table, why }));

export const EXCEPTIONS: readonly Exception[] = [
  ...known(
    "kernel",
    "read",
    "memberships decide what the wall lets through, and nothing is counted of a tenant that is gone",
    "public.members",
    "public.tenants",
  ),
  ...known(
    "compliance",
    "write",
    "triggers: an opt-out outlives its contact, and a contact's status agrees with what stops it, however either is written",
    "public.contacts",
    "public.contact_addresses",
  ),
  ...known("providers", "read", "a refusal to delete names the campaigns that use it", "public.campaign_senders"),
  ...known("messaging", "write", "the claim reserves a sender's places in its one statement", "public.sender_usage"),
  ...known(
    "operations",
    "read",
    "alerts look at every tenant, campaign and sender, whichever modules are on",
    "public.approvals",
    "public.campaign_senders",
    "public.campaigns",
    "public.connections",
    "public.enrollments",
    "public.messages",
    "public.sender_limits",
    "public.sender_usage",
    "public.senders",
    "public.sequence_nodes",
    "public.sequence_versions",
    "public.tenants",
  ),
  ...known("providers", "read", "a connection or sender in use is not deleted", "public.campaigns", "public.messages"),
  ...known(
    "tenancy",
    "write",
    "written by the function that makes the tenant or its claim",
    "kernel.settings",
    "public.audit_log",
  ),
];
