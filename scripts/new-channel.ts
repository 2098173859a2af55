import {
  capital,
  camel,
  checkFree,
  checkName,
  isMain,
  kebab,
  pascal,
  type Scaffold,
  scaffold,
  textOf,
  words,
} from "./scaffold.ts";

/**
 * `npm run new:channel -- whatsapp`: prints a channel of plain text messages with its test, what its providers' tests have in common,
 * and its line in modules/channels/module.ts. With --write it writes them.
 */

/** How people are addressed, by the contact's field that holds the address. */
const ADDRESSES = {
  email: {
    label: "email address",
    example: "ada@example.com",
    reader: "normaliseEmail",
    // Longer than any, or with a name around it.
    refuse: "text.length > 254 || /[<>\\s]/.test(text)",
    given: [" Ada@Example.com ", "ada@example.com"],
    junk: ["ada", "@example.com", "Ada <ada@example.com>"],
    silent: "`silent+${id}@example.com`",
  },
  phone: {
    label: "phone number",
    example: "+4915112345678",
    reader: "normalisePhone",
    refuse: "text.length > 40 || /[^+\\d\\s().\\-/]/.test(text)",
    given: ["+49 151 1234-5678", "+4915112345678"],
    junk: ["call me at +49 151 12345678", "+49", "ada@example.com"],
    silent: '`+44770090000${id.replace(/\\D/g, "").at(-1) ?? "0"}`',
  },
  linkedin_url: {
    label: "LinkedIn profile",
    example: "https://www.linkedin.com/in/ada",
    reader: "normaliseLinkedinUrl",
    refuse: "text.length > 500 || /\\s/.test(text)",
    given: ["linkedin.com/in/Ada/?trk=x", "https://www.linkedin.com/in/ada"],
    junk: ["ada", "https://example.com/in/ada"],
    silent: "`https://www.linkedin.com/in/silent-${id}`",
  },
} as const;

type Field = "email" | "phone" | "whatsapp_number" | "linkedin_url";
const ADDRESS_SQL = "modules/contacts/sql/addresses.sql";
/** Who plays the recipients in the sandbox, by field; a channel of other addresses gets people of its own. */
const PEOPLE: Partial<Record<Field, string>> = { email: "mailboxes", phone: "phones", whatsapp_number: "phones" };

/** The contact's field that addresses.sql takes a channel's addresses from; null for a channel it does not know. */
export function contactFieldOf(id: string, root: string): Field | null {
  const found = new RegExp(`\\('${id}',\\s*c\\.(\\w+)\\)`).exec(textOf(root, ADDRESS_SQL) ?? "")?.[1];
  return (found as Field | undefined) ?? null;
}

/** The export of modules/sandbox that plays the people with such addresses, or null. */
export const peopleOfField = (field: string): string | null => PEOPLE[field as Field] ?? null;

/** Makes the files of a channel such as `whatsapp`. Throws with what to type instead. */
export function newChannel(id: string, root: string): Scaffold {
  const taken = ["channels", "channel", "conformance", "fixtures", "text", "test", "expect", "person", "z"];
  checkName(id, { what: "channel", max: 31, example: "whatsapp or linkedin", taken });
  checkFree(root, `modules/channels/${id}`, `modules/campaigns/steps/${kebab(id)}.ts`, `modules/providers/${id}`);
  const known = contactFieldOf(id, root);
  const field = known ?? "phone";
  const names: Names = {
    id,
    object: camel(id),
    Type: pascal(id),
    title: capital(words(id)),
    field,
    form: ADDRESSES[field === "whatsapp_number" ? "phone" : field],
  };
  const at = (file: string) => `modules/channels/${id}/${file}`;
  const files = new Map([
    [at("content.ts"), contentFile(names)],
    [at("channel.ts"), channelFile(names)],
    [at(`${kebab(id)}.test.ts`), testFile(names)],
    [`modules/providers/${id}/fixtures.ts`, fixturesFile(names)],
    [`modules/providers/conformance/${id}.ts`, conformanceFile(names)],
    ...(peopleOfField(field) ? [] : ([[`modules/sandbox/${id}.ts`, peopleFile(names)]] as const)),
  ]);
  return {
    files,
    registrations: [
      {
        path: "modules/channels/module.ts",
        import: `import { ${names.object} } from "./${id}/channel.ts";`,
        name: names.object,
        list: "\n  channels: [",
      },
    ],
    next: [
      ...(known
        ? []
        : [
            `contacts keep no address for ${id}: name it in ${ADDRESS_SQL} with the field it is taken from, and the same field as contact_field in ${at("channel.ts")}; until then its last test is red.`,
          ]),
      `the values in ${at("channel.ts")} are careful ones: check label, limits, requires_consent and the longest text.`,
      `npm run gen, then npm test -- modules/channels/${id}`,
      `npm run new:provider -- ${id}/<provider>: it has no provider yet.`,
    ],
  };
}

type Names = { id: string; object: string; Type: string; title: string; field: Field; form: Form };
type Form = (typeof ADDRESSES)[keyof typeof ADDRESSES];
const json = (value: unknown) => JSON.stringify(value);

const contentFile = (
  n: Names,
) => `/** What providers of the channel ${n.id} send. The parties stand in OutboundMessage. */
export type ${n.Type}Content = {
  text: string;
};
`;

