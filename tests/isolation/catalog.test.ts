import { describe, expect, test } from "vitest";
import { type Role, roleRank } from "../../modules/kernel/context.ts";
import { testKernel } from "../support/kernel.ts";
import { definers, inlined, invokers } from "./functions.ts";

// The wall as the catalog shows it: read from pg_class, so that a table nobody thought of fails here.

const t = testKernel();

const UNDO = new Error("undone");

/** The only table that is not keyed by tenant_id: it is the tenant. */
const isTenants = (table: string) => table === "tenants";

/** What the API asks for before it shows rows of a table. A new table is named here. */
const READ_BY: Record<string, string> = {
  // Listed for who may send them.
  // No operation shows them: what providers called is for who sets the connection up.
  alerts: "operations:read",
  api_keys: "api_keys:read",
  approval_days: "approvals:read",
  approvals: "approvals:read",
  attempts: "messages:read",
  audit_log: "audit:read",
  budgets: "billing:read",
  campaign_senders: "campaigns:read",
  campaign_steps: "campaigns:read",
  campaigns: "campaigns:read",
  companies: "contacts:read",
  connections: "providers:read",
  consents: "compliance:read",
  contact_addresses: "contacts:read",
  contacts: "contacts:read",
  costs: "billing:read",
  counter_deltas: "analytics:read",
  counters: "analytics:read",
  custom_fields: "contacts:read",
  decisions: "campaigns:read",
  email_details: "messages:read",
  enriched_values: "enrichment:read",
  enrichment_cache: "enrichment:run",
  enrichment_items: "enrichment:read",
  enrichment_runs: "enrichment:read",
  enrichment_sources: "enrichment:read",
  enrollments: "campaigns:read",
  findings: "research:read",
  import_chunks: "contacts:write",
  import_errors: "contacts:read",
  imports: "contacts:read",
  interactions: "contacts:read",
  invitations: "members:write",
  list_contacts: "contacts:read",
  lists: "contacts:read",
  members: "members:read",
  message_events: "messages:read",
  messages: "messages:read",
  model_cache: "models:use",
  model_calls: "models:read",
  model_routing: "models:read",
  model_rules: "models:read",
  models: "models:read",
  prompt_rollouts: "models:read",
  research_items: "research:read",
  research_runs: "research:read",
  research_sites: "research:read",
  segments: "contacts:read",
  sender_limits: "senders:read",
  sender_usage: "senders:read",
  senders: "senders:read",
  sequence_edges: "campaigns:read",
  sequence_nodes: "campaigns:read",
  sequence_versions: "campaigns:read",
  spending: "billing:read",
  step_runs: "campaigns:read",
  suppressions: "compliance:read",
  tasks: "tasks:read",
  tenants: "tenant:read",
  threads: "messages:read",
  tracked_links: "messages:read",
  webhook_deliveries: "providers:write",
};

