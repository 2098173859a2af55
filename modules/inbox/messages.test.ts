import { expect, test } from "vitest";
import { type Answer, testKernel, type TestTenant } from "../../tests/support/kernel.ts";
import { uuid7 } from "../kernel/database/ids.ts";

const t = testKernel();

async function insert(team: TestTenant, fields: Record<string, unknown> = {}): Promise<string> {
  const id = uuid7();
  await t.sql`insert into public.messages ${t.sql({ tenant_id: team.id, id, direction: "out", channel: "email", action: "email.send", status: "sent", from_address: "me@example.com", to_address: "you@example.com", subject: "Hi", thread_id: id, ...fields } as never)}`;
  return id;
}

test("pages through every message once, newest first, also when many share one instant", async () => {
  const team = await t.tenant();
  const ids = new Set<string>();
  const at = new Date();
  for (let i = 0; i < 7; i++) ids.add(await insert(team, { created_at: i < 5 ? at : new Date(at.getTime() + i) }));
  const seen: string[] = [];
  let cursor: string | null = null;
  do {
    const page: { body: { data: { id: string }[]; next_cursor: string | null } } = await team.api(
      "GET",
      `/messages?limit=2${cursor ? `&cursor=${cursor}` : ""}`,
    );
    seen.push(...page.body.data.map((m) => m.id));
    cursor = page.body.next_cursor;
  } while (cursor);
  expect(seen).toHaveLength(7);
  expect(new Set(seen)).toEqual(ids);
});

test("filters by status, contact and direction", async () => {
  const team = await t.tenant();
  await insert(team);
  const failed = await insert(team, { status: "failed" });
  const { body } = await team.api("GET", "/messages?status=failed");
  expect(body.data.map((m: { id: string }) => m.id)).toEqual([failed]);
  expect((await team.api("GET", "/messages?status=nonsense")).status).toBe(422);
});

test("a campaign's messages come in pages, newest first, each once, whatever became of them", async () => {
  const team = await t.tenant();
  const [campaign] = await t.sql<
    { id: string }[]
  >`insert into public.campaigns (tenant_id, name) values (${team.id}, 'K') returning id`;
  const statuses = ["sent", "failed", "queued", "received", "sent"];
  const made: { id: string; status: string }[] = [];
  for (let i = 0; i < 23; i++) {
    const status = statuses[i % 5]!;
    const direction = status === "received" ? "in" : "out";
    const due_at = status === "queued" ? new Date() : null;
    made.unshift({ id: await insert(team, { campaign_id: campaign!.id, status, direction, due_at }), status });
    await insert(team, { status, direction, due_at });
  }
  const all = async (query: string) => {
    const seen: string[] = [];
    let cursor: string | null = "";
    do {
      const path: string = `/messages?campaign_id=${campaign!.id}&limit=3${query}${cursor && `&cursor=${cursor}`}`;
      const { body }: Answer = await team.api("GET", path);
      seen.push(...body.data.map((m: { id: string }) => m.id));
      cursor = body.next_cursor;
    } while (cursor !== null);
    return seen;
  };
  const expected = (wanted: (status: string) => boolean) => made.filter((m) => wanted(m.status)).map((m) => m.id);
  expect(await all("")).toEqual(expected(() => true));
  expect(await all("&status=sent")).toEqual(expected((s) => s === "sent"));
  expect(await all("&direction=in")).toEqual(expected((s) => s === "received"));
  expect(await all("&direction=out")).toEqual(expected((s) => s !== "received"));
  expect(await all("&status=received&direction=out")).toEqual([]);
  expect((await team.api("GET", "/messages?status=received&limit=100")).body.data).toHaveLength(8);
});

test("the HTML of received mail is never given out", async () => {
  const team = await t.tenant();
  const id = await insert(team, {
    direction: "in",
    status: "received",
    body_text: "hello",
  });
  await t.sql`insert into public.email_details (tenant_id, message_id, html) values (${team.id}, ${id}, '<script>1</script>')`;
  const { body } = await team.api("GET", `/messages/${id}`);
  expect(body.body_html).toBeNull();
  expect(body.body_text).toBe("hello");
});

test("an unknown outcome is decided by a person, once", async () => {
  const team = await t.tenant();
  const id = await insert(team, { status: "unknown", attempts: 1 });
  await t.sql`insert into public.attempts (tenant_id, message_id, number, outcome) values (${team.id}, ${id}, 1, 'unknown')`;
  const viewer = await team.member("viewer");
  expect((await viewer.api("POST", `/messages/${id}/resolve`, { outcome: "sent" })).status).toBe(403);
  const decided = await team.api("POST", `/messages/${id}/resolve`, { outcome: "sent" });
  expect(decided).toMatchObject({
    status: 200,
    body: { status: "sent", attempt_log: [{ number: 1, outcome: "sent" }] },
  });
  expect((await team.api("POST", `/messages/${id}/resolve`, { outcome: "failed" })).status).toBe(409);
});

test("another team's messages and conversations are not found", async () => {
  const [mine, theirs] = [await t.tenant(), await t.tenant()];
  const id = await insert(theirs, { direction: "in", status: "received" });
  for (const path of [`/messages/${id}`, `/threads/${id}`, `/threads/${id}/messages`])
    expect((await mine.api("GET", path)).status, path).toBe(404);
  expect((await mine.api("GET", "/messages")).body.data).toEqual([]);
});
