import { expect, it } from "vitest";
import { giveSender } from "../../tests/support/campaigns.ts";
import { testKernel } from "../../tests/support/kernel.ts";

const t = testKernel();

/** A picker asks for a part of a name; what it finds must not depend on how many rows there are. */
it("lists, segments, tags, senders, connections and members are found by part of their name in any case, and only one's own", async () => {
  const [team, other] = [await t.tenant(), await t.tenant()];
  for (const each of [team, other]) {
    await each.api("POST", "/lists", { name: "Autumn Fair" });
    await each.api("POST", "/lists", { name: "100%_sure" });
    await each.api("POST", "/segments", { name: "German CFOs", filter: { field: "country", op: "eq", value: "DE" } });
    await each.api("POST", "/contacts", { email: "a@b.co", tags: ["vip-2026", "cold"] });
    await giveSender(t, each);
  }
  const namesIn = async (path: string, search: string) =>
    ((await team.api("GET", `${path}?search=${encodeURIComponent(search)}`)).body.data as Record<string, string>[]).map(
      (row) => row.name ?? row.tag ?? row.address,
    );
  expect(await namesIn("/lists", "UMN f")).toEqual(["Autumn Fair"]);
  expect(await namesIn("/lists", "%")).toEqual(["100%_sure"]);
  expect(await namesIn("/lists", "winter")).toEqual([]);
  expect(await namesIn("/segments", "cfo")).toEqual(["German CFOs"]);
  expect(await namesIn("/tags", "VIP")).toEqual(["vip-2026"]);
  const [sender] = (await team.api("GET", "/senders")).body.data;
  expect(await namesIn("/senders", sender.address.slice(1, 8).toUpperCase())).toEqual([sender.address]);
  const [connection] = (await team.api("GET", "/connections")).body.data;
  expect(await namesIn("/connections", connection.name.slice(1).toUpperCase())).toEqual([connection.name]);
  const [member] = (await team.api("GET", "/members")).body.data;
  expect(await namesIn("/members", member.email.slice(0, 9).toUpperCase())).toHaveLength(1);
});

it("the search goes on over pages, past any first hundred", async () => {
  const team = await t.tenant();
  await t.sql`
    insert into public.lists (tenant_id, name)
    select ${team.id}::uuid, case when n % 2 = 0 then 'Even ' else 'Odd ' end || n from generate_series(1, 300) n`;
  const seen = new Set<string>();
  for (let cursor: string | null = ""; cursor !== null;) {
    const { body }: { body: { data: { name: string }[]; next_cursor: string | null } } = await team.api(
      "GET",
      `/lists?search=even&limit=100${cursor ? `&cursor=${cursor}` : ""}`,
    );
    for (const row of body.data) seen.add(row.name);
    cursor = body.next_cursor;
  }
  expect(seen.size).toBe(150);
});
