import { accounts } from "./accounts/module.ts";
import { analytics } from "./analytics/module.ts";
import { approvals } from "./approvals/module.ts";
import { billing } from "./billing/module.ts";
import { campaigns } from "./campaigns/module.ts";
import { channels } from "./channels/module.ts";
import { compliance } from "./compliance/module.ts";
import { contacts } from "./contacts/module.ts";
import { demo } from "./demo/module.ts";
import { drafts } from "./drafts/module.ts";
import { installKernel } from "./kernel/database/install.ts";
import { createKernel, type Kernel } from "./kernel/kernel.ts";
import type { ModuleDef } from "./kernel/module.ts";
import { refuseNewerSchema } from "./kernel/database/schema-version.ts";
import { enrichment } from "./enrichment/module.ts";
import { inbox } from "./inbox/module.ts";
import { models } from "./models/module.ts";
import { messaging } from "./messaging/module.ts";
import { operations } from "./operations/module.ts";
import { providers } from "./providers/module.ts";
import { ensureClaim } from "./tenancy/claim.ts";
import { research } from "./research/module.ts";
import { tenancy } from "./tenancy/module.ts";

export type { Kernel } from "./kernel/kernel.ts";

/** Composition root: the one file that lists every module. A new module is a folder and a line here. */
export const modules: readonly ModuleDef[] = [
  tenancy,
  operations,
  contacts,
  channels,
  compliance,
  providers,
  billing,
  enrichment,
  drafts,
  accounts,
  messaging,
  campaigns,
  models,
  research,
  approvals,
  inbox,
  analytics,
  demo,
];

/**
 * Reads the environment once and wires everything. Throws with every fault of the configuration listed, and where the database
 * is ahead of this code.
 */
export async function boot(env: Record<string, string | undefined>): Promise<Kernel> {
  const kernel = createKernel(env, modules);
  try {
    await refuseNewerSchema(kernel);
    return kernel;
  } catch (error) {
    await kernel.close();
    throw error;
  }
}

/**
 * After the migrations: registers schedules and settings, as the database's owner (SUPABASE_DB_URL). Idempotent.
 * Returns the single-use link for the first account, or null when somebody has one already.
 */
export async function install(env: Record<string, string | undefined>): Promise<{ claimUrl: string | null }> {
  // Not boot: the login it would use may be made only now.
  const kernel = createKernel(env, modules);
  try {
    return await installKernel(kernel, env.SUPABASE_DB_URL ?? kernel.config.dbUrl, async (sql) => ({
      claimUrl: await ensureClaim(sql, kernel.config),
    }));
  } finally {
    await kernel.close();
  }
}
