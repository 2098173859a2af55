import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { enrollmentsOf, messagesOf, settlePlans, wakePlanner } from "../../tests/support/campaigns.ts";
import { testKernel, type TestTenant } from "../../tests/support/kernel.ts";
import { until } from "../../tests/support/until.ts";
import { emulation } from "../providers/sms/twilio/emulation.ts";
import { createSandbox, type RunningSandbox } from "./server.ts";
import type { Message } from "./store.ts";

/** Text messages from the campaign to the phone and back: real API, queues, adapter and webhooks; only Twilio and people are played. */

const t = testKernel({ OVERTURE_ALLOW_PRIVATE_HOSTS: "127.0.0.1" });
let sandbox: RunningSandbox;
beforeAll(async () => {
  sandbox = await createSandbox({ emulations: [emulation], speed: 200 });
});
afterAll(() => sandbox.close());

/** Phones of +44 7700 900xxx act by their last but one digit. */
const SILENT = "+447700900001";
const ANSWERS = "+447700900011";
const STOPS = "+447700900041";
const NO_NUMBER = "+447700900061";

const QUEUES = ["messaging_send", "webhooks_in", "providers_inbound"];
const work = async (tenant: TestTenant) => {
  await t.drain(...QUEUES);
  await settlePlans(t, tenant);
};

const ok = async (answer: Promise<{ status: number; body: any }>, status = 200) => {
  const { status: got, body } = await answer;
  if (got !== status) throw new Error(`${got}: ${JSON.stringify(body)}`);
  return body;
};

/** A team with a Twilio account in the sandbox, its webhook registered, and a number to send from. */
async function team() {
  const tenant = await t.tenant();
  const { credentials, key } = emulation.example();
  const connection = await ok(
    tenant.api("POST", "/connections", {
      provider: "twilio",
      name: "Twilio",
      credentials,
      base_url: sandbox.baseUrl("twilio"),
    }),
    201,
  );
  const path = `/connections/${connection.id}`;
  await ok(tenant.api("POST", `${path}/register-webhook`));
  expect(await ok(tenant.api("POST", `${path}/check`))).toMatchObject({ ok: true });
  await ok(tenant.api("POST", `${path}/activate`));
  const sender = await ok(
    tenant.api("POST", "/senders", { connection_id: connection.id, address: "+1 500 555 0006", display_name: "Sam" }),
    201,
  );
  expect(sender).toMatchObject({ channel: "sms", address: "+15005550006" });
  return { tenant, key, connectionId: connection.id as string, senderId: sender.id as string };
}
type Team = Awaited<ReturnType<typeof team>>;

/** People by phone, all on one list; `consent` false: nobody asked them. */
async function people({ tenant }: Team, phones: { phone: string; first_name: string; consent?: boolean }[]) {
  const list = await ok(tenant.api("POST", "/lists", { name: `Phones ${crypto.randomUUID()}` }), 201);
  const ids: string[] = [];
  for (const { consent: _, ...person } of phones)
    ids.push((await ok(tenant.api("POST", "/contacts", { ...person, lists: [list.id] }), 201)).id);
  const willing = ids.filter((_, i) => phones[i]!.consent !== false);
  await ok(tenant.api("POST", "/consents", { channel: "sms", contact_ids: willing, source: "Form at a fair" }));
  return { listId: list.id as string, ids };
}

async function campaign({ tenant, senderId }: Team, listId: string, steps: object[], start = true): Promise<string> {
  const made = await ok(
    tenant.api("POST", "/campaigns", {
      name: `Texts ${crypto.randomUUID()}`,
      sender_ids: [senderId],
      list_id: listId,
      steps,
    }),
    201,
  );
  if (start) await ok(tenant.api("POST", `/campaigns/${made.id}/start`));
  await settlePlans(t, tenant);
  return made.id;
}

const control = async <T>(path: string, body?: unknown): Promise<T> => {
  const init =
    body === undefined
      ? {}
      : { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } };
  return (await (await fetch(`${sandbox.url}/_sandbox${path}`, init)).json()) as T;
};
const accepted = async (key: string) => (await control<{ messages: Message[] }>(`/messages?account=${key}`)).messages;
const writes = (key: string, from: string, text: string) =>
  control("/deliver", { account: key, from, to: "+15005550006", text });

const ONE = [
  { kind: "sms", body: "Hi {{firstName|there}}, Sam from Us here. Ten minutes on Thursday? Reply STOP to opt out." },
];
const TWO = [...ONE, { kind: "wait", days: 3 }, { kind: "sms", body: "Just checking, {{firstName|there}}. Sam" }];

const statesOf = async (campaignId: string) =>
  Object.fromEntries((await enrollmentsOf(t, campaignId)).map((e) => [e.contact_id, [e.status, e.reason]]));
