import { channels } from "./channels.ts";
import { input } from "./input.ts";
import { isolation } from "./isolation.ts";
import type { Mutation, Section } from "./mutation.ts";
import { operations } from "./operations.ts";
import { sending } from "./sending.ts";
import { whatIfs } from "./what-ifs.ts";

/** The sections whose promises stand word for word in docs/concepts/guarantees.md. */
export const SECTIONS: readonly Section[] = ["isolation", "hostile input"];

export const mutations: readonly Mutation[] = [
  ...isolation,
  ...input,
  ...sending,
  ...operations,
  ...channels,
  ...whatIfs,
];
