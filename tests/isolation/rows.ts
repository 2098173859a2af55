import type { Sql } from "postgres";
import { uuid7 } from "../../modules/kernel/database/ids.ts";

/** Ids of the rows `fillTenant` wrote, by table. */
export type Ids = Record<string, string>;

/** At least one row in every tenant table. A test checks that none is missing, so a new table must be added here. */
export async function fillTenant(sql: Sql, t: string): Promise<Ids> {
  const id: Ids = {};
  const make = (...tables: string[]) => tables.forEach((table) => (id[table] = uuid7()));
  make(
    "audit_log",
    "invitations",
    "api_keys",
    "companies",
    "contacts",
    "custom_fields",
    "lists",
    "segments",
    "interactions",
    "imports",
  );
  make(
    "connections",
    "senders",
    "webhook_deliveries",
    "campaigns",
    "campaign_steps",
    "sequence_versions",
    "sequence_nodes",
    "enrollments",
    "step_runs",
    "tasks",
    "suppressions",
    "consents",
    "messages",
    "threads",
    "decisions",
  );
  make("attempts", "message_events", "counter_deltas", "alerts");
  make("costs", "enrichment_sources", "enrichment_runs", "enriched_values");
  make("models", "model_rules", "model_calls");
  make("findings", "research_runs");
  make("approvals");
  const mark = t.slice(-12);
  const [{ user_id: owner }] = await sql<
    [{ user_id: string }]
  >`select user_id from public.members where tenant_id = ${t} limit 1`;
  await sql.begin(async (tx) => {
    await tx`insert into public.audit_log (tenant_id, id, actor_kind, actor_id, action) values (${t}, ${id.audit_log!}, 'job', 'isolation', 'x.y')`;
    await tx`insert into public.invitations (tenant_id, id, email, role, token_hash, inviter_id, expires_at) values (${t}, ${id.invitations!}, 'a@x.test', 'member', ${`hash-${t}`}, ${owner}, now() + interval '1 day')`;
    await tx`insert into public.api_keys (tenant_id, id, name, prefix, key_hash, scopes, created_by) values (${t}, ${id.api_keys!}, 'Key', 'ovk_12345678', ${`hash-${t}`}, '{*:read}', ${owner})`;
    await tx`insert into public.companies (tenant_id, id, name) values (${t}, ${id.companies!}, ${`Company ${mark}`})`;
    await tx`insert into public.contacts (tenant_id, id, email, first_name, company_id) values (${t}, ${id.contacts!}, ${`p-${mark}@x.test`}, 'Ada', ${id.companies!})`;
    await tx`insert into public.custom_fields (tenant_id, id, key, label, type) values (${t}, ${id.custom_fields!}, 'plan', 'Plan', 'text')`;
    await tx`insert into public.lists (tenant_id, id, name) values (${t}, ${id.lists!}, 'List')`;
    await tx`insert into public.list_contacts (tenant_id, list_id, contact_id) values (${t}, ${id.lists!}, ${id.contacts!})`;
    await tx`insert into public.segments (tenant_id, id, name, filter) values (${t}, ${id.segments!}, 'Segment', '{"all":[]}')`;
    await tx`insert into public.interactions (tenant_id, id, contact_id, kind, channel, direction) values (${t}, ${id.interactions!}, ${id.contacts!}, 'note', 'note', 'none')`;
    await tx`insert into public.imports (tenant_id, id, file_name) values (${t}, ${id.imports!}, 'people.csv')`;
    await tx`insert into public.import_chunks (tenant_id, import_id, seq, bytes) values (${t}, ${id.imports!}, 0, 'x')`;
    await tx`insert into public.import_errors (tenant_id, import_id, row_number, raw, rule, reason) values (${t}, ${id.imports!}, 1, '["x"]', 'bad', 'bad')`;
    await tx`insert into public.connections (tenant_id, id, provider, category, name, credentials) values (${t}, ${id.connections!}, 'smtp', 'email', 'Mail', 'v1.unused')`;
    await tx`insert into public.senders (tenant_id, id, channel, connection_id, address) values (${t}, ${id.senders!}, 'email', ${id.connections!}, 'sam@us.test')`;
    await tx`insert into public.sender_limits (tenant_id, sender_id, action, per, cap) values (${t}, ${id.senders!}, 'email.send', 'day', 50)`;
    await tx`insert into public.sender_usage (tenant_id, sender_id, action, hour, day, week)
      values (${t}, ${id.senders!}, 'email.send', '2026-01-01T09:00:00Z', '2026-01-01', '2025-12-29')`;
    await tx`insert into public.webhook_deliveries (tenant_id, id, connection_id, delivery_id, body) values (${t}, ${id.webhook_deliveries!}, ${id.connections!}, 'd1', 'x')`;
    await tx`insert into public.campaigns (tenant_id, id, name, list_id) values (${t}, ${id.campaigns!}, 'Spring', ${id.lists!})`;
    await tx`insert into public.campaign_senders (tenant_id, campaign_id, sender_id, position) values (${t}, ${id.campaigns!}, ${id.senders!}, 1)`;
    await tx`insert into public.campaign_steps (tenant_id, id, campaign_id) values (${t}, ${id.campaign_steps!}, ${id.campaigns!})`;
    await tx`insert into public.sequence_versions (tenant_id, id, campaign_id, number, entry_node_id)
      values (${t}, ${id.sequence_versions!}, ${id.campaigns!}, 1, ${id.sequence_nodes!})`;
    await tx`insert into public.sequence_nodes (tenant_id, id, version_id, step_id, kind, action, config, position)
      values (${t}, ${id.sequence_nodes!}, ${id.sequence_versions!}, ${id.campaign_steps!}, 'email', 'email.send', '{"subject":"Hello","body":"Dear"}', 1)`;
    await tx`insert into public.sequence_edges (tenant_id, version_id, from_node, to_node)
      values (${t}, ${id.sequence_versions!}, ${id.sequence_nodes!}, ${id.sequence_nodes!})`;
    await tx`update public.campaigns set version_id = ${id.sequence_versions!} where tenant_id = ${t} and id = ${id.campaigns!}`;
    await tx`insert into public.enrollments (tenant_id, id, campaign_id, contact_id, version_id, node_id, status)
      values (${t}, ${id.enrollments!}, ${id.campaigns!}, ${id.contacts!}, ${id.sequence_versions!}, ${id.sequence_nodes!}, 'stopped')`;
    await tx`insert into public.step_runs (tenant_id, id, enrollment_id, node_id, step_id, state)
      values (${t}, ${id.step_runs!}, ${id.enrollments!}, ${id.sequence_nodes!}, ${id.campaign_steps!}, 'open')`;
    await tx`insert into public.tasks (tenant_id, id, contact_id, campaign_id, enrollment_id, title)
      values (${t}, ${id.tasks!}, ${id.contacts!}, ${id.campaigns!}, ${id.enrollments!}, 'Call Ada')`;
    await tx`insert into public.suppressions (tenant_id, id, address, reason) values (${t}, ${id.suppressions!}, 'no@x.test', 'manual')`;
    await tx`insert into public.consents (tenant_id, id, contact_id, channel, state) values (${t}, ${id.consents!}, ${id.contacts!}, 'sms', 'granted')`;
    await tx`insert into public.decisions (tenant_id, id, subject_id, source, verdict, reason)
      values (${t}, ${id.decisions!}, ${id.enrollments!}, 'person', 'ended', 'stopped_by_person')`;
    await tx`insert into public.threads (tenant_id, id, channel, contact_id, sender_id, external_key)
      values (${t}, ${id.threads!}, 'email', ${id.contacts!}, ${id.senders!}, ${`p-${mark}@x.test`})`;
    await tx`insert into public.messages (tenant_id, id, direction, channel, action, status, from_address, to_address, thread_id, contact_id)
      values (${t}, ${id.messages!}, 'out', 'email', 'email.send', 'sent', 'sam@us.test', 'p@x.test', ${id.threads!}, ${id.contacts!})`;
    await tx`insert into public.email_details (tenant_id, message_id, rfc_message_id, html) values (${t}, ${id.messages!}, ${`<${mark}@us.test>`}, '<p>Hello</p>')`;
    await tx`insert into public.attempts (tenant_id, id, message_id, number) values (${t}, ${id.attempts!}, ${id.messages!}, 1)`;
    await tx`insert into public.message_events (tenant_id, id, message_id, kind, event_key, at) values (${t}, ${id.message_events!}, ${id.messages!}, 'opened', 'e1', now())`;
    await tx`insert into public.tracked_links (tenant_id, message_id, number, url) values (${t}, ${id.messages!}, 1, 'https://us.test')`;
    await tx`insert into public.approvals (tenant_id, id, message_id, campaign_id, step_id, contact_id, rule, rules, risk, state, decided_at)
      values (${t}, ${id.approvals!}, ${id.messages!}, ${id.campaigns!}, ${id.campaign_steps!}, ${id.contacts!}, 'every', '{every}', 1, 'approved', now())`;
    await tx`insert into public.approval_days (tenant_id, day, automatic) values (${t}, '2026-01-01', 1)`;
    await tx`insert into public.alerts (tenant_id, id, kind, scope, severity, summary, value, threshold, status, opened_at, resolved_at)
      values (${t}, ${id.alerts!}, 'dead_letters', 'team', 'warning', 'One failed.', 1, 0, 'resolved', now(), now())`;
    await tx`insert into public.costs (tenant_id, id, kind, provider, reserved_micros, amount_micros) values (${t}, ${id.costs!}, 'enrichment', 'x', 1, 1)`;
    await tx`insert into public.budgets (tenant_id, scope, cap_micros) values (${t}, 'day', 1000)`;
    await tx`insert into public.spending (tenant_id, scope, period, micros) values (${t}, 'day', '2026-01-01', 1)`;
    await tx`insert into public.enrichment_sources (tenant_id, id, kind, connection_id, position) values (${t}, ${id.enrichment_sources!}, 'person', ${id.connections!}, 1)`;
    await tx`insert into public.enrichment_runs (tenant_id, id, name, source, contact_cap_micros, status)
      values (${t}, ${id.enrichment_runs!}, 'Run', '{"contact_ids":[]}', 0, 'done')`;
    await tx`insert into public.enrichment_items (tenant_id, run_id, contact_id) values (${t}, ${id.enrichment_runs!}, ${id.contacts!})`;
    await tx`insert into public.enriched_values (tenant_id, id, contact_id, field, value, provider, confidence, state)
      values (${t}, ${id.enriched_values!}, ${id.contacts!}, 'city', '"Bonn"', 'x', 90, 'used')`;
    await tx`insert into public.enrichment_cache (tenant_id, connection_id, kind, key, expires_at)
      values (${t}, ${id.connections!}, 'person', sha256(${`key-${t}`}::bytea), now() + interval '30 days')`;
    await tx`insert into public.models (tenant_id, id, alias, position, connection_id, model, input_micros, output_micros, cached_micros, written_micros)
      values (${t}, ${id.models!}, 'standard', 1, ${id.connections!}, 'm', 1, 1, 1, 1)`;
    await tx`insert into public.model_rules (tenant_id, id, position, fact, above, alias, cache) values (${t}, ${id.model_rules!}, 1, 'deal_value', 1, 'standard', true)`;
    await tx`insert into public.model_routing (tenant_id, default_alias, default_cache) values (${t}, 'standard', false)`;
    await tx`insert into public.model_calls (tenant_id, id, run_id, node, prompt_version, alias, route, provider, model)
      values (${t}, ${id.model_calls!}, ${id.enrichment_runs!}, 'write', 'write@1', 'standard', 'default', 'x', 'm')`;
    await tx`insert into public.model_cache (tenant_id, key, answer, cost_micros, contact_id, expires_at)
      values (${t}, sha256(${`key-${t}`}::bytea), 'x', 1, ${id.contacts!}, now() + interval '1 day')`;
    await tx`insert into public.prompt_rollouts (tenant_id, prompt, version, percent) values (${t}, 'repair', '2', 10)`;
    await tx`insert into public.findings (tenant_id, id, contact_id, kind, statement, quote, url, confidence, provider, key)
      values (${t}, ${id.findings!}, ${id.contacts!}, 'news', 'S', 'Q', 'https://us.test', 80, 'website', sha256(${`finding-${t}`}::bytea))`;
    await tx`insert into public.research_sites (tenant_id, company_id) values (${t}, ${id.companies!})`;
    await tx`insert into public.research_runs (tenant_id, id, name, source, max_pages, status)
      values (${t}, ${id.research_runs!}, 'Run', '{"company_ids":[]}', 8, 'done')`;
    await tx`insert into public.research_items (tenant_id, run_id, company_id) values (${t}, ${id.research_runs!}, ${id.companies!})`;
    await tx`insert into public.counters (tenant_id, metric, scope, scope_id, bucket, n) values (${t}, 'tagged_contacts', 'tenant', ${t}, 'vip', 1)`;
    await tx`insert into public.counter_deltas (tenant_id, id, metric, scope, scope_id, n) values (${t}, ${id.counter_deltas!}, 'list_contacts', 'list', ${id.lists!}, 1)`;
  });
  return id;
}

export type Table = {
  name: string;
  /** The column that names the tenant. */ key: string;
  columns: string[];
  primary: string[];
};

/** Every table of the schema public, from the catalog, with the columns a statement may write. */
export async function tenantTables(sql: Sql): Promise<Table[]> {
  const rows = await sql<Table[]>`
    select c.relname as name, case c.relname when 'tenants' then 'id' else 'tenant_id' end as key,
      array_agg(a.attname::text order by a.attnum) filter (where a.attgenerated = '') as columns,
      coalesce(array_agg(a.attname::text order by a.attnum) filter (where a.attnum = any(p.conkey)), '{}') as primary
    from pg_class c
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_constraint p on p.conrelid = c.oid and p.contype = 'p'
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
    group by c.relname order by c.relname`;
  return [...rows];
}
