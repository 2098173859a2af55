import type { z } from "zod";
import type { Config } from "./config.ts";
import type { InboundMessage } from "./provider.ts";
import type { Vault } from "./secrets/vault.ts";

/**
 * A channel is one stateless object: how people are addressed on it, what an author writes, how that becomes a message for one
 * person, what its inbound messages mean, and how people opt out. The ledger, caps, guards and inbox are the same for all.
 */

/** The actions of a sender on a channel, with their default limits; without limits: as many as the provider accepts. */
export type ActionDef = { label: string; limits: readonly { per: LimitPeriod; cap: number }[] };
type LimitPeriod = "hour" | "day" | "week";

/** A fault in a template or in the message to one contact; a text with an `error` must not be saved or sent. */
export type Fault = { field: string; level: "error" | "warning"; id: string; detail: string };

/** A variable in a template: its canonical name, and the text that is used when the contact has no value. */
export type VariableUse = { name: string; fallback: string | null };

/** A parsed template; `parts` are defined by the channel. */
export type CompiledTemplate<Parts = unknown> = {
  uses: readonly VariableUse[];
  faults: readonly Fault[];
  parts: Parts;
};

export type CompileInput = {
  /** Keys of the tenant's custom fields. */
  customKeys: ReadonlySet<string>;
  /** Whether this can be the first message of the sequence to a person on this channel: it then answers nothing. */
  first: boolean;
};

/** Returns a contact's value of a variable, by its canonical name, as one line of text; null when there is none. */
export type ValueOf = (name: string) => string | null;

/**
 * What the sequence already sent to this person on this channel: a follow-up answers in its thread. `references` are the channel's
 * own ids, oldest first (e-mail: Message-IDs); `subject` is the first message's.
 */
export type ThreadSoFar = { references: readonly string[]; subject: string | null };

export type RenderInput = {
  valueOf: ValueOf;
  thread: ThreadSoFar;
  /** Shows `{{name}}` where a value is missing, for a preview. */
  showMissing?: boolean;
};

/** The rendered message to one contact, before it is stored. While `blockedBy` returns a reason, it must not be sent. */
export type RenderedTemplate<Draft = unknown> = {
  /** Names of variables without value and fallback. */
  missing: string[];
  /** What is wrong with this person's message only, such as a text that their values make too long. */
  faults: Fault[];
  /** One line for lists, as the person sees it (with "Re:" in a thread); empty where the channel has none. */
  subject: string;
  /** The message as plain text, for people and for search. */
  text: string;
  draft: Draft;
};

/** Why a rendered message must not be sent, as a sentence; null when it may. */
export const blockedBy = (rendered: Pick<RenderedTemplate, "missing" | "faults">): string | null =>
  rendered.missing.length > 0
    ? `Missing: ${rendered.missing.join(", ")}`
    : (rendered.faults.find((f) => f.level === "error")?.detail ?? null);

export type PrepareInput<Draft> = {
  services: { config: Config; vault: Vault };
  tenantId: string;
  messageId: string;
  /** The sender: its address, display name, and its profile as the channel's `sender.profile` reads it. */
  from: { address: string; name: string; profile: Record<string, unknown> };
  rendered: RenderedTemplate<Draft>;
  /** What the campaign chose of the channel's `options`, after the tenant's own limits. */
  options: Record<string, unknown>;
};

/** What the ledger stores: general columns, the channel's own content, and the targets of tracked links. */
export type PreparedMessage = {
  subject: string;
  text: string;
  /** The channel's content as its providers take it, less what the general columns hold. */
  content: Record<string, unknown>;
  /** E-mail's row in email_details; null for the others. */
  email: EmailDetails | null;
  links: readonly { number: number; url: string }[];
};

/** A stored message, as it is read for sending. */
export type StoredMessage = Pick<PreparedMessage, "subject" | "text" | "content" | "email">;

/** Whose message is completed. */
export type CompleteInput = { services: { vault: Vault }; tenantId: string; messageId: string };

/** Columns of email_details. An inbound mail may lack a Message-ID; ours never does. */
export type EmailDetails = {
  rfc_message_id: string | null;
  in_reply_to: string | null;
  reply_to: string | null;
  headers: Record<string, string>;
  html: string | null;
};

/** What an inbound message is. Only `reply` stops sequences; `opt_out` and `opt_in` change consent. */
export type InboundKind = "reply" | "auto_reply" | "delivery_report" | "opt_out" | "opt_in" | "help";

