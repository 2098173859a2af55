import { of, type Mutation } from "./mutation.ts";

const COMPLIANCE = "modules/compliance/sql/suppressions.sql";
const CONSENTS = "modules/compliance/consents.test.ts";
const SUPPRESSIONS = "modules/compliance/suppressions.test.ts";
const ADDRESSES = "modules/contacts/addresses.test.ts";
const SETTLING = "modules/messaging/sql/settle.sql";
const SETTLE = "modules/messaging/settle.test.ts";
const REFUSED = "a refusal for the recipient's sake suppresses them at once and says nothing about the connection";
const WEBHOOKS = "modules/providers/webhooks.test.ts";
const LISTED = "an address on the provider's own list of dead ones is suppressed, also where the message is not ours";

export const people: readonly Mutation[] = of("sending", [
  {
    promise: "Who opted out is not written to at another address either",
    file: COMPLIANCE,
    find: "and (c.state = 'withdrawn' or m.requires_consent and c.state is distinct from 'granted')",
    replace: "and m.requires_consent and c.state is distinct from 'granted'",
    test: CONSENTS,
    name: "is the person's: a new address is not written to instead, whichever address the opt-out came from",
  },
  {
    promise: "Opting in by a word lifts no bounce and nothing that the team decided",
    file: COMPLIANCE,
    find: "and x.reason in ('unsubscribe', 'complaint')",
    replace: "",
    test: CONSENTS,
    name: "START does not revive a dead number nor lift what the team decided; a stranger's word is harmless",
  },
  {
    promise: "Removing a suppression lifts no withdrawal that has another cause",
    file: "modules/compliance/suppressions.ts",
    find: 'if (row.reason === "unsubscribe" || row.reason === "complaint")',
    replace: "if (row.reason)",
    test: SUPPRESSIONS,
    name: "removing one lifts no withdrawal that has another cause",
  },
  {
    promise: "An opt-out stands in the contact as one",
    file: "modules/contacts/hearing.ts",
    find: 'if (reason === "manual")',
    replace: 'if (reason !== "bounce")',
    test: SUPPRESSIONS,
    name: "adding one for %s ends the running sequence as %s",
  },
  {
    promise: "A dead address is not a dead person",
    file: "modules/contacts/sql/addresses.sql",
    find: "o.id <> m.id and o.is_primary\n        and o.state <> 'invalid')), 'bounced')",
    replace: "false)), 'bounced')",
    test: ADDRESSES,
    name: "a dead address is not a dead person: who can be reached on another channel stays so",
  },
  {
    promise: "… and a former address stays the person's",
    file: "modules/contacts/sql/addresses.sql",
    find: "    update public.contact_addresses a set is_primary = false\n    from came c",
    replace: "    delete from public.contact_addresses a\n    using came c",
    test: ADDRESSES,
    name: "follow the fields, one primary a channel; a former one is kept, and comes back as primary",
  },
  {
    promise: "A stranger's mail walks through no history",
    file: "migrations/20261130000600_messaging.sql",
    find: "create index messages_by_address on public.messages (tenant_id, channel, to_address, created_at desc)",
    replace: "create index messages_by_address on public.messages (tenant_id, channel, created_at desc)",
    test: "modules/messaging/inbound.test.ts",
    name: "a stranger's mail, with and without references, reads a few index pages, however much was sent",
  },
  {
    promise: "A conversation that was closed opens when its person writes again",
    file: "modules/messaging/sql/inbound.sql",
    find: "status = case when by_machine then t.status else 'open' end,",
    replace: "status = t.status,",
    test: "modules/inbox/threads.test.ts",
    name: "is closed, and the next message that comes in opens it again; given to a member and to nobody else",
  },
  {
    promise: "Whom a provider refuses to write to is suppressed, at once",
    file: SETTLING,
    find: "  perform private.suppress_refused(rows);\n",
    replace: "",
    test: SETTLE,
    name: REFUSED,
  },
  {
    promise: "… by what is settled alone, not by an answer in doubt",
    file: SETTLING,
    find: "where s.final = 'failed' and s.recipient is not null",
    replace: "where s.recipient is not null",
    test: SETTLE,
    name: REFUSED,
  },
  {
    promise: "… and it says nothing against the connection",
    file: SETTLING,
    find: "(where s.outcome = 'rejected' and s.recipient is null)",
    replace: "(where s.outcome = 'rejected')",
    test: SETTLE,
    name: REFUSED,
  },
  {
    promise: "… and their sequence ends with that reason",
    file: "modules/campaigns/hearing.ts",
    find: `    await suppressed(ctx, of("address.suppressed"));`,
    replace: `    await stopped(ctx, of("message.failed").map((m) => ({ ...m, outcome: "refused" })));
    await suppressed(ctx, of("address.suppressed"));`,
    test: "modules/sandbox/sms.test.ts",
    name: "who Twilio refuses to write to is suppressed, ends with the reason, and is not tried again",
  },
  {
    promise: "An address on the provider's own list of dead ones is suppressed",
    file: "modules/messaging/sql/events.sql",
    find: "or i.fresh and i.bounce = 'permanent'",
    replace: "or i.fresh and i.kind = 'bounced' and i.bounce = 'permanent'",
    test: WEBHOOKS,
    name: LISTED,
  },
  {
    promise: "… also where the message is not ours",
    file: "modules/messaging/events.ts",
    find: `"bounce" in e && e.bounce === "permanent"`,
    replace: `e.kind === "bounced" && e.bounce === "permanent"`,
    test: WEBHOOKS,
    name: LISTED,
  },
  {
    promise: "A long conversation shows its newest messages",
    file: "modules/inbox/threads.ts",
    find: "order by m.created_at desc, m.id desc limit ${limit + 1}",
    replace: "order by m.created_at, m.id limit ${limit + 1}",
    test: "modules/inbox/threads.test.ts",
    name: "a long conversation comes in pages, newest first and each once, also when many share one instant",
  },
  {
    promise: "A campaign chooses only what a channel offers",
    file: "modules/campaigns/options.ts",
    find: "if (errors.length > 0)",
    replace: "if (errors.length < 0)",
    test: "modules/campaigns/campaigns.test.ts",
    name: "a draft is created with its steps, read, listed, changed, cloned and deleted",
  },
  {
    promise: "A team sets only what is read, to what is understood",
    file: "modules/tenancy/tenants.ts",
    find: "if (errors.length > 0)",
    replace: "if (errors.length < 0)",
    test: "modules/tenancy/settings.test.ts",
    name: "a setting that nothing reads, or a value that does not fit, is refused with its place and the fix, and nothing is changed",
  },
]);
