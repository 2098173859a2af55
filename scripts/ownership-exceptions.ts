import type { Access, Exception } from "./ownership.ts";

/** Where a module still uses a table against the rule of scripts/ownership.ts. A line that nothing needs any more is a fault. */

const known = (module: string, access: Access, why: string, ...tables: string[]): Exception[] =>
  tables.map((table) => ({ module, access, table, why }));

export const EXCEPTIONS: readonly Exception[] = [
  ...known(
    "campaigns",
    "read",
    "nothing is planned for suppressed addresses; compliance needs messaging, not the other way round",
    "public.suppressions",
  ),
  ...known(
    "campaigns",
    "write",
    "the planner writes the messages it plans and removes those it takes back",
    "public.messages",
    "public.tracked_links",
  ),
  ...known("compliance", "read", "suppressing an address ends its enrollments", "public.enrollments"),
  ...known(
    "compliance",
    "write",
    "suppressing an address cancels its queued messages and marks the contact",
    "public.contacts",
    "public.messages",
  ),
  ...known(
    "kernel",
    "read",
    "memberships decide what the wall lets through, and nothing is counted of a tenant that is gone",
    "public.members",
    "public.tenants",
  ),
  ...known(
    "messaging",
    "read",
    "the claim checks campaign, enrollment and suppression in one statement",
    "public.campaigns",
    "public.enrollments",
    "public.suppressions",
  ),
  ...known(
    "messaging",
    "write",
    "the statement that settles a message also writes what follows from it",
    "public.connections",
    "public.contacts",
    "public.enrollments",
    "public.interactions",
    "public.sender_usage",
  ),
  ...known(
    "operations",
    "read",
    "alerts look at every tenant, campaign and sender, whichever modules are on",
    "public.campaigns",
    "public.connections",
    "public.enrollments",
    "public.messages",
    "public.sender_usage",
    "public.senders",
    "public.tenants",
  ),
  ...known("operations", "write", "old samples are removed", "kernel.samples"),
  ...known("providers", "read", "a connection or sender in use is not deleted", "public.campaigns", "public.messages"),
  ...known(
    "tenancy",
    "write",
    "written by the function that makes the tenant or its claim",
    "kernel.settings",
    "public.audit_log",
  ),
];
