import { api } from "../api.ts";
import { session } from "../session.svelte.ts";

/** Can this installation show a demo: the sandbox plays the providers, so that nothing reaches a real person. */
export const demoOffered = (): boolean => session.has("demo");

/** Makes (or finds) this person's demo workspace, whose campaign runs by itself, and goes there. */
export async function watchDemo(idempotencyKey: string): Promise<void> {
  const demo = await api.post("/demo", { body: {}, idempotencyKey });
  session.switchTenant(demo.tenant_id);
}
