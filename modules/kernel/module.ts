import type { Catalogue, ConsolePage } from "./catalogue.ts";
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
  /** Permission → least role that has it. `x:read` permissions are what read-scoped API keys get. */
  permissions?: Readonly<Record<`${string}:${string}`, Role>>;
  operations?: readonly AnyOperation[];
  consumers?: readonly AnyConsumer[];
  schedules?: readonly Schedule[];
  providers?: readonly AnyProvider[];
  /** Pages of the console that go with the module: its navigation shows them while the module is on. */
  pages?: readonly ConsolePage[];
  /** Words for the module's choices, by list: `campaign.status`, `contact.field`. */
  catalogue?: Catalogue;
};

export const defineModule = (def: ModuleDef): ModuleDef => def;