describe("every table in public", () => {
  test("shows nobody over REST what the API would refuse them", async () => {
    const rows = await t.sql<{ name: string; least: Role | null }[]>`
      select c.relname as name, (
        select x.role from pg_policy p
        cross join lateral (select coalesce(substring(pg_get_expr(p.polqual, p.polrelid) from 'my_tenants[(]''([a-z]+)'), 'viewer') as role) x
        where p.polrelid = c.oid and p.polpermissive and p.polcmd in ('r', '*') and 'authenticated'::regrole::oid = any(p.polroles)
        order by kernel.role_rank(x.role) limit 1) as least
      from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition`;
    expect(rows.map((r) => r.name).sort()).toEqual(Object.keys(READ_BY).sort());
    const wrong = rows.filter((r) => {
      const asked = t.kernel.registry.permissions.get(READ_BY[r.name]!);
      return r.least === null || asked === undefined || roleRank(r.least) < roleRank(asked);
    });
    expect(wrong).toEqual([]);
  });

  test("has row-level security enabled and forced, and policies for the API's roles", async () => {
    const tables = await t.sql`
      select c.relname as name, c.relrowsecurity and c.relforcerowsecurity as walled, c.relowner::regrole::text as owner,
        (select count(*)::int from pg_policy p where p.polrelid = c.oid) as policies,
        exists (select from pg_policy p where p.polrelid = c.oid and 0 = any(p.polroles)) as for_everybody
      from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')`;
    expect(tables.length).toBeGreaterThan(20);
    expect(tables.filter((r) => !r.walled || r.policies < 2 || r.for_everybody || r.owner !== "postgres")).toEqual([]);
  });

  test("is a table: no view, materialized view or foreign table stands beside them", async () => {
    expect(
      await t.sql`select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('v', 'm', 'f')`,
    ).toEqual([]);
  });

  test("has tenant_id, not null, first in its primary key", async () => {
    const rows = await t.sql`
      select c.relname as name, a.attnotnull as required, (select p.conkey[1] = a.attnum from pg_constraint p where p.conrelid = c.oid and p.contype = 'p') as leads
      from pg_class c left join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
      where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')`;
    expect(
      rows.filter((r) => !isTenants(r.name) && (r.required !== true || r.leads !== true)).map((r) => r.name),
    ).toEqual([]);
  });

  test("references other tenant tables by (tenant_id, …), so that a reference across tenants cannot be written", async () => {
    const faulty = await t.sql`
      select p.conrelid::regclass::text || ': ' || p.conname as fault
      from pg_constraint p
      where p.contype = 'f' and p.connamespace = 'public'::regnamespace and p.confrelid <> 'public.tenants'::regclass
        and not exists (
          select from unnest(p.conkey, p.confkey) k (own, theirs)
          join pg_attribute a on a.attrelid = p.conrelid and a.attnum = k.own and a.attname = 'tenant_id'
          join pg_attribute b on b.attrelid = p.confrelid and b.attnum = k.theirs and b.attname = 'tenant_id')`;
    expect(faulty).toEqual([]);
  });

  test("dies with its tenant: each has a chain of cascading references to it", async () => {
    const orphans = await t.sql`
      with recursive reached as (
        select 'public.tenants'::regclass::oid as rel
        union
        select p.conrelid from pg_constraint p join reached r on p.confrelid = r.rel where p.contype = 'f' and p.confdeltype = 'c'
      )
      select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and oid not in (select rel from reached)`;
    expect(orphans).toEqual([]);
  });

  test("gives anon nothing and a signed-in person's REST access at most SELECT", async () => {
    const rows = await t.sql`
      select c.relname as name, r.role, p.privilege
      from pg_class c
      cross join (values ('anon'), ('authenticated')) r (role)
      cross join (values ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE'), ('TRUNCATE'), ('REFERENCES'), ('TRIGGER')) p (privilege)
      where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and (r.role = 'anon' or p.privilege <> 'SELECT')
        and (has_table_privilege(r.role, c.oid, p.privilege)
          or p.privilege in ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') and has_any_column_privilege(r.role, c.oid, p.privilege))`;
    expect(rows).toEqual([]);
  });

  test("shows REST no plan: whatever it reads has the policy that refuses to be explained, and so it does", async () => {
    const read = await t.sql<{ name: string; refuses: boolean }[]>`
      select c.relname as name, exists (select from pg_policy p where p.polrelid = c.oid and p.polname = 'no_plans' and not p.polpermissive
        and p.polroles = array['authenticated'::regrole::oid] and pg_get_expr(p.polqual, p.polrelid) = 'kernel.refuse_plans()') as refuses
      from pg_class c where c.relnamespace in (select n.oid from pg_namespace n where n.nspname in ('public', 'kernel', 'private', 'analytics', 'pgmq'))
        and c.relkind in ('r', 'p', 'v', 'm', 'f') and has_any_column_privilege('authenticated', c.oid, 'SELECT')`;
    expect(read.length).toBeGreaterThan(20);
    expect(read.filter((r) => !r.refuses)).toEqual([]);
    for (const { name } of read) {
      const explained = t.sql.begin(async (tx) => {
        await tx`set local role authenticated`;
        return await tx`explain (format json) select count(*) from public.${tx(name)}`;
      });
      await expect(explained, name).rejects.toMatchObject({
        code: "42501",
        hint: expect.stringContaining("count=exact"),
      });
    }
  });

  test("lets nobody the product runs as change or delete what was audited", async () => {
    const rows = await t.sql`
      select r.role, p.privilege from (values ('anon'), ('authenticated'), ('overture_user'), ('overture_worker'), ('overture_analyst'), ('overture_analytics')) r (role)
      cross join (values ('UPDATE'), ('DELETE'), ('TRUNCATE')) p (privilege)
      where has_table_privilege(r.role, 'public.audit_log', p.privilege)
        or p.privilege = 'UPDATE' and has_any_column_privilege(r.role, 'public.audit_log', 'UPDATE')`;
    expect(rows).toEqual([]);
  });

  test("gives the API's roles no way around row-level security: no TRUNCATE, no TRIGGER, no REFERENCES", async () => {
    const rows = await t.sql`
      select c.relname as name, r.role, p.privilege
      from pg_class c cross join (values ('overture_user'), ('overture_worker')) r (role) cross join (values ('TRUNCATE'), ('TRIGGER'), ('REFERENCES')) p (privilege)
      where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and has_table_privilege(r.role, c.oid, p.privilege)`;
    expect(rows).toEqual([]);
  });

  test("keeps secrets out of REST: credentials, key and token hashes have no column grant", async () => {
    const rows = await t.sql`
      select c.relname || '.' || a.attname as shown from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
      where c.relnamespace = 'public'::regnamespace and a.attname in ('credentials', 'key_hash', 'token_hash')
        and has_column_privilege('authenticated', c.oid, a.attnum, 'SELECT')`;
    expect(rows).toEqual([]);
  });
});

