import type { components, paths } from "./schema.d.ts";

/** Names for the shapes of the API document; the document itself is generated from the operations by `npm run gen`. */

type Schemas = components["schemas"];
type Json<R> = R extends { content: { "application/json": infer T } } ? T : void;

/** One documented operation. */
export type Operation<P, M> = P extends keyof paths
  ? M extends keyof paths[P]
    ? NonNullable<paths[P][M]>
    : never
  : never;

/** What an operation answers when it works. */
export type Answer<O> = O extends { responses: infer R }
  ? { [S in keyof R]: S extends 200 | 201 | 202 | 204 ? Json<R[S]> : never }[keyof R]
  : never;

type FilterLike = { all?: unknown; any?: unknown; not?: unknown; op?: unknown };
/** A body as one writes it: everything the server has a default for may be left out. Filters have their own type below. */
type Written<B> = B extends readonly (infer I)[]
  ? Written<I>[]
  : B extends object
    ? FilterLike extends Pick<B, keyof B & keyof FilterLike>
      ? object
      : { [K in keyof B]?: Written<B[K]> }
    : B;
export type Body<O> = O extends { requestBody?: { content: { "application/json": infer B } } } ? Written<B> : undefined;
export type Query<O> = O extends { parameters: { query?: infer Q } }
  ? { [K in keyof NonNullable<Q>]?: string | number | boolean | null }
  : undefined;
export type Path<O> = O extends { parameters: { path: infer T extends object } } ? { [K in keyof T]: string } : never;

export type Page<T> = { data: T[]; next_cursor: string | null; has_more: boolean };

export type Catalogue = Answer<Operation<"/catalogue", "get">>;
export type CatalogueEntry = Schemas["CatalogueEntry"];
export type ConsolePage = Schemas["ConsolePage"];

export type AuthOptions = Answer<Operation<"/auth/options", "get">>;
export type SessionTokens = Schemas["Session"] & { tenant?: Schemas["Tenant"] };
export type Role = Schemas["Role"];
export type Me = Answer<Operation<"/auth/me", "get">>;
export type Member = Schemas["Member"];
export type Invitation = Schemas["Invitation"];
export type MadeInvitation = Answer<Operation<"/invitations", "post">>;
export type ApiKey = Schemas["ApiKey"];
export type MadeApiKey = Answer<Operation<"/api-keys", "post">>;
export type AuditEntry = Schemas["AuditEntry"];

export type DeadLetter = Schemas["DeadLetter"];
export type Schedule = Schemas["Schedule"];

export type CustomValue = string | number | boolean | null;
export type Contact = Schemas["Contact"];
export type Company = Schemas["Company"];
export type ContactList = Schemas["List"];
export type Tag = Schemas["Tag"];
export type CustomField = Schemas["CustomField"];
export type FieldType = CustomField["type"];
export type Operator = NonNullable<Schemas["Filter"]["op"]>;
export type Condition = { field: string; op: Operator; value?: unknown };
/** The filter language; recursive, which the document cannot say. */
export type Filter = { all: Filter[] } | { any: Filter[] } | { not: Filter } | Condition;
export type Segment = Schemas["Segment"];

/** What the server found in an uploaded file; empty while the file is still arriving. */
export type Detected = {
  delimiter: string;
  encoding: string;
  encoding_warning?: string | null;
  encoding_examples?: { encoding: string; text: string }[];
  headers: string[];
  preview_rows: string[][];
  suggested_mapping: Record<string, string | null>;
};
export type Import = Schemas["Import"];

export type ProviderField = Schemas["ProviderField"];
export type Provider = Schemas["Provider"];
export type Connection = Schemas["Connection"];
export type Sender = Schemas["Sender"];
export type Consent = Schemas["Consent"];
export type Suppression = Schemas["Suppression"];

export type Step = Schemas["CampaignStep"];
export type Campaign = Schemas["Campaign"];
export type CampaignStats = Answer<Operation<"/campaigns/{id}/stats", "get">>;
export type CampaignCheck = Answer<Operation<"/campaigns/{id}/check", "get">>;
export type Task = Schemas["Task"];
export type Approval = Schemas["Approval"];
export type ApprovalDetail = Schemas["ApprovalDetail"];
export type Why = Answer<Operation<"/campaigns/{id}/leads/{enrollment_id}/why", "get">>;
export type Enrollment = Schemas["Enrollment"];

export type Message = Schemas["Message"];
export type Thread = Schemas["Thread"];
export type ThreadStatus = Thread["status"];

export type EnrichmentRun = Schemas["EnrichmentRun"];
export type EnrichmentItem = Schemas["EnrichmentItem"];
export type EnrichmentSource = Schemas["EnrichmentSource"];
export type EnrichedValue = Schemas["EnrichedValue"];
export type EnrichmentResult = Schemas["EnrichmentResult"];
export type EnrichmentField = EnrichedValue["field"];
export type EnrichmentKind = EnrichmentSource["kind"];
export type Budget = Schemas["Budget"];

export type Dashboard = Answer<Operation<"/dashboard", "get">>;
export type Activity = Schemas["Activity"];
