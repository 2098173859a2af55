import type postgres from "postgres";

/**
 * Rows of these tables of schema public that `fn` reads, by the server's own count. The count goes on over transactions of a connection that
 * follow each other quickly (the server takes it in once a second), so what stood there before is taken off.
 */
export async function rowsReadBy(
  tx: postgres.TransactionSql,
  tables: readonly string[],
  fn: () => Promise<void>,
): Promise<number> {
  const count = async () => {
    const [row] = await tx<[{ n: number }]>`
      select coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::int as n from pg_stat_xact_user_tables
      where schemaname = 'public' and relname = any(${tables as string[]})`;
    return row.n;
  };
  const before = await count();
  await fn();
  return (await count()) - before;
}
