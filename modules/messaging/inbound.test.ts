import { expect, test } from "vitest";
import { giveSender } from "../../tests/support/campaigns.ts";
import { testKernel } from "../../tests/support/kernel.ts";
import { uuid7 } from "../kernel/database/ids.ts";

const t = testKernel();

test("a stranger's mail, with and without references, reads a few index pages, however much was sent", async () => {
  const team = await t.tenant();
  const { connectionId } = await giveSender(t, team);
  await t.sql`
    with sent as (
      insert into public.messages (tenant_id, direction, channel, action, status, from_address, to_address, subject, body_text, thread_id, sent_at)
      select ${team.id}::uuid, 'out', 'email', 'email.send', 'sent', 'me@us.test', 'p' || i || '@example.com', 'Hello', repeat('x', 800), kernel.uuid7(), kernel.now()
      from generate_series(1, 8000) i returning tenant_id, id
    ) insert into public.email_details (tenant_id, message_id, rfc_message_id) select tenant_id, id, '<' || id || '@us.test>' from sent`;
  await t.sql`analyze public.messages, public.email_details`;
  const [table] = await t.sql<
    { pages: number }[]
  >`select relpages as pages from pg_class where oid = 'public.messages'::regclass`;
  expect(table!.pages).toBeGreaterThan(800);

  /** Pages that the statement touched, those within the functions it calls included. */
  const pages = (name: string, references: string[]) =>
    team.run(async (ctx) => {
      const [row] = await ctx.db<{ "QUERY PLAN": { Plan: Record<string, number> }[] }[]>`
        explain (analyze, buffers, format json) select private.answered_message('email', ${references}::text[], ${name}, 'me@us.test')`;
      const plan = row!["QUERY PLAN"][0]!.Plan;
      return plan["Shared Hit Blocks"]! + plan["Shared Read Blocks"]!;
    });
  const strange = Array.from({ length: 50 }, () => `<${uuid7()}@elsewhere.test>`);
  // More than five times, so that the plan kept for all values is looked at too. The first call also reads the catalog.
  for (let i = 0; i < 8; i++) {
    const [bare, referring] = [await pages("stranger@example.org", []), await pages("stranger@example.org", strange)];
    if (i === 0) continue;
    expect(bare).toBeLessThan(60);
    expect(referring).toBeLessThan(60 + strange.length * 8);
  }
  expect(await pages("p77@example.com", [])).toBeLessThan(60);

  const read = {
    kind: "reply",
    provider_inbound_id: uuid7(),
    from_address: "stranger@example.org",
    text: "Hello",
    references: strange,
  };
  const [row] = await team.run(
    (ctx) => ctx.db`select private.receive_message(${connectionId}, 'email', ${ctx.db.json(read)}) as id`,
  );
  const [stored] = await t.sql`select contact_id, campaign_id, status from public.messages where id = ${row!.id}`;
  expect(stored).toEqual({ contact_id: null, campaign_id: null, status: "received" });
}, 60_000);
