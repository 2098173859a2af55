import type { z } from "zod";
import type { HttpClient } from "./http/client.ts";

/**
 * A provider is one stateless object: what it is (data) and what it can do (capabilities, each optional).
 * Credentials and transport are arguments, so two tenants can never share a key.
 */

/** A sender or recipient: an address in the channel's normal form, and a display name. */
export type Party = { address: string; name?: string | null };

/**
 * One message to one person. `id` is our message id: the idempotency key where the provider has one, metadata where not.
 * `Content` is the channel's: what its providers need besides the parties.
 */
export type OutboundMessage<Content = unknown> = {
  id: string;
  /** What is done, such as `email.send` or `linkedin.invite`: one of the channel's actions. */
  action: string;
  from: Party;
  to: Party;
  content: Content;
};

/**
 * The outcome of one send.
 * sent: the provider accepted it. rejected: it will never accept this one. `recipient` says that the reason is the address, and is then
 * suppressed: `gone`: it takes no messages (unknown, dead); `opted_out`: the person does not want any.
 * retry: it was surely not accepted, and may be later. unknown: not known; it must be reconciled, never repeated.
 * broken: the connection itself is unusable (bad key, account closed); the message was not accepted.
 */
export type SendOutcome =
  | { outcome: "sent"; provider_message_id: string; rfc_message_id?: string; detail?: string }
  | { outcome: "rejected"; code: string; detail: string; recipient?: RefusedRecipient }
  | { outcome: "retry"; code: string; detail: string; after_seconds?: number }
  | { outcome: "unknown"; code: string; detail: string }
  | { outcome: "broken"; code: string; detail: string };

export type RefusedRecipient = "gone" | "opted_out";

/** Fields of every event about a message. `event_id` is deterministic, so a redelivery is one row. */
type EventBase = {
  event_id: string;
  provider_message_id: string | null;
  /** Our own message id when the payload carries it (tags, metadata, callback URL). */
  message_id: string | null;
  /** E-mail: the Message-ID the provider really sent, where it replaces ours; replies name that one. */
  rfc_message_id?: string;
  /** The address it is about, in the channel's normal form. */
  recipient: string | null;
  at: string;
};

/** An event that a webhook reported, with the same names for all channels. */
export type ProviderEvent =
  | (EventBase & {
      /** sent: the provider says that it has the message, which settles a send whose answer was lost. */
      kind: "sent" | "delivered" | "deferred" | "opened" | "clicked" | "complained" | "unsubscribed";
      url?: string;
      user_agent?: string;
      ip?: string;
    })
  | (EventBase & {
      kind: "bounced" | "failed";
      /** permanent: the address is dead; transient: it may work later; block: policy or reputation, not the address. */
      bounce: "permanent" | "transient" | "block";
      detail: string;
    })
  | { kind: "inbound"; event_id: string; at: string; message: InboundMessage }
  /** The webhook only announces the message; the worker fetches it with the `inbound` capability. */
  | { kind: "inbound_ref"; event_id: string; at: string; ref: string };

/** A received message. `details` is the channel's own (e-mail: subject, HTML, headers), read by the channel. */
export type InboundMessage<Details = unknown> = {
  provider_inbound_id: string;
  from: Party;
  to: string[];
  /** As received, quotes included. */
  text: string;
  details: Details;
};

export type CheckResult =
  { ok: true; detail: string } | { ok: false; code: string; detail: string; suggestion?: string };

/** `url` is the one the provider called: our public address, whatever a proxy in between made of it. */
export type WebhookRequest = { headers: Headers; body: Uint8Array; url: string; now: Date };

/** Credentials plus everything a call may need; `base_url` replaces the provider's own (sandbox, self-hosted peers). */
export type Connection<C> = {
  id: string;
  credentials: C;
  settings: Record<string, unknown>;
  base_url: string | null;
  /** Where the provider's webhooks reach this connection; null where the provider cannot reach this installation. */
  webhook_url: string | null;
};

/**
 * How an unknown outcome is settled: `key`: repeat with the same idempotency key within `window_hours`;
 * `search`: ask `find`, no sooner than `after_seconds` after the call, when the provider's search surely knows what it took;
 * `none`: wait for a webhook, else a person decides.
 */
export type ReconcileRule =
  { by: "key"; window_hours: number } | { by: "search"; after_seconds: number } | { by: "none" };

