import { describe, expect, test } from "vitest";
import { settlePlans } from "../../tests/support/campaigns.ts";
import { testKernel, type TestTenant } from "../../tests/support/kernel.ts";
import { email, hours, story } from "../../tests/support/sequences.ts";
import { receive } from "./inbound.ts";

/** Which person a received mail is of, and what of theirs it ends. */

const t = testKernel();

type Mail = { from?: string; to?: string; id?: string; rfc?: string | null; answers?: string; text?: string };
const arrives = (team: TestTenant, connectionId: string, mail: Mail = {}) =>
  team.run((ctx) =>
    receive(ctx, connectionId, "email", {
      provider_inbound_id: mail.id ?? crypto.randomUUID(),
      from: { address: mail.from ?? "ada@acme.test", name: "Ada" },
      to: [mail.to ?? "sam@us.test"],
      text: mail.text ?? "Let us talk on Monday.",
      details: {
        subject: "A question",
        html: null,
        headers: mail.answers ? { "in-reply-to": mail.answers } : {},
        rfc_message_id: mail.rfc === undefined ? `<${crypto.randomUUID()}@acme.test>` : mail.rfc,
      },
    }),
  );
const received = (team: TestTenant) =>
  t.sql<{ contact_id: string | null; campaign_id: string | null; thread_id: string }[]>`
    select contact_id, campaign_id, thread_id from public.messages where tenant_id = ${team.id} and direction = 'in' order by id`;

/** A person in campaign A, whose second step waits, and in campaign B, which wrote last. */
async function two(policy?: "campaign" | "contact", last: unknown[] = [email("B1")]) {
  const team = await t.tenant();
  if (policy) await team.api("PATCH", "/tenant", { settings: { reply_stops: policy } });
  const shared = { settings: { exclusive: false } };
  const a = await story(t, team, [email("A1"), hours(24), email("A2")], ["ada@acme.test"], shared);
  await a.go();
  const b = await story(t, team, last, ["zoe@acme.test"], shared);
  await team.api("POST", `/campaigns/${b.id}/leads`, { contact_ids: a.contactIds });
  await b.go();
  const after = async () => {
    await settlePlans(t, team);
    return [(await a.lead()).status, (await b.lead("ada@acme.test")).status];
  };
  return { team, a, b, after };
}

describe("a mail that names no message of ours", () => {
  test.each(["contact", "campaign"] as const)(
    "ends what runs, also where another campaign wrote last and is over (reply_stops: %s)",
    async (policy) => {
      const { team, a, after } = await two(policy);
      await arrives(team, a.connectionId);
      expect((await after())[0]).toBe("replied");
    },
  );
  test("ends both campaigns that wait, because either may be meant", async () => {
    const { team, a, after } = await two("campaign", [email("B1"), hours(24), email("B2")]);
    await arrives(team, a.connectionId);
    expect(await after()).toEqual(["replied", "replied"]);
  });
  test("to the address of one campaign's sender leaves the other's", async () => {
    const { team, a, b, after } = await two("campaign", [email("B1"), hours(24), email("B2")]);
    await t.sql`update public.messages set from_address = 'kim@us.test' where campaign_id = ${b.id}`;
    await arrives(team, a.connectionId);
    expect(await after()).toEqual(["replied", "waiting"]);
  });
  test("from a former address finds its person", async () => {
    const { team, a, after } = await two();
    await team.api("PATCH", `/contacts/${a.contactIds[0]}`, { email: "ada@new.test" });
    await t.sql`update public.messages set to_address = 'ada@new.test' where tenant_id = ${team.id} and direction = 'out'`;
    await arrives(team, a.connectionId, { from: "ada@acme.test" });
    await settlePlans(t, team);
    expect((await received(team)).map((m) => m.contact_id)).toEqual([a.contactIds[0]]);
    expect((await a.lead("ada@new.test")).status).toBe("replied");
    void after;
  });
  test("from an address with a tag is another person's, unless the contact has it so", async () => {
    const { team, a, after } = await two();
    await arrives(team, a.connectionId, { from: "ada+x@acme.test" });
    expect((await received(team)).map((m) => m.contact_id)).toEqual([null]);
    expect((await after())[0]).toBe("waiting");
    await team.api("POST", "/contacts", { email: "bob+x@acme.test" });
    await arrives(team, a.connectionId, { from: "Bob+X@acme.test" });
    expect((await received(team))[1]!.contact_id).not.toBeNull();
  });
  test("from a person whom nobody wrote to yet is theirs and ends nothing of others", async () => {
    const { team, a, after } = await two();
    const { body } = await team.api("POST", "/contacts", { email: "eve@acme.test" });
    await arrives(team, a.connectionId, { from: "eve@acme.test" });
    expect((await received(team)).map((m) => m.contact_id)).toEqual([body.id]);
    expect((await after())[0]).toBe("waiting");
  });
});

