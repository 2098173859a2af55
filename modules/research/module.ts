import { defineModule } from "../kernel/module.ts";
import { researchConfig } from "./config.ts";
import { companyFindings, contactFindings } from "./findings.ts";
import { getRun, listItems, listRuns, startRun, stopRun } from "./runs.ts";
import { TeamSettings } from "./settings.ts";
import { getSite, listSites, researchNow, updateSite } from "./sites.ts";
import { researchWords } from "./words.ts";
import { researchRun } from "./work.ts";

/** Research: websites, feeds and search read for facts and news about companies and their people, each with quote and address. */
export const research = defineModule({
  name: "research",
  needs: ["tenancy", "contacts", "providers", "billing", "campaigns"],
  owns: ["research_run", "public.findings", "public.research_items", "public.research_runs", "public.research_sites"],
  permissions: { "research:read": "viewer", "research:run": "member" },
  settings: TeamSettings,
  config: researchConfig,
  operations: [
    startRun,
    listRuns,
    getRun,
    listItems,
    stopRun,
    researchNow,
    getSite,
    updateSite,
    listSites,
    contactFindings,
    companyFindings,
  ],
  consumers: [researchRun],
  catalogue: researchWords,
});
