/** Shapes of the API's answers (snake_case, as sent). Timestamps are ISO 8601 strings in UTC. */

export type Page<T> = { data: T[]; next_cursor: string | null; has_more: boolean };

export type AuthOptions = {
  product_name: string;
  signup: 'open' | 'invite';
  claimed: boolean;
  supabase_url: string;
  publishable_key: string;
  modules: string[];
  pages: string[];
  sandbox: boolean;
};

export type SessionTokens = {
  access_token: string;
  refresh_token: string;
  expires_in: number;
  token_type: string;
  user: { id: string; email: string };
  tenant?: Tenant;
};

export type Role = 'owner' | 'admin' | 'member' | 'approver' | 'viewer';
export type Tenant = { id: string; name: string; slug: string; role?: Role; settings?: Record<string, unknown> };
export type Me = {
  user: { id: string; email: string; name: string | null };
  tenants: (Tenant & { role: Role })[];
  permissions: string[];
  tenant_id: string | null;
};
export type Member = { user_id: string; email: string; name: string | null; role: Role; created_at: string };
export type Invitation = { id: string; email: string; role: Role; expires_at: string; accepted_at?: string | null; url?: string };
export type InvitationInfo = { email: string; tenant_name: string; role: Role; valid: boolean };
export type ApiKey = {
  id: string;
  name: string;
  prefix: string;
  scopes: string[];
  expires_at: string | null;
  last_used_at: string | null;
  created_at: string;
  key?: string;
};
export type AuditEntry = {
  id: string;
  at?: string;
  created_at?: string;
  action: string;
  actor?: unknown;
  actor_kind?: string;
  actor_id?: string | null;
  subject?: unknown;
  subject_id?: string | null;
  request_id?: string | null;
  detail?: unknown;
};

export type QueueMetrics = {
  queue: string;
  waiting: number;
  visible: number;
  oldest_seconds: number | null;
  total: number;
  dead: number;
};
export type DeadLetter = {
  id: string;
  queue: string;
  reason?: string | null;
  error?: string | null;
  attempts?: number;
  payload?: unknown;
  message?: unknown;
  dead_at?: string;
  created_at?: string;
};
export type Schedule = {
  name: string;
  cron: string;
  last_started_at: string | null;
  last_finished_at: string | null;
  last_error: string | null;
  runs: number;
  skipped: number;
  lag_seconds: number | null;
  late: boolean;
};

export type CustomValue = string | number | boolean | null;
export type Contact = {
  id: string;
  email: string | null;
  first_name: string | null;
  last_name: string | null;
  full_name: string | null;
  title: string | null;
  phone: string | null;
  linkedin_url: string | null;
  whatsapp_number: string | null;
  company: { id: string; name: string; domain: string | null } | null;
  status: string;
  pipeline_stage: string | null;
  warmth_score: number | null;
  time_zone: string | null;
  locale: string | null;
  country: string | null;
  custom: Record<string, CustomValue>;
  tags: string[];
  last_interaction_at: string | null;
  consent_source: string | null;
  lawful_basis: string | null;
  created_at: string;
  updated_at: string;
};
export type Interaction = {
  id: string;
  at: string;
  kind: string;
  channel?: string | null;
  direction?: string | null;
  subject?: string | null;
  detail?: string | null;
  campaign?: { id: string; name: string } | null;
};
export type ContactList = { id: string; name: string; description?: string | null; contact_count?: number; count?: number; created_at: string };
export type Tag = { name: string; count?: number };
export type FieldType = 'text' | 'number' | 'date' | 'boolean' | 'select' | 'url';
export type CustomField = { id: string; key: string; label: string; type: FieldType; options?: string[] | null };
export type Operator =
  | 'eq' | 'neq' | 'contains' | 'starts_with' | 'ends_with' | 'gt' | 'gte' | 'lt' | 'lte' | 'in'
  | 'is_empty' | 'is_not_empty' | 'before' | 'after' | 'within_days';
export type Condition = { field: string; op: Operator; value?: unknown };
export type Filter = { all: Filter[] } | { any: Filter[] } | { not: Filter } | Condition;
export type Segment = { id: string; name: string; filter: Filter; contact_count?: number; created_at: string };

export type ImportStatus = 'uploaded' | 'ready' | 'running' | 'done' | 'cancelled' | 'failed';
export type Import = {
  id: string;
  file_name: string;
  status: ImportStatus;
  rows_total: number | null;
  rows_done: number;
  created: number;
  updated: number;
  skipped: number;
  rejected: number;
  error?: string | null;
  detected: {
    delimiter: string;
    encoding: string;
    headers: string[];
    preview_rows: string[][];
    suggested_mapping: Record<string, string | null>;
  };
  mapping: Record<string, string | null> | null;
  options: Record<string, unknown> | null;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
};

