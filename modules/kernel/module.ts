import type { AnyConsumer } from "./queues/consumer.ts";
import type { Role } from "./context.ts";
import type { AnyOperation } from "./operations/operation.ts";
import type { AnyChannel } from "./channel.ts";
import type { AnyProvider } from "./provider.ts";
import type { Schedule } from "./queues/schedule.ts";

/** A module's door: what it needs and what it offers. Ten lines, no logic. */
export type ModuleDef = {
  name: string;
  /** Modules whose tables or operations this one uses; they must be switched on too. */
  needs: readonly string[];
  /** Permission → least role that has it. `x:read` permissions are what read-scoped API keys get. */
  permissions?: Readonly<Record<`${string}:${string}`, Role>>;
  operations?: readonly AnyOperation[];
  consumers?: readonly AnyConsumer[];
  schedules?: readonly Schedule[];
  channels?: readonly AnyChannel[];
  /** Kinds of provider this module uses that are no channel, such as `llm` or `crm`. A channel's id is a category by itself. */
  categories?: readonly string[];
  providers?: readonly AnyProvider[];
  /** Console pages, by path: hidden when the module is off. */
  pages?: readonly string[];
};

export const defineModule = (def: ModuleDef): ModuleDef => def;
