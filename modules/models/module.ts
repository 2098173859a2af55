import { defineModule } from "../kernel/module.ts";
import { defineSchedule } from "../kernel/queues/schedule.ts";
import { listModels, putModels } from "./aliases.ts";
import { listCalls, modelUsage } from "./calls.ts";
import { listPrompts, putPrompt } from "./prompts.ts";
import { getRouting, putRouting } from "./routing.ts";
import { TeamSettings } from "./settings.ts";
import { tryModel } from "./try.ts";
import { modelsWords } from "./words.ts";

/** Models: which language model answers, what it may cost and what it did cost. Other modules call `complete`. */
export const models = defineModule({
  name: "models",
  needs: ["tenancy", "contacts", "providers", "billing", "enrichment", "campaigns"],
  owns: [
    "public.model_cache",
    "public.model_calls",
    "public.model_routing",
    "public.model_rules",
    "public.models",
    "public.prompt_rollouts",
  ],
  // models:use: the kept answers, for whoever may have a model write.
  permissions: { "models:read": "viewer", "models:use": "member", "models:write": "admin" },
  settings: TeamSettings,
  operations: [listModels, putModels, getRouting, putRouting, listCalls, modelUsage, tryModel, listPrompts, putPrompt],
  schedules: [
    defineSchedule({
      name: "models.close_lost",
      cron: "*/5 * * * *",
      everySeconds: 300,
      sql: "select private.close_lost_model_calls()",
    }),
    defineSchedule({
      name: "models.prune_cache",
      cron: "27 * * * *",
      everySeconds: 3600,
      sql: "select private.prune_model_cache()",
    }),
  ],
  catalogue: modelsWords,
});
