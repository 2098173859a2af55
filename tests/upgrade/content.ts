import type { Sql } from "postgres";
import { listTables } from "../../supabase/embedded/backup.ts";

/** Rows and digest of every table, whatever order the rows stand in. */
export async function contentOf(sql: Sql): Promise<Record<string, string>> {
  const content: Record<string, string> = {};
  for (const { schema, name, columns } of await listTables(sql)) {
    const [row] = await sql<{ n: string; digest: string }[]>`
      select count(*)::text as n, coalesce(md5(string_agg(md5(x::text), '' order by md5(x::text))), '') as digest
      from (select ${sql(columns.length > 0 ? columns : ["tableoid"])} from ${sql(schema)}.${sql(name)}) x`;
    content[`${schema}.${name}`] = `${row!.n} rows ${row!.digest}`;
  }
  return content;
}

/** Everything that makes up the schema, as lines: two databases are alike when these are. Months come and go, so partitions are left out. */
export async function schemaOf(sql: Sql): Promise<string[]> {
  const rows = await sql<{ line: string }[]>`
    with ours as (
      select c.* from pg_class c where c.relnamespace::regnamespace::text in ('public', 'kernel', 'private', 'analytics', 'pgmq') and not c.relispartition
    )
    select line from (
      select format('function %s %s %s %s %s', p.oid::regprocedure, md5(p.prosrc), p.prosecdef, p.proconfig, p.proacl) as line
        from pg_proc p where p.pronamespace::regnamespace::text in ('public', 'kernel', 'private', 'analytics')
      union all select format('column %s.%s %s %s %s %s', a.attrelid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated, pg_get_expr(d.adbin, d.adrelid))
        from pg_attribute a join ours c on c.oid = a.attrelid left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'v')
      union all select format('constraint %s %s %s', n.conrelid::regclass, n.conname, pg_get_constraintdef(n.oid)) from pg_constraint n join ours c on c.oid = n.conrelid
      union all select format('index %s', pg_get_indexdef(i.indexrelid)) from pg_index i join ours c on c.oid = i.indrelid
      union all select format('policy %s %s %s %s %s %s', tablename, policyname, cmd, roles, qual, with_check) from pg_policies
      union all select format('trigger %s', pg_get_triggerdef(t.oid)) from pg_trigger t join ours c on c.oid = t.tgrelid where not t.tgisinternal
      union all select format('relation %s %s %s %s %s %s', c.oid::regclass, c.relkind, c.relowner::regrole, c.relacl, c.relrowsecurity, c.relforcerowsecurity) from ours c where c.relkind in ('r', 'p', 'v', 'S')
      union all select format('view %s %s', c.oid::regclass, pg_get_viewdef(c.oid)) from ours c where c.relkind = 'v'
      union all select format('type %s %s', t.typname, t.typtype) from pg_type t where t.typnamespace::regnamespace::text in ('public', 'kernel', 'private') and t.typtype in ('e', 'd')
      union all select format('queue %s', name) from kernel.queues
    ) x order by 1`;
  return rows.map((r) => r.line);
}