describe("roles", () => {
  test("those the product runs as are no superusers, do not bypass row-level security and may not make roles", async () => {
    const rows = await t.sql`select rolname as name from pg_roles
      where rolname in ('anon', 'authenticated', 'overture_user', 'overture_worker', 'overture_analyst', 'overture_analytics') and not (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication)
      order by 1`;
    expect(rows.map((r) => r.name)).toEqual([
      "anon",
      "authenticated",
      "overture_analyst",
      "overture_analytics",
      "overture_user",
      "overture_worker",
    ]);
  });

  test("none of them can become one that sees more", async () => {
    const rows = await t.sql`
      select m.rolname as member, r.rolname as role from pg_roles m cross join pg_roles r
      where m.rolname in ('anon', 'authenticated', 'overture_user', 'overture_worker', 'overture_analyst', 'overture_analytics') and m.oid <> r.oid and pg_has_role(m.oid, r.oid, 'member')
      order by 1, 2`;
    expect(rows.map((r) => `${r.member} → ${r.role}`)).toEqual(["overture_worker → overture_user"]);
  });

  test("the kernel's own tables and the internals of others are out of reach", async () => {
    const rows = await t.sql`
      select n.nspname || '.' || c.relname as name, r.role
      from pg_class c join pg_namespace n on n.oid = c.relnamespace cross join (values ('anon'), ('authenticated'), ('overture_user'), ('overture_worker')) r (role)
      where n.nspname in ('kernel', 'private', 'analytics', 'pgmq', 'cron', 'supabase_migrations') and c.relkind in ('r', 'p', 'v', 'm')
        and (has_table_privilege(r.role, c.oid, 'SELECT') or has_table_privilege(r.role, c.oid, 'INSERT') or has_table_privilege(r.role, c.oid, 'UPDATE') or has_table_privilege(r.role, c.oid, 'DELETE'))
        and has_schema_privilege(r.role, n.oid, 'USAGE')`;
    expect(rows).toEqual([]);
  });

  test("nobody has the database call an address for them, or reads what it fetched", async () => {
    const rows = await t.sql`
      select r.role, p.oid::regprocedure::text as name from pg_proc p
      cross join (values ('anon'), ('authenticated'), ('overture_user'), ('overture_worker'), ('overture_analyst'), ('overture_analytics')) r (role)
      where p.pronamespace in (select oid from pg_namespace where nspname in ('net', 'http', 'dblink'))
        and has_schema_privilege(r.role, p.pronamespace, 'USAGE') and has_function_privilege(r.role, p.oid, 'EXECUTE')`;
    expect(rows).toEqual([]);
    expect(await t.sql`select 1 from pg_proc where oid::regprocedure::text like 'net.http_post(%'`).toHaveLength(1);
  });

  test("nobody may create anything in the product's schemas", async () => {
    const rows = await t.sql`
      select n.nspname as schema, r.role from pg_namespace n cross join (values ('anon'), ('authenticated'), ('overture_user'), ('overture_worker'), ('overture_analyst'), ('overture_analytics')) r (role)
      where n.nspname in ('public', 'kernel', 'private', 'analytics', 'pgmq') and has_schema_privilege(r.role, n.oid, 'CREATE')`;
    expect(rows).toEqual([]);
  });
});

