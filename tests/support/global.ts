import type { TestProject } from "vitest/node";
import { startStack } from "../../supabase/embedded/stack.ts";

/** One stack for the whole run: database, gateway and sandbox. Schedules stay off, so that tests decide when things happen. */
export default async function setup(project: TestProject) {
  const stack = await startStack({
    services: { worker: false, sandbox: true, cron: false, functions: true },
    // Short, so that a test of slow bodies need not wait half a minute.
    env: { OVERTURE_BODY_TIMEOUT: "5" },
  });
  project.provide("stackEnv", { ...stack.env, SUPABASE_ADMIN_DB_URL: stack.adminDbUrl, LOG_LEVEL: "silent" });
  return () => stack.stop();
}

declare module "vitest" {
  export interface ProvidedContext {
    stackEnv: Record<string, string>;
  }
}
