import type { Sql } from "postgres";
import { uuid7 } from "../../modules/kernel/database/ids.ts";
import { fillTenant } from "../isolation/rows.ts";

/** Two teams with a row in every table, values that are hard to carry, work on the queues, a dead letter and an analyst. */
export async function fillForBackup(sql: Sql): Promise<void> {
  const ids: string[] = [];
  for (const name of ["One", "Two"]) {
    const owner = uuid7();
    const [made] = await sql<
      { id: string }[]
    >`select (private.make_tenant(${name}, ${owner}, ${`owner-${owner}@example.com`}, 'Owner')).id`;
    ids.push(made!.id);
    await fillTenant(sql, made!.id);
  }
  const [id] = ids as [string];
  // Tabs, line ends, backslashes, the end mark itself, letters beyond ASCII.
  await sql`
    insert into public.contacts (tenant_id, email, first_name, last_name, title, custom) values
      (${id}, null, ${"\\.\n\\N\t\\"}, ${"Zoë ☃ 李"}, ${"line one\r\nline two\n\\.\n"}, ${sql.json({ quote: '"\\', nothing: null })}),
      (${id}, 'ada@example.com', 'Ada of the backup', '', '', '{}')`;
  await sql`
    insert into public.message_events (tenant_id, message_id, kind, event_key, at, month)
    select tenant_id, id, 'delivered', 'old', '2025-03-31T23:59:59Z', '2025-03-01' from public.messages where tenant_id = ${id}`;
  await sql`select kernel.enqueue('messaging_send', array[jsonb_build_object('tenant_id', ${id}::text)])`;
  await sql`select kernel.enqueue('campaigns_plan', array[jsonb_build_object('tenant_id', ${id}::text)])`;
  await sql`insert into kernel.dead_letters (queue, tenant_id, message, reason, attempts, enqueued_at) values ('campaigns_plan', ${id}, '{"n": 1}', 'no reason', 3, now())`;
  await sql`create role ana login password 'ana-password'`;
  await sql`select kernel.add_analyst('ana', ${id})`;
}
