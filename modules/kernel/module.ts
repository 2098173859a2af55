import type { AnyChannel } from "./channel.ts";
import type { Config } from "./config.ts";
import type { AnyConsumer } from "./queues/consumer.ts";
import type { AnyFact, Hearing } from "./queues/fact.ts";
import type { Role } from "./context.ts";
import type { AnyOperation } from "./operations/operation.ts";
import type { AnyProvider } from "./provider.ts";
import type { AnyStep } from "./step.ts";
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
  /** Kinds of steps that sequences can have. */
  steps?: readonly AnyStep[];
  /** Names of its guard functions, `private.guard_<name>`: what may stop a message that is due. */
  guards?: readonly string[];
  /** Facts this module tells, from TypeScript (`ctx.emit`) or SQL (`kernel.emit`). Defined in its facts.ts, which any module may import. */
  emits?: readonly AnyFact[];
  /** Facts this module wants to be told. */
  hears?: readonly Hearing[];
  /** Kinds of provider this module uses that are no channel, such as `llm` or `crm`. A channel's id is a category by itself. */
  categories?: readonly string[];
  providers?: readonly AnyProvider[];
  /** `host:port` of private addresses that a tenant's URLs may lead to because of this module. */
  privateHosts?: (config: Config) => readonly string[];
  /** Console pages, by path: hidden when the module is off. */
  pages?: readonly string[];
};

export const defineModule = (def: ModuleDef): ModuleDef => def;