test("an answer to campaign B's mail ends A by the policy: with `contact` both, with `campaign` only its own", async () => {
  for (const [policy, first] of [
    ["contact", "replied"],
    ["campaign", "waiting"],
  ] as const) {
    const { team, a, b, after } = await two(policy, [email("B1"), hours(24), email("B2")]);
    const mail = (await b.messages()).find((m) => m.to_address === "ada@acme.test")!;
    await arrives(team, a.connectionId, { answers: mail.rfc_message_id });
    expect(await after()).toEqual([first, "replied"]);
  }
});

describe("one mail that comes twice is one message and one answer", () => {
  const start = async () => {
    const team = await t.tenant();
    const k = await story(t, team, [email("A"), hours(24), email("B")]);
    await k.go();
    const [mail] = await k.messages();
    return { team, k, answers: mail!.rfc_message_id };
  };
  const counted = async (team: TestTenant) => {
    const [row] = await t.sql`
      select (select count(*)::int from public.messages m where m.tenant_id = ${team.id} and m.direction = 'in') as messages,
        (select count(*)::int from public.message_events e where e.tenant_id = ${team.id} and e.kind = 'replied') as replies`;
    return [row!.messages, row!.replies];
  };
  const rfc = "<same@mail.example.com>";

  test("with two ids of the provider", async () => {
    const { team, k, answers } = await start();
    for (let i = 0; i < 2; i++) await arrives(team, k.connectionId, { answers, rfc });
    expect(await counted(team)).toEqual([1, 1]);
  });
  test("through two connections, to two of our addresses, at the same moment", async () => {
    const { team, k, answers } = await start();
    const other = await story(t, team, [email("X")], ["zoe@acme.test"]);
    await Promise.all([
      arrives(team, k.connectionId, { answers, rfc }),
      arrives(team, other.connectionId, { answers, rfc, to: "kim@us.test" }),
    ]);
    expect(await counted(team)).toEqual([1, 1]);
  });
  test("not so two mails: another Message-ID, none, or another person's", async () => {
    const { team, k, answers } = await start();
    await arrives(team, k.connectionId, { answers, rfc });
    await arrives(team, k.connectionId, { answers, rfc: "<other@mail.example.com>" });
    for (let i = 0; i < 2; i++) await arrives(team, k.connectionId, { answers, rfc: null });
    await arrives(team, k.connectionId, { from: "eve@acme.test", rfc });
    expect((await counted(team))[0]).toBe(5);
    const other = await start();
    await arrives(other.team, other.k.connectionId, { answers: other.answers, rfc });
    expect(await counted(other.team)).toEqual([1, 1]);
  });
  test("also with an id as long as a line can be", async () => {
    const { team, k, answers } = await start();
    const long = `<${Array.from({ length: 290 }, () => crypto.randomUUID().slice(0, 3)).join("")}@a>`;
    for (let i = 0; i < 2; i++) await arrives(team, k.connectionId, { answers, rfc: long });
    expect(await counted(team)).toEqual([1, 1]);
  });
});
