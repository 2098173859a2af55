import type { z } from "zod";
import type { Ctx } from "./context.ts";
import type { AnyStep as Erased, StepShape } from "./step-shape.ts";

export type { StepEnv, StepReference, StepResult, StepRun } from "./step-shape.ts";

/** A kind of step; see step-shape.ts for what it holds. */
type StepDef<C extends z.ZodObject = z.ZodObject> = StepShape<C, Ctx>;
export type AnyStep = Erased<Ctx>;

export const defineStep = <C extends z.ZodObject>(def: StepDef<C>): StepDef<C> => def;
