import type { Contact, Operator } from "../api/types.ts";

/** What a person may be set to. */
export const settableStatuses = [
  "new",
  "researching",
  "enriched",
  "personalized",
  "approved",
  "contacted",
  "replied",
  "interested",
  "not_interested",
  "customer",
] as const satisfies readonly Contact["status"][];
/** Every status; the last three come about by themselves. */
export const contactStatuses = [
  ...settableStatuses,
  "bounced",
  "unsubscribed",
  "suppressed",
] as const satisfies readonly Contact["status"][];

/** The fields a CSV column can be mapped to and a filter can ask about. */
export const contactFields: readonly {
  key: string;
  label: string;
  type: "text" | "number" | "date" | "select" | "set";
  importable?: boolean;
}[] = [
  { key: "email", label: "Email", type: "text", importable: true },
  { key: "full_name", label: "Full name", type: "text", importable: true },
  { key: "first_name", label: "First name", type: "text", importable: true },
  { key: "last_name", label: "Last name", type: "text", importable: true },
  { key: "title", label: "Job title", type: "text", importable: true },
  { key: "phone", label: "Phone", type: "text", importable: true },
  { key: "linkedin_url", label: "LinkedIn URL", type: "text", importable: true },
  { key: "whatsapp_number", label: "WhatsApp number", type: "text", importable: true },
  { key: "company_name", label: "Company", type: "text", importable: true },
  { key: "company_domain", label: "Company domain", type: "text", importable: true },
  { key: "country", label: "Country", type: "text", importable: true },
  { key: "locale", label: "Language", type: "text", importable: true },
  { key: "time_zone", label: "Time zone", type: "text", importable: true },
  { key: "tags", label: "Tags", type: "text", importable: true },
  { key: "consent_source", label: "Consent source", type: "text", importable: true },
  { key: "lawful_basis", label: "Lawful basis", type: "text", importable: true },
  { key: "pipeline_stage", label: "Pipeline stage", type: "text", importable: true },
  { key: "deal_value", label: "Deal value", type: "number", importable: true },
  { key: "status", label: "Status", type: "select", importable: true },
  { key: "tag", label: "Tag", type: "set" },
  { key: "list", label: "List", type: "set" },
  { key: "company.name", label: "Company", type: "text" },
  { key: "company.domain", label: "Company domain", type: "text" },
  { key: "warmth_score", label: "Warmth score", type: "number" },
  { key: "company.industry", label: "Company industry", type: "text" },
  { key: "company.size", label: "Company size", type: "text" },
  { key: "company.country", label: "Company country", type: "text" },
  { key: "created_at", label: "Added", type: "date" },
  { key: "last_interaction_at", label: "Last interaction", type: "date" },
];

export const operators: Record<
  "text" | "number" | "date" | "select" | "set",
  readonly { value: Operator; label: string }[]
> = {
  text: [
    { value: "eq", label: "is" },
    { value: "neq", label: "is not" },
    { value: "contains", label: "contains" },
    { value: "starts_with", label: "starts with" },
    { value: "ends_with", label: "ends with" },
    { value: "in", label: "is one of" },
    { value: "is_empty", label: "is empty" },
    { value: "is_not_empty", label: "is not empty" },
  ],
  number: [
    { value: "eq", label: "=" },
    { value: "gt", label: ">" },
    { value: "gte", label: "≥" },
    { value: "lt", label: "<" },
    { value: "lte", label: "≤" },
    { value: "is_empty", label: "is empty" },
    { value: "is_not_empty", label: "is not empty" },
  ],
  date: [
    { value: "within_days", label: "within the last days" },
    { value: "before", label: "before" },
    { value: "after", label: "after" },
    { value: "is_empty", label: "is empty" },
    { value: "is_not_empty", label: "is not empty" },
  ],
  select: [
    { value: "eq", label: "is" },
    { value: "neq", label: "is not" },
  ],
  set: [
    { value: "eq", label: "includes" },
    { value: "neq", label: "does not include" },
    { value: "is_empty", label: "is empty" },
    { value: "is_not_empty", label: "is not empty" },
  ],
};

export const withoutValue = new Set<Operator>(["is_empty", "is_not_empty"]);

export const lawfulBases = [
  { value: "consent", label: "Consent" },
  { value: "legitimate_interests", label: "Legitimate interests" },
  { value: "contract", label: "Contract" },
  { value: "legal_obligation", label: "Legal obligation" },
  { value: "vital_interests", label: "Vital interests" },
  { value: "public_task", label: "Public task" },
] as const;
