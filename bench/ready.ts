import type { Team, World } from "./world.ts";

/** A campaign of one tracked e-mail to so many people, over a connection of its own, ready to start. Returns its id. */
export async function readyCampaign(
  { admin, call }: World,
  me: Team,
  connection: Record<string, unknown>,
  people: number,
): Promise<string> {
  const made = await call(me, "POST", "/connections", { name: "Bench", ...connection });
  await call(me, "POST", `/connections/${made.id}/check`);
  // Without a webhook the recipients' acts do not come back and take time from either side; faster than any real account allows, because
  // the rate must not be what is measured.
  await admin`
    update public.connections set status = 'active', webhook_registered = true, settings = settings || '{"per_second": 100000}'
    where id = ${made.id}`;
  const sender = await call(me, "POST", "/senders", {
    connection_id: made.id,
    address: "sam@outreach.example",
    display_name: "Sam",
    limits: [{ action: "email.send", per: "day", cap: 100_000 }],
  });
  const list = await call(me, "POST", "/lists", { name: "Audience" });
  // Addresses of this team alone: where one account serves several runs, those that bounced in the one would be refused in the next.
  const domain = `${me.id}.example.com`;
  await admin`
    with people as (insert into public.contacts (tenant_id, email, first_name, last_name) select ${me.id}, 'p' || n || '@' || ${domain}::text, 'Pia', 'N' || n from generate_series(1, ${people}) n returning id)
    insert into public.list_contacts (tenant_id, list_id, contact_id) select ${me.id}, ${list.id}, id from people`;
  const { id } = await call(me, "POST", "/campaigns", {
    name: "Bench",
    sender_ids: [sender.id],
    list_id: list.id,
    settings: { time_zone: "UTC", window: null, track_opens: true, track_clicks: true, stop_on_reply: true },
    steps: [
      {
        kind: "email",
        subject: "Hello {{firstName}}",
        body: "Dear {{firstName}},\n\nplease look at https://example.com/offer\n\nSam",
      },
    ],
  });
  return id as string;
}
