import { type Catalogue, entriesOf } from "../kernel/catalogue.ts";
import { FIELDS, KINDS } from "../providers/enrichment/vocabulary.ts";
import { OUTCOMES, RUN_STATUS, VALUE_STATES } from "./schemas.ts";
import { PRESETS } from "./sources.ts";

const PRESET_NAMES = Object.keys(PRESETS) as (keyof typeof PRESETS)[];

export const enrichmentWords: Catalogue = {
  "enrichment.field": entriesOf(FIELDS, {
    email: { label: "Email", group: "contact" },
    first_name: { label: "First name", group: "contact" },
    last_name: { label: "Last name", group: "contact" },
    title: { label: "Job title", group: "contact" },
    seniority: { label: "Seniority", group: "contact" },
    department: { label: "Department", group: "contact" },
    phone: { label: "Phone", group: "contact" },
    linkedin_url: { label: "LinkedIn profile", group: "contact" },
    country: { label: "Country", group: "contact" },
    city: { label: "City", group: "contact" },
    company_name: { label: "Company", group: "company" },
    company_domain: { label: "Domain", group: "company" },
    company_industry: { label: "Industry", group: "company" },
    company_employees: { label: "Employees", group: "company" },
    company_size: { label: "Company size", group: "company" },
    company_country: { label: "Company country", group: "company" },
    company_city: { label: "Company city", group: "company" },
    company_founded: { label: "Founded", group: "company" },
    company_revenue: { label: "Revenue in US dollars", group: "company" },
    company_linkedin_url: { label: "Company on LinkedIn", group: "company" },
    company_phone: { label: "Company phone", group: "company" },
    company_description: { label: "Description", group: "company" },
    company_technologies: { label: "Technologies", group: "company" },
    email_status: { label: "Email status", group: "verification" },
  }),
  "enrichment.kind": entriesOf(KINDS, {
    person: { label: "Contacts", description: "Name, job, phone and profile of a contact." },
    company: { label: "Companies", description: "Industry, size, place and technologies of a company." },
    email: { label: "Email verification", description: "Whether an email address takes messages." },
  }),
  "enrichment.status": entriesOf(RUN_STATUS, {
    preparing: { label: "Preparing", tone: "info", traits: ["moving"] },
    running: { label: "Running", tone: "accent", traits: ["moving"] },
    done: { label: "Done", tone: "good" },
    stopped: { label: "Stopped", tone: "warn" },
  }),
  "enrichment.outcome": entriesOf(OUTCOMES, {
    complete: { label: "Complete", tone: "good" },
    partial: { label: "Partly found", tone: "info" },
    nothing: { label: "Nothing found", tone: "neutral" },
    skipped: { label: "Skipped", tone: "neutral" },
    failed: { label: "Failed", tone: "bad" },
  }),
  "enrichment.reason": entriesOf(
    ["budget", "contact_cap", "time", "stopped", "provider", "interrupted", "no_provider", "member", "source_gone"],
    {
      budget: { label: "A budget has no room for the next call.", tone: "warn" },
      contact_cap: { label: "The limit for one contact is reached.", tone: "warn" },
      time: { label: "The providers took too long.", tone: "warn" },
      stopped: { label: "The run was stopped.", tone: "neutral" },
      provider: { label: "A provider could not answer.", tone: "bad" },
      interrupted: { label: "Interrupted; it goes on.", tone: "info" },
      no_provider: { label: "No provider can be asked.", tone: "bad" },
      member: { label: "A member stopped it.", tone: "neutral" },
      source_gone: { label: "The list or segment no longer exists.", tone: "bad" },
    },
  ),
  "enrichment.value_state": entriesOf(VALUE_STATES, {
    used: { label: "In use", tone: "good" },
    known: { label: "Not in use", tone: "neutral" },
    offered: { label: "Differs from your entry", tone: "warn" },
    rejected: { label: "Rejected", tone: "bad" },
  }),
  "enrichment.preset": entriesOf(PRESET_NAMES, {
    lowest_cost: {
      label: "Lowest cost",
      description: "People Data Labs, Clearbit, LinkedIn data, then the company’s own website.",
    },
    most_found: { label: "Most found", description: "Apollo, Clearbit, ZoomInfo, then Hunter." },
  }),
  "enrichment.email_status": entriesOf(["valid", "invalid", "catch_all", "risky", "unknown"], {
    valid: { label: "Takes messages", tone: "good" },
    invalid: { label: "Takes none", tone: "bad" },
    catch_all: { label: "Domain takes all addresses", tone: "warn" },
    risky: { label: "Risky", tone: "warn" },
    unknown: { label: "Cannot be told", tone: "neutral" },
  }),
};
