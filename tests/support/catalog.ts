import type { Sql } from "postgres";

/** The schemas whose objects are ours. */
const OURS = ["public", "kernel", "private", "analytics", "pgmq"];

/**
 * Everything that makes up the schema, as lines: two databases are alike when these are. Months come and go, so partitions are
 * left out. `functions` chooses what is compared of a function: its whole definition, or its text without comments and spaces.
 */
export async function catalogOf(sql: Sql, functions: "exact" | "sense" = "exact"): Promise<string[]> {
  // An access list in one order, whoever was granted first; a missing one means the owner's rights alone.
  const acl = (column: string) => `(select string_agg(a::text, ',' order by a::text) from unnest(${column}) a)`;
  const body =
    functions === "exact"
      ? "pg_get_functiondef(p.oid)"
      : "regexp_replace(regexp_replace(pg_get_functiondef(p.oid), '--[^\\n]*', '', 'g'), '\\s+', '', 'g')";
  const rows = await sql.unsafe<{ line: string }[]>(
    `
    with ours as (
      select c.* from pg_class c where c.relnamespace::regnamespace::text = any($1) and not c.relispartition
        and (c.relnamespace::regnamespace::text <> 'pgmq' or c.relname ~ '^[qa]_')
    )
    select line from (
      select format('function %s %s %s', p.oid::regprocedure, ${acl("p.proacl")}, ${body}) as line
        from pg_proc p where p.pronamespace::regnamespace::text = any($1) and p.pronamespace::regnamespace::text <> 'pgmq' and p.prokind = 'f'
      union all select format('column %s %s.%s %s not null %s generated %s default %s storage %s acl %s', a.attnum, a.attrelid::regclass, a.attname,
          format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated, pg_get_expr(d.adbin, d.adrelid), a.attstorage, ${acl("a.attacl")})
        from pg_attribute a join ours c on c.oid = a.attrelid left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'v', 'c')
      union all select format('constraint %s %s %s', n.conrelid::regclass, n.conname, pg_get_constraintdef(n.oid)) from pg_constraint n join ours c on c.oid = n.conrelid
      union all select format('index %s', pg_get_indexdef(i.indexrelid)) from pg_index i join ours c on c.oid = i.indrelid
      union all select format('policy %s.%s %s %s %s %s %s', schemaname, tablename, policyname, cmd, roles, qual, with_check) from pg_policies
      union all select format('trigger %s', pg_get_triggerdef(t.oid)) from pg_trigger t join ours c on c.oid = t.tgrelid where not t.tgisinternal
      union all select format('relation %s %s %s %s %s rls %s %s options %s', c.oid::regclass, c.relkind, c.relpersistence, c.relowner::regrole, ${acl("c.relacl")},
          c.relrowsecurity, c.relforcerowsecurity, c.reloptions) from ours c where c.relkind in ('r', 'p', 'v', 'S', 'c')
      union all select format('view %s %s', c.oid::regclass, pg_get_viewdef(c.oid)) from ours c where c.relkind = 'v'
      union all select format('type %s %s', t.typname, t.typtype) from pg_type t where t.typnamespace::regnamespace::text = any($1) and t.typtype in ('e', 'd')
      union all select format('comment %s %s', c.oid::regclass, obj_description(c.oid, 'pg_class')) from ours c where c.relkind in ('r', 'p', 'v') and obj_description(c.oid, 'pg_class') is not null
      union all select format('schema %s %s', n.nspname, ${acl("n.nspacl")}) from pg_namespace n where n.nspname = any($1)
      union all select format('extension %s in %s', e.extname, e.extnamespace::regnamespace) from pg_extension e
      union all select format('role %s %s member of %s', r.rolname, r.rolinherit, array(select m.roleid::regrole::text from pg_auth_members m where m.member = r.oid order by 1))
        from pg_roles r where r.rolname ~ '^(overture_|postgres$)'
      union all select format('default privileges %s %s %s', d.defaclrole::regrole, d.defaclobjtype, ${acl("d.defaclacl")}) from pg_default_acl d
    ) x order by 1`,
    [OURS],
  );
  const queues = (
    await sql.unsafe<{ exists: boolean }[]>(`select to_regclass('kernel.queues') is not null as exists`)
  )[0]!.exists
    ? await sql<{ name: string }[]>`select name from kernel.queues order by name`
    : [];
  return [...rows.map((r) => r.line), ...queues.map((q) => `queue ${q.name}`)];
}
