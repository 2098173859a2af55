import { expect, test } from "vitest";
import { drainOnce } from "../../modules/kernel/queues/drain.ts";
import { startWorld } from "./support.ts";

/** What is stored of a message is damaged. The sender runs in this process; nobody else does. */

const world = await startWorld({ gateway: false });
const { sql, kernel } = world;

test(
  "a stored message that cannot be read fails before any call, and those claimed with it leave",
  { timeout: 60_000 },
  async () => {
    const m = await world.mailing("postmark", 5);
    await world.planned(m);
    const [damaged] = await sql<{ id: string; enrollment_id: string }[]>`
      select id, enrollment_id from public.messages where tenant_id = ${m.tenant.id} order by id offset 2 limit 1`;
    await sql`delete from public.email_details where tenant_id = ${m.tenant.id} and message_id = ${damaged!.id}`;
    await drainOnce(
      kernel,
      kernel.registry.consumers.find((c) => c.queue === "messaging_send")!,
    );

    expect(await world.states(m)).toEqual({ sent: 4, failed: 1 });
    expect(await world.sandbox("GET", `/stats?account=${m.account}`)).toMatchObject({ accepted: 4, duplicates: 0 });
    const [failed] = await sql`select status, error_code from public.messages where id = ${damaged!.id}`;
    expect(failed).toEqual({ status: "failed", error_code: "content_unreadable" });
    // Nobody stands still without a reason.
    await world.drain("campaigns_message_facts");
    const [person] = await sql`select status, reason from public.enrollments where id = ${damaged!.enrollment_id}`;
    expect(person).toEqual({ status: "failed", reason: "refused" });
  },
);
