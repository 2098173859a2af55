import { expect, test } from "vitest";
import { importer } from "../../tests/support/import-file.ts";
import { testKernel, type TestTenant } from "../../tests/support/kernel.ts";

// A contact whose address is suppressed says so at once, so that lists by status agree with what would be sent.

const k = testKernel();

const suppress = async (t: TestTenant, address: string, reason = "manual", channel = "email"): Promise<string> =>
  (await t.api("POST", "/suppressions", { address, reason, channel })).body.id;
const create = async (t: TestTenant, given: Record<string, unknown>) => {
  const { status, body } = await t.api("POST", "/contacts", given);
  expect(status, JSON.stringify(body)).toBe(201);
  return body as { id: string; status: string };
};
const listed = async (t: TestTenant, status: string) =>
  (await t.api("GET", `/contacts?status=${status}`)).body.data.map((c: { email: string | null }) => c.email);

test.each([
  ["manual", "suppressed"],
  ["unsubscribe", "unsubscribed"],
  ["complaint", "unsubscribed"],
  ["bounce", "bounced"],
])("an address suppressed for %s: who is created, imported or given it is %s in the answer", async (reason, status) => {
  const t = await k.tenant();
  for (const name of ["one", "many", "file", "moved"]) await suppress(t, `${name}@example.com`, reason);
  expect((await create(t, { email: "one@example.com" })).status).toBe(status);
  await t.api("POST", "/contacts/bulk", { contacts: [{ email: "many@example.com" }, { email: "free@example.com" }] });
  await importer(k)(t, "email,first_name\nfile@example.com,Ada\n");
  const moved = await create(t, { email: "before@example.com", first_name: "Mo" });
  expect(moved.status).toBe("new");
  expect((await t.api("PATCH", `/contacts/${moved.id}`, { email: "moved@example.com" })).body.status).toBe(status);
  expect((await listed(t, status)).toSorted()).toEqual(
    ["file", "many", "moved", "one"].map((name) => `${name}@example.com`),
  );
  expect(await listed(t, "new")).toEqual(["free@example.com"]);
});

test("an opt-out with the address is one of the person, unless their own consent is on record", async () => {
  const t = await k.tenant();
  await suppress(t, "ada@example.com", "unsubscribe");
  const ada = await create(t, { email: "ada@example.com" });
  const consents = async (id: string) => (await t.api("GET", `/contacts/${id}/consents`)).body.data;
  expect(await consents(ada.id)).toMatchObject([{ channel: "email", state: "withdrawn" }]);
  const bob = await create(t, { email: "bob@example.com" });
  await t.api("POST", "/consents", { channel: "email", contact_ids: [bob.id], state: "granted", source: "form" });
  await suppress(t, "bob@new.example", "unsubscribe");
  expect((await t.api("PATCH", `/contacts/${bob.id}`, { email: "bob@new.example" })).body.status).toBe("unsubscribed");
  expect(await consents(bob.id)).toMatchObject([{ state: "granted", source: "form" }]);
});

test("who has another address that can be written to is not stopped by one number or one mailbox", async () => {
  const t = await k.tenant();
  await suppress(t, "+4930123456", "manual", "sms");
  await suppress(t, "dead@example.com", "bounce");
  expect((await create(t, { email: "ada@example.com", phone: "+4930123456" })).status).toBe("new");
  expect((await create(t, { phone: "+4930123456", first_name: "Only" })).status).toBe("suppressed");
  expect((await create(t, { email: "dead@example.com", phone: "+4930999999" })).status).toBe("new");
});

test.each([
  ["manual", "suppressed"],
  ["unsubscribe", "unsubscribed"],
  ["bounce", "bounced"],
])("a suppression (%s) that is removed frees who was stopped by it, and nobody else", async (reason, status) => {
  const t = await k.tenant();
  const id = await suppress(t, "ada@example.com", reason);
  const ada = await create(t, { email: "ada@example.com" });
  const eve = await create(t, { email: "eve@example.com" });
  await suppress(t, "eve@example.com", reason);
  await k.drain("contacts_message_facts");
  expect((await t.api("DELETE", `/suppressions/${id}`)).status).toBe(204);
  expect((await t.api("GET", `/contacts/${ada.id}`)).body.status).toBe("new");
  expect((await t.api("GET", `/contacts/${eve.id}`)).body.status).toBe(status);
  const [address] =
    await k.sql`select state from public.contact_addresses where tenant_id = ${t.id} and contact_id = ${ada.id}`;
  expect(address!.state).not.toBe("invalid");
});

test("who was stopped by an address and gets another one is free; who opted out is not; the former one stops again", async () => {
  const t = await k.tenant();
  const ids: Record<string, string> = {};
  for (const reason of ["bounce", "manual", "unsubscribe"]) {
    await suppress(t, `${reason}@example.com`, reason);
    ids[reason] = (await create(t, { email: `${reason}@example.com` })).id;
  }
  const move = async (reason: string, email: string) =>
    (await t.api("PATCH", `/contacts/${ids[reason]}`, { email })).body.status;
  expect(await move("bounce", "b@example.com")).toBe("new");
  expect(await move("manual", "m@example.com")).toBe("new");
  expect(await move("unsubscribe", "u@example.com")).toBe("unsubscribed");
  expect(await move("bounce", "bounce@example.com")).toBe("bounced");
  expect(await move("manual", "manual@example.com")).toBe("suppressed");
});

test("the status of somebody stopped is not set by hand: 422 says what stops them", async () => {
  const t = await k.tenant();
  await suppress(t, "ada@example.com", "unsubscribe");
  const ada = await create(t, { email: "ada@example.com" });
  const { status, body } = await t.api("PATCH", `/contacts/${ada.id}`, { status: "customer" });
  expect([status, body.errors[0].pointer, body.errors[0].detail]).toEqual([
    422,
    "/status",
    expect.stringContaining("unsubscribed"),
  ]);
  // Clearing it means "new".
  expect((await t.api("PATCH", `/contacts/${ada.id}`, { status: null })).status).toBe(422);
  expect((await t.api("PATCH", `/contacts/${ada.id}`, { first_name: "Ada" })).status).toBe(200);
});

test("another team's suppressions stop nobody here", async () => {
  await suppress(await k.tenant(), "ada@example.com", "unsubscribe");
  expect((await create(await k.tenant(), { email: "ada@example.com" })).status).toBe("new");
});
