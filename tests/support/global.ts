import type { TestProject } from "vitest/node";
import { type Stack, startStack } from "../../supabase/embedded/stack.ts";

/** One stack for the whole run: database, gateway and sandbox. Schedules stay off, so that tests decide when things happen. */
export default async function setup(project: TestProject) {
  const given = process.env[SHARED_STACK];
  if (given) return project.provide("stackEnv", JSON.parse(given) as Record<string, string>);
  const { env, stop } = await startShared();
  project.provide("stackEnv", env);
  return stop;
}

/** The environment of a stack that runs already, as JSON: a run that is given one starts none. */
export const SHARED_STACK = "OVERTURE_TEST_STACK";

/** Starts the stack that suites share, from the files of `root`. */
export async function startShared(root?: string): Promise<{ env: Record<string, string>; stop(): Promise<void> }> {
  const stack = await startStack({
    services: { worker: false, sandbox: true, cron: false, functions: true },
    // Short, so that a test of slow bodies need not wait half a minute.
    env: { OVERTURE_BODY_TIMEOUT: "5" },
    ...(root ? { root } : {}),
  });
  await claim(stack);
  const env = { ...stack.env, SUPABASE_ADMIN_DB_URL: stack.adminDbUrl, LOG_LEVEL: "silent" };
  return { env, stop: () => stack.stop() };
}

/** Before the claim nobody may register, and most suites do. */
async function claim({ url, claimUrl }: Stack): Promise<void> {
  const response = await fetch(`${url}/api/v1/auth/claim`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      token: new URL(claimUrl!).searchParams.get("token"),
      email: "operator@example.com",
      password: `operator ${crypto.randomUUID()}`,
      name: "Operator",
      tenant_name: "Operators",
    }),
  });
  if (!response.ok) throw new Error(`the claim answered ${response.status}: ${await response.text()}`);
  await response.body?.cancel();
}

declare module "vitest" {
  export interface ProvidedContext {
    stackEnv: Record<string, string>;
  }
}
