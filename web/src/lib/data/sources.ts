import type { PathsWith } from "../api.ts";

/**
 * Which tables each read of the API is made from. A change of a table, announced by the database or made here, asks for
 * exactly these again. A path without an entry is asked when a page opens, and by its own interval.
 */

/** Tables whose changes the database announces on the team's topic. */
export const ANNOUNCED = [
  "alerts",
  "approvals",
  "campaigns",
  "companies",
  "connections",
  "consents",
  "contacts",
  "custom_fields",
  "enriched_values",
  "enrichment_runs",
  "enrichment_sources",
  "enrollments",
  "imports",
  "invitations",
  "lists",
  "message_events",
  "messages",
  "segments",
  "senders",
  "suppressions",
  "tasks",
  "threads",
] as const;
/** Tables that change without an announcement: asked again after a change made here. */
const SILENT = [
  "api_keys",
  "audit_log",
  "budgets",
  "costs",
  "dead_letters",
  "list_contacts",
  "members",
  "second_factors",
  "sessions",
  "tenants",
] as const;
export type Table = (typeof ANNOUNCED)[number] | (typeof SILENT)[number];

type Source = {
  tables: readonly Table[];
  /** Shortest time between two refreshes by announcements, in ms; what costs the server more is asked less often. */
  every?: number;
};
export type ReadPath = PathsWith<"get"> | "/segments/preview" | "/campaigns/{id}/preview" | "/enrichment/estimate";

export const SOURCES: Partial<Record<ReadPath, Source>> = {
  "/activity": { tables: ["message_events", "messages"] },
  "/alerts": { tables: ["alerts"] },
  "/api-keys": { tables: ["api_keys"] },
  "/approvals": { tables: ["approvals"], every: 1000 },
  "/approvals/summary": { tables: ["approvals"], every: 2000 },
  "/approvals/{id}": { tables: ["approvals"] },
  "/auth/second-factor": { tables: ["second_factors"] },
  "/auth/sessions": { tables: ["sessions"] },
  "/audit-log": { tables: ["audit_log"] },
  // The ledger announces nothing; most of what it holds is told by the runs.
  "/budgets": { tables: ["budgets", "costs", "enrichment_runs"], every: 3000 },
  "/campaigns": { tables: ["approvals", "campaigns", "enrollments", "messages", "message_events"], every: 2000 },
  "/campaigns/{id}": { tables: ["approvals", "campaigns", "senders", "connections", "enrollments"], every: 1500 },
  "/campaigns/{id}/check": {
    tables: ["campaigns", "contacts", "list_contacts", "senders", "connections", "suppressions", "consents"],
    every: 3000,
  },
  "/campaigns/{id}/leads": { tables: ["enrollments", "message_events", "messages"], every: 1500 },
  "/campaigns/{id}/leads/{enrollment_id}/why": { tables: ["enrollments", "messages", "tasks"], every: 1500 },
  "/campaigns/{id}/preview": { tables: ["campaigns", "contacts", "senders"], every: 3000 },
  "/campaigns/{id}/stats": { tables: ["campaigns", "messages", "message_events", "enrollments"], every: 1500 },
  "/companies": { tables: ["companies", "contacts"], every: 2000 },
  "/companies/{id}": { tables: ["companies"] },
  "/connections": { tables: ["connections"] },
  "/connections/{id}": { tables: ["connections"] },
  "/contacts": { tables: ["contacts", "list_contacts"] },
  "/contacts/count": { tables: ["contacts", "list_contacts"], every: 3000 },
  "/contacts/{id}": { tables: ["contacts"] },
  "/contacts/{id}/consents": { tables: ["consents"] },
  "/contacts/{id}/enrichment": { tables: ["enriched_values"] },
  "/contacts/{id}/interactions": { tables: ["messages", "message_events"] },
  "/costs": { tables: ["costs", "enrichment_runs"], every: 3000 },
  "/costs/summary": { tables: ["costs", "enrichment_runs"], every: 3000 },
  "/custom-fields": { tables: ["custom_fields"] },
  "/dashboard": {
    tables: ["messages", "message_events", "campaigns", "contacts", "connections", "alerts", "tasks"],
    every: 1500,
  },
  "/dead-letters": { tables: ["dead_letters"] },
  "/enrichment/coverage": { tables: ["enriched_values", "contacts"], every: 5000 },
  "/enrichment/estimate": { tables: ["contacts", "list_contacts", "enrichment_sources", "connections"], every: 5000 },
  "/enrichment/providers": { tables: ["connections", "costs", "enrichment_runs"], every: 5000 },
  "/enrichment/runs": { tables: ["enrichment_runs"] },
  "/enrichment/runs/{id}": { tables: ["enrichment_runs"], every: 700 },
  "/enrichment/runs/{id}/items": { tables: ["enrichment_runs", "enriched_values"], every: 1500 },
  "/enrichment/sources": { tables: ["enrichment_sources", "connections"] },
  "/imports": { tables: ["imports"] },
  "/imports/{id}": { tables: ["imports"], every: 700 },
  "/imports/{id}/issues": { tables: ["imports"] },
  "/invitations": { tables: ["invitations"] },
  "/lists": { tables: ["lists", "list_contacts"] },
  "/lists/{id}": { tables: ["lists", "list_contacts"] },
  "/members": { tables: ["members"] },
  "/members/{user_id}": { tables: ["members"] },
  "/messages": { tables: ["messages", "message_events"], every: 1500 },
  "/messages/{id}": { tables: ["messages", "message_events"] },
  "/queues": { tables: ["dead_letters"] },
  "/segments": { tables: ["segments"] },
  "/segments/preview": { tables: ["contacts", "list_contacts"], every: 3000 },
  "/segments/{id}": { tables: ["segments"] },
  "/senders": { tables: ["senders", "messages"], every: 3000 },
  "/senders/{id}": { tables: ["senders"] },
  "/suppressions": { tables: ["suppressions"] },
  "/tags": { tables: ["contacts"], every: 5000 },
  "/tasks": { tables: ["tasks"] },
  "/tasks/{id}": { tables: ["tasks"] },
  "/tenant": { tables: ["tenants"] },
  "/threads": { tables: ["threads", "messages"] },
  "/threads/{id}": { tables: ["threads", "messages"] },
  "/threads/{id}/messages": { tables: ["messages", "message_events"] },
};

const byTable = new Map<string, ReadPath[]>();
for (const [path, { tables }] of Object.entries(SOURCES) as [ReadPath, Source][])
  for (const table of tables) byTable.set(table, [...(byTable.get(table) ?? []), path]);

/** The reads that show this table. */
export const pathsOf = (table: string): readonly ReadPath[] => byTable.get(table) ?? [];

/** First part of every key: `campaigns` for `/campaigns/{id}/leads`. */
export const resourceOf = (path: string): string => path.split("/")[1] ?? "";

type Asked = { path?: object; query?: object; body?: unknown };
const given = (values: object | undefined) =>
  Object.fromEntries(Object.entries(values ?? {}).filter(([, v]) => v !== undefined && v !== null && v !== ""));

/** A query's key: resource, path, and what was asked. A filter that is not set and one that is empty are the same question. */
export const keyOf = (path: ReadPath, asked: Asked = {}) =>
  [
    resourceOf(path),
    path,
    {
      path: given(asked.path),
      query: given(asked.query),
      ...(asked.body === undefined ? {} : { body: asked.body }),
    },
  ] as const;
