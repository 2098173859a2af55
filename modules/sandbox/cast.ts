import type { z } from "zod";
import type { Step } from "./personas.ts";
import type { Inbound, Message } from "./store.ts";

/** The people behind the addresses of one kind: mailboxes, phones. An address always behaves the same way. */
export type Cast = {
  /** What an address looks like. */
  address: z.ZodType<string>;
  characterOf(address: string): { persona: string; tone: string };
  /** What this person does with a message; `first` is whether it is the first one from this account. */
  planOf(address: string, first: boolean): Step[];
  /** What they write back; `automatic`: what their mailbox does by itself. */
  answer(message: Message, to: string, automatic: boolean): Omit<Inbound, "account" | "received_at">;
};