/** Sends messages of the provider's channel. */
export type SendCapability<C, Content> = {
  /** Calls per second, from the provider's documentation; answers' own headers adjust it. */
  per_second: number;
  /** Largest batch one call may carry; 1 where there is no batch endpoint. */
  batch: number;
  /** Longest time in seconds that one lawful call may take, retries within the adapter included: the lease covers it. */
  call_seconds: number;
  /** Calls side by side on one connection; without it two where a call carries a batch, else as many as begin in a second, at most 100. */
  parallel?(connection: Connection<C>): number;
  reconcile: ReconcileRule;
  /** Sends 1..batch messages; outcomes in the same order. Never throws for a provider's answer. */
  send(messages: OutboundMessage<Content>[], connection: Connection<C>, http: HttpClient): Promise<SendOutcome[]>;
  /** Finds a message of ours at the provider by our id; null: surely not there. Throws if it cannot tell. */
  find?(
    messageId: string,
    connection: Connection<C>,
    http: HttpClient,
  ): Promise<{ provider_message_id: string } | null>;
};

/** Reads what the provider reports over HTTP. */
type WebhookCapability<C> = {
  /**
   * Registers `url` at the provider for delivery events and inbound messages, so that a person need not click through its
   * dashboard. Returns the credentials to keep (a signing secret); safe to call again.
   */
  register?(
    url: string,
    connection: Connection<C>,
    http: HttpClient,
  ): Promise<{ credentials: Partial<C>; detail: string }>;
  /** Proves the raw bytes come from the provider. Throws `unauthenticated`. */
  verify(request: WebhookRequest, connection: Connection<C>): Promise<VerifiedDelivery>;
  /** Pure: the raw body (JSON, form, …) to events. Unknown types give []. Throws `invalid` on a malformed body. */
  parse(body: Uint8Array, context: DeliveryContext): ProviderEvent[];
  /** What the provider gets for a delivery that was taken, where our own JSON would be misread; status 200. */
  answer?: { content_type: string; body: string };
};

/**
 * `delivery_id` de-duplicates: the same for a delivery that comes again. `context` is stored beside the body for `parse`: what the
 * proof covers outside of it, such as our message id in the query of a signed URL.
 */
export type VerifiedDelivery = { delivery_id: string; context?: DeliveryContext };
export type DeliveryContext = Readonly<Record<string, string>>;

/** Fetches a received message that a webhook only announced. */
type InboundCapability<C> = {
  fetch(ref: string, connection: Connection<C>, http: HttpClient): Promise<InboundMessage>;
};

/**
 * The outcome of one question. found: an answer; miss: the provider has none, which it may charge for all the same (`units`).
 * later: it is being prepared, ask again. refused: never to be asked again as it stands; `forget`: the person asked this provider not to
 * be looked up. retry: not answered and not charged. unknown: no answer was read; it may have been charged.
 * broken: the connection itself is unusable (bad key, no credits left).
 */
export type LookupOutcome<Found> =
  | { outcome: "found"; found: Found; units: number }
  | { outcome: "miss"; units: number }
  | { outcome: "later"; after_seconds: number; detail: string }
  | { outcome: "refused"; code: string; detail: string; forget?: true }
  | { outcome: "retry"; code: string; detail: string; after_seconds?: number }
  | { outcome: "unknown"; code: string; detail: string }
  | { outcome: "broken"; code: string; detail: string };

/** One kind of question that a provider answers. */
export type LookupKind = {
  /** What a question must have, as alternatives: `[["email"], ["first_name", "last_name", "domain"]]`. */
  needs: readonly (readonly string[])[];
  /** What an answer may have. */
  gives: readonly string[];
  /** Questions that one call may carry; 1 where there is no batch endpoint. */
  batch: number;
  /** The most units of account that one question can be charged: reserved before the call. */
  units: number;
};

/** Looks things up: questions in, what is known out. `Question` and `Found` are the category's. */
export type LookupCapability<C, Question, Found> = {
  /** Calls per second, from the provider's documentation; answers' own headers adjust it. */
  per_second: number;
  /** Longest time in seconds that one lawful call may take, retries within the adapter included. */
  call_seconds: number;
  /** The list price of a unit in millionths of a US dollar, with its source in a comment; 0 is free. A team enters its own price. */
  unit_micros: number;
  /** By the name of the kind. */
  kinds: Readonly<Record<string, LookupKind>>;
  /** Answers 1..batch questions of one kind; outcomes in the same order. Never throws for a provider's answer. */
  lookup(
    kind: string,
    questions: readonly Question[],
    connection: Connection<C>,
    http: HttpClient,
  ): Promise<LookupOutcome<Found>[]>;
};

/** A question to a language model. */
export type CompletionRequest = {
  /** As the provider names it. */
  model: string;
  /** What stays the same from call to call. It comes first, so that the provider can keep what it made of it. */
  system: string;
  /** Begins with the user's and alternates. */
  messages: readonly { role: "user" | "assistant"; content: string }[];
  /** Tokens that the answer may have, thinking included. */
  max_output_tokens: number;
  /** The answer is JSON of this JSON Schema; `name` has letters, digits and underscores. */
  schema?: { name: string; schema: Readonly<Record<string, unknown>> };
  /** Ask the provider to keep `system` for the next calls, where it must be told. */
  cache?: boolean;
};

