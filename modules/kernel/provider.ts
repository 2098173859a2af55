import type { z } from "zod";
import type { HttpClient } from "./http/client.ts";

/**
 * A provider is one stateless object: what it is (data) and what it can do (optional functions).
 * Credentials and transport are arguments, so two tenants can never share a key.
 */

export type Channel = "email" | "linkedin" | "sms" | "whatsapp" | "instagram";

export type EmailAddress = { email: string; name?: string | null };

/** One e-mail to one person. `id` is our message id: idempotency key where the provider has one, metadata where not. */
export type OutboundEmail = {
  id: string;
  from: EmailAddress;
  to: EmailAddress;
  reply_to?: string | null;
  subject: string;
  html: string;
  text: string;
  /** RFC 5322 Message-ID with angle brackets, chosen by us so that follow-ups can thread. */
  message_id: string;
  /** List-Unsubscribe, List-Unsubscribe-Post, In-Reply-To, References… never Message-ID. */
  headers: Record<string, string>;
};

/**
 * What became of one send.
 * sent: the provider accepted it. rejected: it will never accept this one (bad address, suppressed).
 * retry: it was surely not accepted, and may be later. unknown: nobody can say; it must be reconciled, never repeated.
 * broken: the connection itself is unusable (bad key, account closed); the message was not accepted.
 */
export type SendOutcome =
  | { outcome: "sent"; provider_message_id: string; rfc_message_id?: string }
  | { outcome: "rejected"; code: string; detail: string }
  | { outcome: "retry"; code: string; detail: string; after_seconds?: number }
  | { outcome: "unknown"; code: string; detail: string }
  | { outcome: "broken"; code: string; detail: string };

/** What a webhook says happened, in one vocabulary. `event_id` is deterministic, so a redelivery is one row. */
export type ProviderEvent =
  | {
      kind: "delivered" | "deferred" | "opened" | "clicked" | "complained" | "unsubscribed";
      event_id: string;
      provider_message_id: string | null;
      /** Our own message id when the payload carries it (tags, metadata). */
      message_id: string | null;
      /** The Message-ID the provider really sent, where it replaces ours: replies name that one. */
      rfc_message_id?: string;
      recipient: string | null;
      at: string;
      url?: string;
      user_agent?: string;
      ip?: string;
    }
  | {
      kind: "bounced" | "failed";
      event_id: string;
      provider_message_id: string | null;
      message_id: string | null;
      rfc_message_id?: string;
      recipient: string | null;
      at: string;
      /** permanent: the address is dead; transient: it may work later; block: policy or reputation, not the address. */
      bounce: "permanent" | "transient" | "block";
      detail: string;
    }
  | { kind: "inbound"; event_id: string; at: string; email: InboundEmail }
  /** The webhook only announces the mail; the worker fetches it with `fetchInbound`. */
  | { kind: "inbound_ref"; event_id: string; at: string; ref: string };

export type InboundEmail = {
  provider_inbound_id: string;
  from: EmailAddress;
  to: string[];
  subject: string;
  text: string;
  html: string | null;
  /** Lower-cased header names; repeated headers joined by newline. */
  headers: Record<string, string>;
  rfc_message_id: string | null;
};

export type CheckResult =
  { ok: true; detail: string } | { ok: false; code: string; detail: string; suggestion?: string };

export type WebhookRequest = { headers: Headers; body: Uint8Array; url: string; now: Date };

/** Credentials plus everything a call may need; `base_url` replaces the provider's own (sandbox, self-hosted peers). */
export type Connection<C> = { id: string; credentials: C; settings: Record<string, unknown>; base_url: string | null };

export type ProviderLimits = {
  /** Calls per second to the provider, from its documentation; answers' own headers adjust it. */
  per_second: number;
  /** Largest batch one call may carry; 1 where there is no batch endpoint. */
  batch: number;
};

export type ProviderDef<C extends z.ZodObject = z.ZodObject> = {
  id: string;
  label: string;
  channel: Channel;
  docs_url: string;
  /** One paragraph for the settings page: where the tenant finds these credentials. */
  setup: string;
  /** Secrets. Field metadata (`.meta({ title, description, secret: true, placeholder })`) makes the form. */
  credentials: C;
  /** Non-secret options such as a message stream or a region. */
  settings?: z.ZodObject;
  default_base_url: string | null;
  limits: ProviderLimits;
  /**
   * How an unknown outcome is settled: `key`: repeat with the same idempotency key within `window_hours`;
   * `search`: ask `findMessage`; `none`: wait for a webhook, else a person decides.
   */
  reconcile: { by: "key"; window_hours: number } | { by: "search" } | { by: "none" };
  /** Where the code may run: SMTP needs raw TCP and stays in the worker. */
  runs_in: "anywhere" | "worker";
  /** A cheap authenticated call. Knows the vendor's odd answers (a send-only key is valid). */
  check(connection: Connection<z.infer<C>>, http: HttpClient): Promise<CheckResult>;
  /** Sends 1..limits.batch e-mails; outcomes in the same order. Never throws for a provider's answer. */
  send?(emails: OutboundEmail[], connection: Connection<z.infer<C>>, http: HttpClient): Promise<SendOutcome[]>;
  /** Finds a message of ours at the provider by our id; null: surely not there. Throws if it cannot tell. */
  findMessage?(
    messageId: string,
    connection: Connection<z.infer<C>>,
    http: HttpClient,
  ): Promise<{ provider_message_id: string } | null>;
  /**
   * Registers `url` at the provider for delivery events and inbound mail, so that a person need not click through its
   * dashboard. Returns the credentials to keep (a signing secret); safe to call again.
   */
  registerWebhook?(
    url: string,
    connection: Connection<z.infer<C>>,
    http: HttpClient,
  ): Promise<{ credentials: Partial<z.infer<C>>; detail: string }>;
  /** Proves the raw bytes come from the provider; returns the delivery id used for de-duplication. Throws `unauthenticated`. */
  verify?(request: WebhookRequest, connection: Connection<z.infer<C>>): Promise<{ delivery_id: string }>;
  /** Pure: a parsed body to events. Unknown types give []. Throws `invalid` on a malformed body. */
  parseWebhook?(body: unknown): ProviderEvent[];
  fetchInbound?(ref: string, connection: Connection<z.infer<C>>, http: HttpClient): Promise<InboundEmail>;
};

/** Keeps the credential type inferred while the registry holds them all as one type. */
export const defineProvider = <C extends z.ZodObject>(def: ProviderDef<C>): ProviderDef<C> => def;

export type AnyProvider = ProviderDef<z.ZodObject>;
