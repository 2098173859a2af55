import type { AnyConsumer } from "./queues/consumer.ts";
import type { Role } from "./context.ts";
import type { AnyOperation } from "./operations/operation.ts";
import type { AnyProvider } from "./provider.ts";
import type { Schedule } from "./queues/schedule.ts";

/** A module's door: what it needs and what it offers. Ten lines, no logic. */
export type ModuleDef = {
  name: string;
  /** Modules whose tables or operations this one uses; they must be switched on too. */
  needs: readonly string[];
  /** Tables (`public.contacts`) and queues that this module alone writes; others that need it may read them. */
  owns?: readonly string[];
  /** Permission → least role that has it. `x:read` permissions are what read-scoped API keys get. */
  permissions?: Readonly<Record<`${string}:${string}`, Role>>;
  operations?: readonly AnyOperation[];
  consumers?: readonly AnyConsumer[];
  schedules?: readonly Schedule[];
  providers?: readonly AnyProvider[];
  /** Console pages, by path: hidden when the module is off. */
  pages?: readonly string[];
};

export const defineModule = (def: ModuleDef): ModuleDef => def;
