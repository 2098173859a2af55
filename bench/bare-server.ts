import { timingSafeEqual } from "node:crypto";
import { env } from "node:process";
import { Hono } from "hono";
import postgres from "postgres";

/**
 * What a plain Hono route over the same database costs, in the runtime that our functions run in: no tenants, no policies, no schemas,
 * no gateway. Served by bare.ts; BARE_DB_URL, BARE_TENANT and BARE_PASSWORD say where, for whom and who may post.
 */

const sql = postgres(env.BARE_DB_URL!, { max: 10, onnotice: () => {} });
const tenant = env.BARE_TENANT!;
const password = new TextEncoder().encode(`Basic ${btoa(`bench:${env.BARE_PASSWORD}`)}`);

const limit = (c: { req: { query(name: string): string | undefined } }) => Number(c.req.query("limit") ?? 25);
const app = new Hono()
  .get("/ready", (c) => c.json({ ready: true }))
  // The least a webhook may do: who calls, stored once, on a queue, committed.
  .post("/hook", async (c) => {
    const given = new TextEncoder().encode(c.req.header("authorization") ?? "");
    if (given.length !== password.length || !timingSafeEqual(given, password)) return c.json({ error: "who?" }, 401);
    const body = new Uint8Array(await c.req.arrayBuffer());
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", body));
    await sql`
      with stored as (insert into bare.deliveries (digest, body) values (${digest}, ${body}) on conflict do nothing returning id)
      insert into bare.queue (message) select jsonb_build_object('id', id) from stored`;
    return c.json({ accepted: true });
  })
  .get("/contacts", async (c) => {
    const { status, search } = c.req.query();
    return c.json({
      data: await sql`
        select id, email, first_name, last_name, full_name, title, phone, status, country, custom, tags, created_at, updated_at
        from public.contacts where tenant_id = ${tenant} ${status ? sql`and status = ${status}` : sql``}
          ${search ? sql`and search_text like ${`%${search}%`}` : sql``}
        order by created_at desc, id desc limit ${limit(c) + 1}`,
    });
  })
  .get("/messages", async (c) =>
    c.json({
      data: await sql`
        select id, status, from_address, to_address, subject, left(body_text, 200) as snippet, sent_at, created_at
        from public.messages where tenant_id = ${tenant} order by created_at desc, id desc limit ${limit(c) + 1}`,
    }),
  )
  .get("/activity", async (c) =>
    c.json({
      data: await sql`
        select id, at, kind, message_id, detail from public.message_events where tenant_id = ${tenant}
        order by at desc, id desc limit ${limit(c) + 1}`,
    }),
  )
  .get("/campaigns", async (c) =>
    c.json({ data: await sql`select * from public.campaigns where tenant_id = ${tenant} order by id desc limit 26` }),
  )
  .get("/lists", async (c) =>
    c.json({ data: await sql`select * from public.lists where tenant_id = ${tenant} order by name limit 26` }),
  )
  .get("/dashboard", async (c) =>
    c.json({ data: await sql`select metric, sum(n) as n from public.counters where tenant_id = ${tenant} group by 1` }),
  );

export default { fetch: app.fetch };