const suppressed = async ({ tenant }: Team) =>
  (
    await t.sql<
      { address: string; reason: string }[]
    >`select address, reason from public.suppressions where tenant_id = ${tenant.id} order by address`
  ).map(({ address, reason }) => [address, reason]);
const consentOf = async ({ tenant }: Team, contactId: string) =>
  (await ok(tenant.api("GET", `/contacts/${contactId}/consents`))).data.map((c: { channel: string; state: string }) => [
    c.channel,
    c.state,
  ]);

describe("a campaign of text messages", () => {
  test("is sent and delivered; an answer ends the sequence, STOP opts out, a dead number is suppressed, and who never agreed is left out", async () => {
    const us = await team();
    const { listId, ids } = await people(us, [
      { phone: SILENT, first_name: "Cy" },
      { phone: ANSWERS, first_name: "Ada" },
      { phone: STOPS, first_name: "Bob" },
      { phone: NO_NUMBER, first_name: "Eve" },
      { phone: "+447700900002", first_name: "Dan", consent: false },
    ]);
    const [cy, ada, bob, eve, dan] = ids as [string, string, string, string, string];
    const id = await campaign(us, listId, TWO);
    await t.drain("messaging_send");
    const sent = await accepted(us.key);
    expect(sent.map((m) => m.to[0]!.address).sort()).toEqual([SILENT, ANSWERS, STOPS, NO_NUMBER].sort());
    expect(sent.find((m) => m.to[0]!.address === SILENT)!.text).toBe(
      "Hi Cy, Sam from Us here. Ten minutes on Thursday? Reply STOP to opt out.",
    );

    await until(
      async () => {
        await work(us.tenant);
        const states = await statesOf(id);
        return states[ada]![0] === "replied" && states[bob]![0] === "unsubscribed" && states[eve]![0] === "bounced";
      },
      { what: "the answer, the STOP and the dead number" },
    );
    const delivered = async () =>
      (
        await t.sql<{ contact_id: string }[]>`
        select contact_id from public.messages where campaign_id = ${id} and direction = 'out' and delivered_at is not null`
      ).map((m) => m.contact_id);
    await until(async () => {
      await work(us.tenant);
      return (await delivered()).length === 3;
    });
    expect((await delivered()).sort()).toEqual([cy, ada, bob].sort());
    expect((await statesOf(id))[cy]).toEqual(["waiting", null]);
    expect((await statesOf(id))[dan]).toEqual(["left_out", "no_consent"]);
    expect(await suppressed(us)).toEqual([
      [STOPS, "unsubscribe"],
      [NO_NUMBER, "bounce"],
    ]);
    expect(await consentOf(us, bob)).toEqual([["sms", "withdrawn"]]);
    expect(await consentOf(us, ada)).toEqual([["sms", "granted"]]);

    // Three days later only Cy gets the second one.
    await t.sql`update public.enrollments set next_at = kernel.now(), entered_at = entered_at - interval '30 days' where campaign_id = ${id} and status = 'waiting'`;
    await wakePlanner(t, us.tenant);
    await t.drain("messaging_send");
    expect((await accepted(us.key)).map((m) => m.text).filter((text) => text.startsWith("Just checking"))).toEqual([
      "Just checking, Cy. Sam",
    ]);
    expect(await control(`/stats?account=${us.key}`)).toMatchObject({ accepted: 5, duplicates: 0, without_own_id: 0 });
  }, 60_000);

  test("who Twilio refuses to write to is suppressed, ends with the reason, and is not tried again", async () => {
    const us = await team();
    const { listId, ids } = await people(us, [
      { phone: "+15005550004", first_name: "Ann" },
      { phone: "+15005550009", first_name: "Ben" },
      { phone: "+15005550002", first_name: "Cat" },
    ]);
    const [left, landline, unreachable] = ids as [string, string, string];
    const id = await campaign(us, listId, TWO);
    await work(us.tenant);
    const states = await statesOf(id);
    expect(states[left]).toEqual(["unsubscribed", "unsubscribed"]);
    expect(states[landline]).toEqual(["bounced", "bounced"]);
    expect(states[unreachable]).toEqual(["failed", "refused"]);
    expect(await suppressed(us)).toEqual([
      ["+15005550004", "unsubscribe"],
      ["+15005550009", "bounce"],
    ]);
    expect(await consentOf(us, left)).toEqual([["sms", "withdrawn"]]);

    const second = await campaign(us, listId, ONE);
    await work(us.tenant);
    expect((await statesOf(second))[left]![0]).toBe("left_out");
    expect((await statesOf(second))[landline]![0]).toBe("left_out");
    expect((await messagesOf(t, second)).map((m) => m.to_address)).toEqual(["+15005550002"]);
  }, 60_000);

  test("STOP from a number that is not theirs any more still lets the person go; START brings them back", async () => {
    const us = await team();
    const { listId, ids } = await people(us, [{ phone: "+447700900003", first_name: "Fay" }]);
    const fay = ids[0]!;
    const id = await campaign(us, listId, TWO);
    await t.drain("messaging_send");
    await ok(us.tenant.api("PATCH", `/contacts/${fay}`, { phone: "+447700900004" }));
    await writes(us.key, "+447700900003", "Stopp!");
    await until(async () => {
      await work(us.tenant);
      return (await statesOf(id))[fay]![0] === "unsubscribed";
    });
    expect(await consentOf(us, fay)).toEqual([["sms", "withdrawn"]]);
    expect(await suppressed(us)).toEqual([
      ["+447700900003", "unsubscribe"],
      ["+447700900004", "unsubscribe"],
    ]);

    // Neither old nor new number gets anything, while others do.
    const { ids: others } = await people(us, [{ phone: "+447700900009", first_name: "Gil" }]);
    await ok(us.tenant.api("POST", `/lists/${listId}/contacts`, { contact_ids: others }));
    const second = await campaign(us, listId, ONE);
    await t.drain("messaging_send");
    expect((await statesOf(second))[fay]).toEqual(["left_out", "opted_out"]);
    expect((await accepted(us.key)).map((m) => m.to[0]!.address).sort()).toEqual(["+447700900003", "+447700900009"]);

    await writes(us.key, "+447700900004", "START");
    await until(async () => {
      await work(us.tenant);
      return (await consentOf(us, fay))[0]![1] === "granted";
    });
    await campaign(us, listId, ONE);
    await t.drain("messaging_send");
    expect((await accepted(us.key)).filter((m) => m.to[0]!.address === "+447700900004")).toHaveLength(1);
  }, 60_000);

  test("a send whose answer was lost is settled by the callback that names it, never repeated", async () => {
    const us = await team();
    const { listId } = await people(us, [{ phone: "+447700900005", first_name: "Gus" }]);
    await control("/faults", { kind: "reset", account: us.key, accepted: true });
    const id = await campaign(us, listId, ONE);
    await t.drain("messaging_send");
    await until(async () => {
      await work(us.tenant);
      return (await messagesOf(t, id))[0]!.status === "sent";
    });
    expect(await accepted(us.key)).toHaveLength(1);
    const attempts = await t.sql`select outcome from public.attempts where tenant_id = ${us.tenant.id}`;
    expect(attempts).toEqual([{ outcome: "sent" }]);
  }, 60_000);

  test("the preview counts segments with the person's own values", async () => {
    const us = await team();
    const { listId, ids } = await people(us, [
      { phone: "+447700900006", first_name: "René" },
      { phone: "+447700900007", first_name: "Łucja" },
    ]);
    const id = await campaign(us, listId, [{ kind: "sms", body: `{{firstName}}, ${"x".repeat(150)}` }], false);
    const measured = async (contact_id: string) =>
      (await ok(us.tenant.api("POST", `/campaigns/${id}/preview`, { contact_id }))).steps[0].measure;
    expect(await measured(ids[0]!)).toEqual({ encoding: "GSM-7", segments: 1, characters: 156 });
    expect(await measured(ids[1]!)).toEqual({ encoding: "UCS-2", segments: 3, characters: 157 });
  });

  test("a callback with another message's id in its address, or without a signature, is refused", async () => {
    const us = await team();
    const { listId } = await people(us, [{ phone: "+447700900008", first_name: "Hal" }]);
    await campaign(us, listId, ONE);
    await t.drain("messaging_send");
    const [message] = await accepted(us.key);
    const callback = String(message!.extra.status_callback).replace(/#.*/, "");
    expect(callback).toContain(`/webhooks/twilio/${us.connectionId}?message_id=${message!.our_id}`);
    const [call] = emulation.events!(message!, "delivered", "+447700900008", {
      id: `twilio:${us.key}`,
      provider: "twilio",
      hooks: [],
      state: {},
      suppressed: [],
      created_at: "",
    });
    const headers = (await call!.headers!()) as Record<string, string>;
    const post = async (url: string, given: Record<string, string>) =>
      await fetch(url, {
        method: "POST",
        headers: { ...given, "content-type": "application/x-www-form-urlencoded" },
        body: call!.body,
      });
    expect((await post(callback.replace(message!.our_id!, crypto.randomUUID()), headers)).status).toBe(401);
    expect((await post(callback, {})).status).toBe(401);
    const taken = await post(callback, headers);
    expect([taken.status, taken.headers.get("content-type")]).toEqual([200, "text/xml"]);
    expect(await taken.text()).toBe('<?xml version="1.0" encoding="UTF-8"?><Response></Response>');
  });
});