const channelFile = (n: Names) => `import { z } from "zod";
import { defineChannel, type Fault } from "../../kernel/channel.ts";
import { ${n.form.reader} } from "../../contacts/normalize.ts";
import { plainText, readText } from "../plain-text.ts";

/** Characters (code points) in one message; providers refuse longer ones. */
export const MAX_CHARACTERS = 1000;

function length(text: string, what: string): Fault[] {
  const { length: characters } = [...text];
  if (characters <= MAX_CHARACTERS) return [];
  const detail = \`\${what} has \${characters} characters; at most \${MAX_CHARACTERS} can be sent. Shorten it.\`;
  return [{ field: "body", level: "error", id: "too_long", detail }];
}

/** The normal form of a ${n.form.label}, the same as the contact's field has; null for anything else. */
function normalise(input: string): string | null {
  const text = input.trim();
  if (${n.form.refuse}) return null;
  const read = ${n.form.reader}(text);
  return "value" in read ? read.value : null;
}

const address = { label: "${n.form.label}", example: "${n.form.example}", normalise };

/** ${n.title}: say here in one line what is sent and how people opt out. */
export const ${n.object} = defineChannel({
  id: "${n.id}",
  label: "${n.title}",
  contact_field: "${n.field}",
  address,
  sender: { ...address, profile: z.object({}) },
  actions: {
    "${n.id}.send": { label: "Send a message", limits: [{ per: "day", cap: 20 }] },
  },
  // Careful: most countries want consent for messages to phones and profiles.
  requires_consent: true,
  options: z.object({}),
  ...plainText({ length }),
  measure: ({ text }) => ({ characters: [...text].length }),
  // A message that is nothing but an opt-out word is an opt-out, as in text messages.
  readInbound: (message) => readText(message, { person: normalise, sender: normalise }),
});
`;

const testFile = (n: Names) => `import { expect, test } from "vitest";
import { testKernel } from "../../../tests/support/kernel.ts";
import { conformance } from "../conformance.ts";
import { ${n.object}, MAX_CHARACTERS } from "./channel.ts";

conformance(${n.object}, {
  addresses: [${json(n.form.given)}],
  senders: [${json(n.form.given)}],
  junk: ${json(n.form.junk)},
  template: (body) => ({ body }),
  long: (body) => ({ body }),
  fields: ["body"],
  refused: [
    { template: { body: "{{firstName}}" }, row: { first_name: "x".repeat(MAX_CHARACTERS + 1) }, fault: "too_long" },
    { template: { body: "{{title|}}" }, row: {}, fault: "body_empty" },
  ],
  outgoing: () => ({ lines: [], markup: [] }),
  from: { address: ${json(n.form.example)}, name: "Sam", profile: {} },
  options: {},
  inbound: (text, details) => ({
    provider_inbound_id: details,
    from: { address: details, name: details },
    to: [details],
    text,
    details: {},
  }),
  kinds: [
    ["STOP", "opt_out"],
    ["start", "opt_in"],
    ["Help", "help"],
    ["Yes", "reply"],
    ["I cannot stop thinking about it", "reply"],
  ],
});

const t = testKernel();

test("a contact's field is its address on the channel, in the same normal form", async () => {
  const tenant = await t.tenant();
  const { contact_field, address } = ${n.object};
  const made = await tenant.api("POST", "/contacts", { email: "ada@acme.test", [contact_field]: address.example });
  expect(made.status, JSON.stringify(made.body)).toBe(201);
  const rows = await t.sql<{ address: string }[]>\`
    select address from public.contact_addresses where tenant_id = \${tenant.id} and channel = '${n.id}'\`;
  expect(
    rows.map((r) => r.address),
    \`fill in: ${ADDRESS_SQL} takes no address for ${n.id} from the contact's field \${contact_field}\`,
  ).toEqual([address.example]);
});
`;

const fixturesFile = (n: Names) => `import { textExample } from "../fixtures.ts";

/** Recipients who stay silent in the sandbox. */
const silent = (id: string) => ${n.form.silent};

export const example${n.Type} = textExample("${n.id}.send", "${n.form.example}", silent);
`;

const conformanceFile = (n: Names) => `import { example${n.Type} } from "../${n.id}/fixtures.ts";
import { textSend } from "./text.ts";

export const ${n.object}Send = () => textSend(example${n.Type});
`;

const peopleFile = (n: Names) => `import { z } from "zod";
import type { Cast } from "./cast.ts";
import { hash, replyText } from "./personas.ts";

/** The people behind ${n.form.label}s: one in four answers the first message, the others stay silent; \`silent-…\` always does. */
const answers = (address: string) => !address.includes("/silent-") && hash(address) % 4 === 0;

export const ${n.object}People: Cast = {
  address: z.url(),
  characterOf: (address) => ({ persona: answers(address) ? "reply" : "silent", tone: "positive" }),
  planOf: (address, first) => [
    { act: "deliver", after: 1 },
    ...(first && answers(address) ? [{ act: "reply" as const, after: 10 }] : []),
  ],
  answer: (message, to) => ({
    id: crypto.randomUUID(),
    from: { address: to, name: "" },
    to: [message.from.address],
    text: replyText(to),
    subject: "",
    html: null,
    headers: [],
    rfc_message_id: "",
  }),
};
`;

if (isMain(import.meta.filename)) await scaffold("new:channel", "<id>", newChannel);
