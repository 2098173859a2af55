import type { Catalogue, ConsolePage } from "./catalogue.ts";
import type { AnyChannel } from "./channel.ts";
import type { z } from "zod";
import type { Tx } from "./database/db.ts";
import type { Gauge } from "./observability/metrics.ts";
import type { AnyConsumer } from "./queues/consumer.ts";
import type { AnyFact, Hearing } from "./queues/fact.ts";
import type { Ctx, Role } from "./context.ts";
import type { MessageHold } from "./hold.ts";
import type { AnyOperation } from "./operations/operation.ts";
import type { AnyProvider } from "./provider.ts";
import type { AnyStep } from "./step.ts";
import type { Schedule } from "./queues/schedule.ts";

/** A module's manifest: what it needs and what it offers. About ten lines, no logic. */
export type ModuleDef<C extends z.ZodObject = z.ZodObject> = {
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
  channels?: readonly AnyChannel[];
  /** Kinds of steps that sequences can have. */
  steps?: readonly AnyStep[];
  /** The kinds of step for one action of a channel, whichever module brings the channel. */
  actionStep?(channel: AnyChannel, action: string): AnyStep;
  /** Names of its guard functions, `private.guard_<name>`: what may stop a message that is due. */
  guards?: readonly string[];
  /** Which messages wait for a person's yes before they may leave: asked once for all that are written together. */
  holds?: MessageHold<Ctx>;
  /** Facts this module tells, from TypeScript (`ctx.emit`) or SQL (`kernel.emit`). Defined in its facts.ts, which any module may import. */
  emits?: readonly AnyFact[];
  /** Facts this module wants to be told. */
  hears?: readonly Hearing[];
  /** Kinds of provider this module uses that are no channel, such as `llm` or `crm`. A channel's id is a category by itself. */
  categories?: readonly string[];
  providers?: readonly AnyProvider[];
  /** Pages of the console that go with the module: its navigation shows them while the module is on. */
  pages?: readonly ConsolePage[];
  /** Words for the module's choices, by list: `campaign.status`, `contact.field`. */
  catalogue?: Catalogue;
  /** What a team sets for itself and this module reads in `tenants.settings`; PATCH /tenant takes it by this schema. */
  settings?: z.ZodObject;
  /**
   * Keys of the environment, OVERTURE_…, each with `.meta({ description })`. They stand in .env.example, bad ones are reported at
   * boot with everybody else's, and the module reads them with `ctx.configOf(schema)`.
   */
  config?: C;
  /** Whether the module can work as configured; default yes. The console is shown no module that is not ready. */
  ready?(config: z.infer<C>): boolean;
  /** `host:port` of private addresses that tenants' URLs may lead to because this module serves them. */
  privateHosts?(config: z.infer<C>): readonly string[];
  /** What the module adds to /metrics, read in one transaction without a tenant whenever it is asked for. */
  gauges?(tx: Tx): Promise<Gauge[]>;
  /** Gives back what the module holds in this process (pools, timers), when it stops and no work runs any more. */
  close?(): Promise<void>;
};

export const defineModule = <C extends z.ZodObject = z.ZodObject>(def: ModuleDef<C>): ModuleDef => def as ModuleDef;