/**
 * What a report says became of one of our messages. permanent: the address takes none; block: refused for another reason; deferred: not
 * final. `recipients` are the names of one recipient (as we wrote it, and after forwarding), in the channel's normal form.
 */
export type DeliveryReport = { recipients: string[]; outcome: "permanent" | "block" | "deferred"; detail: string };

/** A parsed inbound message: every field is limited in size and can be stored. */
export type ReadMessage = {
  kind: InboundKind;
  provider_inbound_id: string;
  /** In the channel's normal form where it has one; empty when the message names no sender. */
  from_address: string;
  from_name: string;
  to_address: string;
  subject: string;
  /** What the person wrote, without what they quoted. */
  text: string;
  /** The text as received, quotes included; null when `text` is all of it. */
  full_text: string | null;
  /** Ids of messages this answers, nearest first; empty on channels without such references. */
  references: string[];
  /** Words of a reply that ask for no more messages: sure where `kind` is `opt_out` by them, else a member is asked. Null without such. */
  wish: { sure: boolean; words: string } | null;
  /** Of a `delivery_report`: one for each recipient that it speaks of clearly. */
  reports: DeliveryReport[];
  /** What the channel keeps besides, such as the number of segments. */
  content: Record<string, unknown>;
  email: EmailDetails | null;
};

/** The contact's field that holds its address on a channel. */
export type ContactField = "email" | "phone" | "whatsapp_number" | "linkedin_url";

type ChannelDef<T extends z.ZodObject = z.ZodObject, Parts = unknown, Draft = unknown, Content = unknown> = {
  id: string;
  label: string;
  contact_field: ContactField;
  address: {
    /** As people call it: "email address", "mobile number". */
    label: string;
    example: string;
    /** The normal form under which addresses are stored and compared; null when it is none. Idempotent. */
    normalise(input: string): string | null;
    /** People write it with spaces inside, as numbers; a list of such addresses is cut at lines and commas only. */
    spaced?: true;
  };
  sender: {
    /** As people call a sender's address, which may be of more kinds than a contact's. */
    label: string;
    example: string;
    normalise(input: string): string | null;
    /** What a sender has besides address and name. Field metadata makes the form. */
    profile: z.ZodObject;
  };
  /** By id, `<channel>.<verb>`. */
  actions: Readonly<Record<string, ActionDef>>;
  /** Whether a message may only go to a person with recorded consent for this channel. */
  requires_consent: boolean;
  /**
   * What a campaign may choose, such as tracking; every option has a default and field metadata that makes the form. Options of one
   * name are one choice for all channels; the tenant can switch a boolean off for all its campaigns.
   */
  options: z.ZodObject;
  /** What the author writes. Field metadata (`.meta({ title, widget })`) makes the editor's form. */
  template: T;
  /** Reads a template once, in bounded time; faults say what is wrong or could be better. Never throws. */
  compile(template: z.output<T>, input: CompileInput): CompiledTemplate<Parts>;
  /** Fills it for one person. A template with an `error` fault may be shown, never sent. */
  render(compiled: CompiledTemplate<Parts>, input: RenderInput): RenderedTemplate<Draft>;
  /** Turns it into the message to store. The same input gives the same message. */
  prepare(input: PrepareInput<Draft>): Promise<PreparedMessage>;
  /**
   * Puts in what only the recipient may hold, such as tokens in links, right before sending: it is not stored, because whoever may
   * read the ledger could act for the recipient. The same input gives the same message, as a repeated attempt needs it.
   */
  complete?(stored: StoredMessage, input: CompleteInput): Promise<StoredMessage>;
  /** The content for the channel's providers, out of what the ledger stored and `complete` returned. */
  content(stored: StoredMessage): Content;
  /** Facts about one rendered message for the preview, such as the number of SMS segments. */
  measure(rendered: RenderedTemplate<Draft>): Record<string, string | number>;
  /** Reads a received message. Pure, in bounded time, and never throws: the sender is a stranger. */
  readInbound(message: InboundMessage): ReadMessage;
};

export const defineChannel = <T extends z.ZodObject, Parts, Draft, Content>(
  def: ChannelDef<T, Parts, Draft, Content>,
): ChannelDef<T, Parts, Draft, Content> => def;

// deno-lint-ignore no-explicit-any
export type AnyChannel = ChannelDef<any, any, any, any>;
