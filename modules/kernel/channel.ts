import type { z } from "zod";
import type { Services } from "./context.ts";
import type { InboundMessage } from "./provider.ts";

/**
 * A channel is one stateless object: how people are addressed on it, what an author writes, how that becomes a message for one
 * person, what its inbound messages mean, and how people opt out. The ledger, caps, guards and inbox are the same for all.
 */

/** What a person may be written to by; `cap` null means no limit by default. */
export type ActionDef = { label: string; limits: readonly { per: LimitPeriod; cap: number }[] };
export type LimitPeriod = "hour" | "day" | "week";

/** A fault in what the author wrote; `error` ones must not be saved. */
export type Fault = { field: string; level: "error" | "warning"; id: string; detail: string };

/** A variable as it stands in a template, with the text used when the person has no value. */
export type VariableUse = { name: string; fallback: string | null };

/** A template read once; `parts` is the channel's own. */
export type CompiledTemplate<Parts = unknown> = {
  uses: readonly VariableUse[];
  faults: readonly Fault[];
  parts: Parts;
};

/** Gives a person's value of a variable, or null. */
export type ValueOf = (name: string) => string | null;

/** What one person would get, before the message exists. With `missing` not empty it must not be sent. */
export type RenderedTemplate<Draft = unknown> = {
  /** Names of variables without value and fallback. */
  missing: string[];
  /** One line for lists; empty where the channel has none. */
  subject: string;
  /** The message as plain text, for people and for search. */
  text: string;
  draft: Draft;
};

/** What the sequence already said to this person on this channel: a follow-up answers in its thread. */
export type ThreadSoFar = { references: readonly string[]; subject: string | null };

export type PrepareInput<Draft> = {
  services: Pick<Services, "config" | "vault">;
  tenantId: string;
  messageId: string;
  from: { address: string; name: string; profile: Record<string, unknown> };
  rendered: RenderedTemplate<Draft>;
  thread: ThreadSoFar;
  /** The campaign's options, such as `track_opens`. */
  options: Record<string, unknown>;
};

/** What the ledger stores: general columns, the channel's own content, and where tracked links lead. */
export type PreparedMessage = {
  subject: string;
  text: string;
  /** The channel's content as its providers take it, less what the general columns hold. */
  content: Record<string, unknown>;
  /** E-mail's row in email_details; null for the others. */
  email: EmailDetails | null;
  links: readonly { number: number; url: string }[];
};

/** Columns of email_details. */
export type EmailDetails = {
  rfc_message_id: string;
  in_reply_to: string | null;
  reply_to: string | null;
  headers: Record<string, string>;
  html: string | null;
};

/** What an inbound message is. Only `reply` stops sequences; `opt_out` and `opt_in` change consent. */
export type InboundKind = "reply" | "auto_reply" | "delivery_report" | "opt_out" | "opt_in" | "help";

/** An inbound message, read: bounded, storable text without quotes, and what it answers. */
export type ReadMessage = {
  kind: InboundKind;
  provider_inbound_id: string;
  from_address: string;
  from_name: string;
  to_address: string;
  subject: string;
  text: string;
  /** Ids of messages this answers, nearest first; empty on channels without such references. */
  references: string[];
  email: EmailDetails | null;
};

export type ChannelDef<T extends z.ZodObject = z.ZodObject, Parts = unknown, Draft = unknown> = {
  id: string;
  label: string;
  /** The contact's field that holds its address on this channel. */
  contact_field: "email" | "phone" | "whatsapp_number" | "linkedin_url";
  address: {
    /** As people call it: "email address", "mobile number". */
    label: string;
    example: string;
    /** The normal form under which addresses are stored and compared; null when it is none. */
    normalise(input: string): string | null;
  };
  actions: Readonly<Record<string, ActionDef>>;
  /** Whether a message may only go to a person with recorded consent for this channel. */
  requires_consent: boolean;
  /** What the author writes. Field metadata (`.meta({ title, widget })`) makes the editor's form. */
  template: T;
  /** Reads a template once. `customKeys` are the tenant's custom fields. */
  compile(template: z.output<T>, customKeys: ReadonlySet<string>): CompiledTemplate<Parts>;
  render(
    compiled: CompiledTemplate<Parts>,
    valueOf: ValueOf,
    options?: { showMissing?: boolean },
  ): RenderedTemplate<Draft>;
  prepare(input: PrepareInput<Draft>): Promise<PreparedMessage>;
  /** Facts about one rendered message for the preview, such as the number of SMS segments. */
  measure(rendered: RenderedTemplate<Draft>): Record<string, string | number>;
  readInbound(message: InboundMessage): ReadMessage;
};

export const defineChannel = <T extends z.ZodObject, Parts, Draft>(
  def: ChannelDef<T, Parts, Draft>,
): ChannelDef<T, Parts, Draft> => def;

// deno-lint-ignore no-explicit-any
export type AnyChannel = ChannelDef<any, any, any>;
