import { createContext } from "svelte";
import type { CustomField } from "../api/types.ts";
import type { FieldChoice } from "../segments/FilterGroup.svelte";

/** How much a message comes to, by its channel: characters, words, segments of a text message. */
export type Measure = Record<string, string | number>;

/** What every step of the editor asks of the page around it. */
export type Editor = {
  readonly fields: readonly CustomField[];
  readonly filterFields: FieldChoice[];
  /** By the step's path in the body: `steps.0.branches.yes.1`. */
  readonly errors: Record<string, string>;
  readonly locked: boolean;
  /** A step's number in the whole sequence, from 1. */
  numberOf(key: string): number;
  /** Saved messages, which conditions can be about. */
  readonly messages: { value: string; label: string }[];
  measureOf(path: string): Measure | undefined;
};
export const [useEditor, provideEditor] = createContext<Editor>();
