import { access, accessInput } from "./access.ts";
import { accounts } from "./accounts.ts";
import { answers } from "./answers.ts";
import { approvals } from "./approvals.ts";
import { channels } from "./channels.ts";
import { contactData } from "./contacts.ts";
import { enrichment } from "./enrichment.ts";
import { drafts } from "./drafts.ts";
import { fairUse } from "./fair-use.ts";
import { gateway } from "./gateway.ts";
import { input } from "./input.ts";
import { isolation } from "./isolation.ts";
import { models } from "./models.ts";
import type { Mutation, Section } from "./mutation.ts";
import { operations } from "./operations.ts";
import { people } from "./people.ts";
import { providers } from "./providers.ts";
import { reported } from "./reported.ts";
import { research } from "./research.ts";
import { handingOver } from "./handing-over.ts";
import { sending } from "./sending.ts";
import { sequences } from "./sequences.ts";
import { texts } from "./texts.ts";
import { visits } from "./visits.ts";
import { whatIfs } from "./what-ifs.ts";

/** The sections whose promises stand word for word in docs/concepts/guarantees.md. */
export const SECTIONS: readonly Section[] = ["isolation", "hostile input"];

export const mutations: readonly Mutation[] = [
  ...isolation,
  ...access,
  ...accessInput,
  ...input,
  ...fairUse,
  ...texts,
  ...sending,
  ...approvals,
  ...handingOver,
  ...sequences,
  ...operations,
  ...channels,
  ...people,
  ...contactData,
  ...providers,
  ...whatIfs,
  ...reported,
  ...drafts,
  ...answers,
  ...gateway,
  ...accounts,
  ...enrichment,
  ...visits,
  ...models,
  ...research,
];
