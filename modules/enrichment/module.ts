import { defineModule } from "../kernel/module.ts";
import { defineSchedule } from "../kernel/queues/schedule.ts";
import { enrichLead } from "./enrich.ts";
import { enrichmentNew } from "./new-contacts.ts";
import { coverage, providerStatus } from "./reports.ts";
import { estimateRun, getRun, listItems, listRuns, startRun, stopRun } from "./runs.ts";
import { TeamSettings } from "./settings.ts";
import { applyPreset, listSources, putSources } from "./sources.ts";
import { acceptValue, contactValues, rejectValue } from "./values.ts";
import { enrichmentWords } from "./words.ts";
import { enrichmentRun } from "./work.ts";

/** Enrichment: data providers asked in the team's order for what is missing, with the source of every value. */
export const enrichment = defineModule({
  name: "enrichment",
  needs: ["tenancy", "contacts", "providers", "billing"],
  owns: [
    "enrichment_new",
    "enrichment_run",
    "public.enriched_values",
    "public.enrichment_cache",
    "public.enrichment_items",
    "public.enrichment_runs",
    "public.enrichment_sources",
  ],
  permissions: {
    "enrichment:read": "viewer",
    "enrichment:run": "member",
    "enrichment:decide": "member",
    "enrichment:configure": "admin",
  },
  settings: TeamSettings,
  operations: [
    enrichLead,
    estimateRun,
    startRun,
    listRuns,
    getRun,
    listItems,
    stopRun,
    listSources,
    putSources,
    applyPreset,
    providerStatus,
    coverage,
    contactValues,
    acceptValue,
    rejectValue,
  ],
  consumers: [enrichmentRun, enrichmentNew],
  schedules: [
    defineSchedule({
      name: "enrichment.new_contacts",
      cron: "*/2 * * * *",
      everySeconds: 120,
      sql: "select private.wake_enriching_new()",
    }),
    defineSchedule({
      name: "enrichment.prune_cache",
      cron: "17 * * * *",
      everySeconds: 3600,
      sql: "select private.prune_enrichment_cache()",
    }),
  ],
  catalogue: enrichmentWords,
  pages: [{ path: "/enrichment", label: "Enrichment", icon: "sparkles", shortcut: "e", group: "work", position: 35 }],
});