describe("functions in kernel, private and public", () => {
  type Row = { name: string; definer: boolean; config: string[] | null; parsed: boolean; roles: string[] };
  const functions = () => t.sql<Row[]>`
    select p.oid::regprocedure::text as name, p.prosecdef as definer, p.proconfig as config, p.prosqlbody is not null as parsed,
      array(select r.rolname::text from pg_roles r where r.rolname in ('anon', 'authenticated', 'overture_user', 'overture_worker', 'overture_analyst', 'overture_analytics')
        and has_function_privilege(r.oid, p.oid, 'EXECUTE') order by 1) as roles
    from pg_proc p where p.pronamespace::regnamespace::text in ('kernel', 'private', 'public') order by 1`;

  test("those that run with their owner's rights are exactly the listed ones, each for exactly the listed roles", async () => {
    const actual = Object.fromEntries(
      (await functions()).filter((f) => f.definer).map((f) => [f.name, f.roles.join(" ")]),
    );
    const listed = Object.fromEntries(Object.entries(definers).map(([name, [roles]]) => [name, roles]));
    expect(actual).toEqual(listed);
    for (const [name, [, why]] of Object.entries(definers)) expect(why.length, name).toBeGreaterThan(15);
  });

  test("the others are exactly the listed ones, each for exactly the listed roles", async () => {
    const actual = Object.fromEntries(
      (await functions()).filter((f) => !f.definer).map((f) => [f.name, f.roles.join(" ")]),
    );
    expect(actual).toEqual(invokers);
  });

  test("every one pins an empty search_path, so that no caller's object is taken for ours; the inlined ones are exactly the listed", async () => {
    // What was parsed when it was written has its objects already.
    const open = (await functions()).filter((f) => !f.config?.includes('search_path=""') && (f.definer || !f.parsed));
    expect(open.map((f) => f.name).toSorted()).toEqual(inlined.toSorted());
    expect(open.filter((f) => f.definer)).toEqual([]);
  });

  test("say only what the database understands: every body is parsed, and its tables and columns are there", async () => {
    // Migrations write them unseen, because what a function names may come after it.
    const rows = await t.sql<{ name: string; definition: string }[]>`
      select p.oid::regprocedure::text as name, pg_get_functiondef(p.oid) as definition from pg_proc p join pg_language l on l.oid = p.prolang
      where p.pronamespace::regnamespace::text in ('kernel', 'private', 'public', 'analytics') and l.lanname in ('sql', 'plpgsql') and p.prokind = 'f'`;
    expect(rows.length).toBeGreaterThan(100);
    const wrong: string[] = [];
    for (const { name, definition } of rows) {
      await t.sql
        .begin(async (tx) => {
          await tx`set local check_function_bodies = on`;
          await tx.unsafe(definition);
          throw UNDO;
        })
        .catch((error: unknown) => {
          if (error !== UNDO) wrong.push(`${name}: ${(error as Error).message}`);
        });
    }
    expect(wrong).toEqual([]);
  });

  test("those without a search_path name every table and function by its schema, and do run inlined", async () => {
    const rows = await t.sql<{ name: string; body: string; language: string; volatility: string }[]>`
      select p.oid::regprocedure::text as name, p.prosrc as body, l.lanname as language, p.provolatile as volatility
      from pg_proc p join pg_language l on l.oid = p.prolang where p.oid::regprocedure::text = any(${inlined})`;
    expect(rows).toHaveLength(inlined.length);
    for (const { name, body, language, volatility } of rows) {
      expect([language, volatility], name).toEqual(["sql", "s"]);
      // `extract(isodow from …)` names no table.
      const code = body.replace(/--.*$/gm, "").replace(/\(isodow from /g, "(isodow, ");
      // Not words of the language that look like calls, and no names of columns after `as`.
      const calls = [...code.matchAll(/(?<![\w."]|\bas )(\w+)\s*\(/g)].map((m) => m[1]!.toLowerCase());
      const words = [
        "as",
        "and",
        "any",
        "array",
        "case",
        "coalesce",
        "else",
        "exists",
        "extract",
        "from",
        "in",
        "join",
        "lateral",
        "not",
        "nullif",
        "or",
        "row",
        "select",
        "then",
        "values",
        "when",
        "where",
      ];
      expect(
        calls.filter((c) => !words.includes(c)),
        name,
      ).toEqual([]);
      const tables = [...code.matchAll(/\b(?:from|join)\s+(?!lateral\b)(\w[\w.]*)/g)].map((m) => m[1]!);
      expect(
        tables.filter((table) => !/^(public|private|kernel|pg_catalog)\./.test(table)),
        name,
      ).toEqual([]);
    }
    const [plan] =
      await t.sql`explain (verbose, format json) select from public.messages m where not exists (select from private.guards(m))`;
    expect(JSON.stringify(plan), "a guard that is called instead of inlined").not.toMatch(
      /guards?(_\w+)?\(|in_window\(|"Function Name": ?"guard/,
    );
  });
});