export type ProviderField = {
  key: string;
  title: string;
  description?: string | null;
  type: string;
  secret: boolean;
  required: boolean;
  placeholder?: string | null;
  options?: (string | { value: string; label: string })[] | null;
  default?: unknown;
};
export type Provider = {
  id: string;
  label: string;
  channel: string;
  docs_url: string | null;
  setup: string | string[] | null;
  credentials_form: ProviderField[];
  settings_form: ProviderField[];
  limits?: unknown;
  reconcile?: unknown;
  webhooks: boolean;
};
export type ConnectionStatus = 'draft' | 'tested' | 'active' | 'paused' | 'issue';
export type Connection = {
  id: string;
  provider: string;
  name: string;
  channel: string;
  status: ConnectionStatus;
  settings: Record<string, unknown>;
  base_url: string | null;
  credentials_set: string[];
  webhook_url: string | null;
  webhook_registered: boolean;
  health: { sent: number; failed: number; last_success_at: string | null; last_error: string | null; last_error_at: string | null };
  created_at: string;
  updated_at: string;
};
export type CheckResult = { ok: boolean; code?: string; detail: string; suggestion?: string; connection?: Connection };
export type Sender = {
  id: string;
  connection_id: string;
  from_email: string;
  from_name: string | null;
  reply_to: string | null;
  daily_cap: number;
  sent_today: number;
  status: string;
};
export type Suppression = { id: string; channel: string; address: string; reason: string; created_at: string };

export type Step = { id?: string; kind?: string; position?: number; wait_hours: number; subject: string | null; body: string };
export type CampaignSettings = {
  time_zone?: string;
  window?: { days: number[]; start: string; end: string };
  track_opens?: boolean;
  track_clicks?: boolean;
  stop_on_reply?: boolean;
};
export type CampaignStatus = 'draft' | 'running' | 'paused' | 'stopped' | 'done' | 'archived';
export type Campaign = {
  id: string;
  name: string;
  status: CampaignStatus;
  sender: { id: string; from_email: string; from_name?: string | null } | null;
  sender_id?: string | null;
  audience: { list_id: string | null; segment_id: string | null };
  tier: string | null;
  settings: CampaignSettings;
  steps: Step[];
  counts: Partial<Record<CountKey, number>>;
  started_at: string | null;
  created_at: string;
  updated_at: string;
};
export type CountKey =
  | 'audience' | 'enrolled' | 'pending' | 'sent' | 'delivered' | 'opened' | 'clicked'
  | 'replied' | 'bounced' | 'unsubscribed' | 'failed' | 'unknown';
export type CampaignStats = Record<CountKey, number> & {
  per_step: (Partial<Record<CountKey, number>> & { step?: number; position?: number; subject?: string | null })[];
  series: (Partial<Record<CountKey, number>> & { at: string })[];
};
export type CampaignCheck = {
  ok: boolean;
  checks: { id: string; level: 'error' | 'warning' | 'ok'; detail: string; fix?: string | null }[];
  audience: { count: number; suppressed: number; without_email: number; missing_variables: number | Record<string, number> };
};
export type PreviewStep = { subject: string; html: string; text: string; missing: string[] };
export type Enrollment = {
  id: string;
  contact: { id: string; email: string | null; full_name: string | null };
  status: string;
  step: number;
  next_at: string | null;
  reason: string | null;
  last_event: string | { kind: string; at: string } | null;
};

export type Message = {
  id: string;
  thread_id?: string | null;
  direction?: 'in' | 'out' | 'inbound' | 'outbound';
  status: string;
  subject: string | null;
  text?: string | null;
  body_text?: string | null;
  from_email?: string | null;
  to_email?: string | null;
  from?: string | null;
  to?: string | null;
  contact?: { id: string; email: string | null; full_name: string | null } | null;
  campaign?: { id: string; name: string } | null;
  error?: string | null;
  at?: string | null;
  sent_at?: string | null;
  received_at?: string | null;
  created_at: string;
  attempts?: { id: string; status?: string; outcome?: string; detail?: string | null; error?: string | null; started_at?: string; at?: string }[];
  events?: { id: string; kind: string; at: string; detail?: unknown }[];
};
export type Thread = {
  id: string;
  subject: string | null;
  contact: { id: string; email: string | null; full_name: string | null } | null;
  campaign?: { id: string; name: string } | null;
  last_message_at: string;
  last_direction?: string;
  snippet?: string | null;
  message_count?: number;
  replied?: boolean;
  messages?: Message[];
};

export type Dashboard = {
  counters: Record<
    | 'contacts' | 'campaigns_running' | 'sent_today' | 'sent_7d' | 'delivered' | 'opened'
    | 'clicked' | 'replied' | 'bounced' | 'unsubscribed',
    number
  >;
  series: { day: string; sent: number; delivered: number; opened: number; replied: number; bounced: number }[];
  attention: { kind: string; detail: string; href: string | null }[];
};
export type Activity = {
  id: string;
  at: string;
  kind: string;
  contact: { id: string; name: string | null; email: string | null } | null;
  campaign: { id: string; name: string } | null;
  detail: string | null;
};