/**
 * Tokens as the provider counts them. `input` is all that was read; of these, `cached` came from the provider's cache and `written` were put
 * into it, both at a price of their own. `output` has the thinking.
 */
export type CompletionUsage = { input: number; cached: number; written: number; output: number };

/**
 * The outcome of one completion. completed: an answer that is charged by its usage; `stop` says why it ended: `end` by itself, `length` because it
 * may not be longer, `declined` because the model does not want to answer. refused: never to be asked again as it stands. retry: not answered
 * and not charged. unknown: no answer was read; it may have been charged. broken: the connection itself is unusable.
 */
export type CompletionOutcome =
  | { outcome: "completed"; text: string; stop: "end" | "length" | "declined"; usage: CompletionUsage; model: string }
  | { outcome: "refused"; code: string; detail: string }
  | { outcome: "retry"; code: string; detail: string; after_seconds?: number }
  | { outcome: "unknown"; code: string; detail: string }
  | { outcome: "broken"; code: string; detail: string };

/** Has a language model answer. A completion changes nothing anywhere: asking again is safe, and costs again. */
export type CompleteCapability<C> = {
  /** Tokens per minute, read and written together, of the provider's smallest paid plan; the setting `tokens_per_minute` replaces it. */
  tokens_per_minute: number;
  /** One call, no repeats. The client's limits are the caller's patience. Never throws for a provider's answer. */
  complete(request: CompletionRequest, connection: Connection<C>, http: HttpClient): Promise<CompletionOutcome>;
};

/** What is looked for on the web. `limit`: the most hits wanted. `days`: nothing older, as far as the provider knows the age. */
export type SearchQuery = {
  text: string;
  kind: "web" | "news";
  limit: number;
  /** ISO 639-1. */
  language?: string;
  days?: number;
};

/** A page that was found, with the words the provider gives of it: text from outside. */
export type SearchHit = {
  title: string;
  url: string;
  snippet: string;
  /** ISO 8601, if the provider says. */
  published_at: string | null;
};

/** Searches the web: a query in, pages out. */
export type SearchCapability<C> = {
  /** Calls per second, from the provider's documentation. */
  per_second: number;
  /** Longest time in seconds that one lawful call may take. */
  call_seconds: number;
  /** The list price of a unit in millionths of a US dollar, with its source in a comment; 0 is free. */
  unit_micros: number;
  /** The most units of account that one query can be charged: reserved before the call. */
  units: number;
  /** Never throws for a provider's answer. No hit is a miss. */
  search(query: SearchQuery, connection: Connection<C>, http: HttpClient): Promise<LookupOutcome<readonly SearchHit[]>>;
};

export type ProviderDef<C extends z.ZodObject = z.ZodObject, Content = unknown, Question = unknown, Found = unknown> = {
  id: string;
  label: string;
  /** What it is a provider of: a channel's id (`email`, `sms`), or another kind a module registers (`llm`, `enrichment`, `crm`). */
  category: string;
  docs_url: string;
  /** One paragraph for the settings page: where the tenant finds these credentials. */
  setup: string;
  /** Secrets. Field metadata (`.meta({ title, description, secret: true, placeholder })`) makes the form. */
  credentials: C;
  /** Non-secret options such as a message stream or a region. */
  settings?: z.ZodObject;
  default_base_url: string | null;
  /** Where the code may run: SMTP needs raw TCP and stays in the worker. */
  runs_in: "anywhere" | "worker";
  /** A cheap authenticated call. Knows the vendor's odd answers (a send-only key is valid). */
  check(connection: Connection<z.infer<C>>, http: HttpClient): Promise<CheckResult>;
  send?: SendCapability<z.infer<C>, Content>;
  webhook?: WebhookCapability<z.infer<C>>;
  inbound?: InboundCapability<z.infer<C>>;
  lookup?: LookupCapability<z.infer<C>, Question, Found>;
  complete?: CompleteCapability<z.infer<C>>;
  search?: SearchCapability<z.infer<C>>;
  /** Gives back what the adapter keeps open (an SMTP pool) when the process ends. */
  close?(): Promise<void>;
};

/** Keeps the credential, content and lookup types inferred while the registry holds them all as one type. */
export const defineProvider =
  <Content = unknown, Question = unknown, Found = unknown>() =>
  <C extends z.ZodObject>(def: ProviderDef<C, Content, Question, Found>): ProviderDef<C, Content, Question, Found> =>
    def;

/** What the registry holds: the caller has parsed the credentials by the provider's own schema and the content by its channel. */
// deno-lint-ignore no-explicit-any
export type AnyProvider = ProviderDef<any, any, any, any>;
