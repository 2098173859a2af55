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
