import { tenantTables } from "../isolation/rows.ts";
import type { TestKernel } from "../support/kernel.ts";

/** Looks on from outside while hostile requests run: what a tenant's tables and queues hold, what answers and logs give away. */

/** The state of a tenant as one text: per table its rows' number and contents, and the messages on every queue. */
export async function stateReader(t: TestKernel): Promise<(tenantId: string) => Promise<string>> {
  // The counters are derived, and a schedule folds the deltas into them at any time.
  const tables = (await tenantTables(t.sql)).filter(({ name }) => !name.startsWith("counter"));
  const queues = await t.sql<{ queue_name: string }[]>`select queue_name from pgmq.list_queues()`;
  const parts = [
    ...tables.map(
      ({ name, key }) =>
        `select '${name}' as name, count(*)::text || ':' || coalesce(sum(hashtextextended(x::text, 0)::numeric), 0)::text as state from public."${name}" x where "${key}" = $1`,
    ),
    ...queues.map(
      ({ queue_name }) =>
        `select 'queue ${queue_name}', count(*)::text from pgmq."q_${queue_name}" q where q.message ->> 'tenant_id' = $1::text`,
    ),
  ];
  const statement = parts.join(" union all ").replaceAll("= $1::text", "= $2");
  return async (tenantId) => {
    const rows = await t.sql.unsafe<{ name: string; state: string }[]>(statement, [tenantId, tenantId]);
    return rows.map((r) => `${r.name} ${r.state}`).join("\n");
  };
}

/** The first line two states differ in. */
export const difference = (before: string, after: string): string => {
  const old = new Set(before.split("\n"));
  return after
    .split("\n")
    .filter((line) => !old.has(line))
    .join(", ");
};

/** Stack frames, file names, SQL and the database's own sentences. No answer may contain one. */
const OURS =
  /\n\s+at |node_modules|file:\/\/\/|\.(ts|mjs|js):\d+|PostgresError|ZodError|TypeError|violates |relation "|column "|syntax error at or near|invalid input syntax|invalid byte sequence|SQLSTATE|overture_worker|overture_user|supabase_admin|\bselect \*? ?.{0,80}\bfrom (public|kernel|private)\.|insert into (public|kernel)\./i;

export function leakIn(text: string, env: Record<string, string>): string | null {
  const found = OURS.exec(text)?.[0];
  if (found) return found;
  for (const [name, value] of Object.entries(env)) {
    if (/SECRET|PASSWORD|DB_URL|OVERTURE_KEYS/.test(name) && value.length >= 8 && text.includes(value)) return name;
  }
  return null;
}
