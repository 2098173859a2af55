import {
  capital,
  camel,
  checkFree,
  checkName,
  isMain,
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
    // Longer than any, or on more than one line.
    refuse: "text.length > 320",
    given: [" Ada@Example.com ", "ada@example.com"],
    junk: ["ada", "@example.com"],
    silent: "`silent+${id}@example.com`",
    people: "mailboxes",
  },
  phone: {
    label: "phone number",
    example: "+4915112345678",
    reader: "normalisePhone",
    refuse: "text.length > 40 || /[^+\\d\\s().\\-/]/.test(text)",
    given: ["+49 151 1234-5678", "+4915112345678"],
    junk: ["call me at +49 151 12345678", "+49", "ada@example.com"],
    silent: '`+44770090000${id.replace(/\\D/g, "").at(-1) ?? "0"}`',
    people: "phones",
  },
  linkedin_url: {
    label: "LinkedIn profile",
    example: "https://www.linkedin.com/in/ada",
    reader: "normaliseLinkedinUrl",
    refuse: "text.length > 500 || /\\s/.test(text)",
    given: ["linkedin.com/in/Ada/?trk=x", "https://www.linkedin.com/in/ada"],
    junk: ["ada", "https://example.com/in/ada"],
    silent: "`https://www.linkedin.com/in/silent-${id}`",
    people: null,
  },
} as const;

type Field = "email" | "phone" | "whatsapp_number" | "linkedin_url";
const ADDRESS_SQL = "modules/contacts/sql/addresses.sql";

/** The contact's field that addresses.sql takes a channel's addresses from; null for a channel it does not know. */
export function contactFieldOf(id: string, root: string): Field | null {
  const found = new RegExp(`\\('${id}',\\s*c\\.(\\w+)\\)`).exec(textOf(root, ADDRESS_SQL) ?? "")?.[1];
  return (found as Field | undefined) ?? null;
}

/** Makes the files of a channel such as `whatsapp`. Throws with what to type instead. */
export function newChannel(id: string, root: string): Scaffold {
  const taken = ["channels", "channel", "conformance", "fixtures", "test", "expect", "person"];
  checkName(id, { what: "channel", max: 31, example: "whatsapp or linkedin", taken });
  checkFree(root, `modules/channels/${id}`, `modules/campaigns/steps/${id}.ts`, `modules/providers/${id}`);
  const known = contactFieldOf(id, root);
  const field = known ?? "phone";
  const names: Names = { id, object: camel(id), Type: pascal(id), title: capital(words(id)), field };
  const at = (file: string) => `modules/channels/${id}/${file}`;
  const { people } = addressOf(field);
  const files = new Map([
    [at("content.ts"), contentFile(names)],
    [at("address.ts"), addressFile(names)],
    [at("template.ts"), templateFile(names)],
    [at("inbound.ts"), inboundFile(names)],
    [at("channel.ts"), channelFile(names)],
    [at(`${id}.test.ts`), testFile(names)],
    [`modules/providers/${id}/fixtures.ts`, fixturesFile(names)],
    [`modules/providers/conformance/${id}.ts`, conformanceFile(names)],
    ...(people ? [] : ([[`modules/sandbox/${id}.ts`, peopleFile(names)]] as const)),
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
            `contacts keep no address for ${id}: name it in ${ADDRESS_SQL} with the field it is taken from (and the same field as contact_field in ${at("channel.ts")}); until then its last test is red.`,
          ]),
      `${at("channel.ts")} has careful values: check label, limits and requires_consent; ${at("template.ts")}: the longest text.`,
      `npm run gen, then npm test -- modules/channels/${id}`,
      `npm run new:provider -- ${id}/<provider>: it has no provider yet.`,
    ],
  };
}

type Names = { id: string; object: string; Type: string; title: string; field: Field };
const addressOf = (field: Field) => ADDRESSES[field === "whatsapp_number" ? "phone" : field];
const json = (value: unknown) => JSON.stringify(value);

const contentFile = ({
  id,
  Type,
}: Names) => `/** What providers of the channel ${id} send. The parties stand in OutboundMessage. */
export type ${Type}Content = {
  text: string;
};
`;

const addressFile = ({ field }: Names) => {
  const { label, reader, refuse } = addressOf(field);
  return `import { ${reader} } from "../../contacts/normalize.ts";

/** The normal form of a ${label}, the same as the contact's field has; null for anything else. */
export function normaliseAddress(input: string): string | null {
  const text = input.trim();
  if (${refuse}) return null;
  const read = ${reader}(text);
  return "value" in read ? read.value : null;
}
`;
};

const templateFile = ({ id, Type }: Names) => `import { z } from "zod";
import type {
  CompiledTemplate,
  CompileInput,
  Fault,
  RenderedTemplate,
  RenderInput,
  VariableUse,
} from "../../kernel/channel.ts";
import { fillPieces, fixedText, markVariables, type Piece, toPieces } from "../placeholders.ts";

/** Plain text with variables. */

/** Characters (code points) in one message; providers refuse longer ones. */
export const MAX_CHARACTERS = 1000;

export const ${camel(id)}Template = z.object({
  body: z.string().min(1, "must not be empty").max(4000).meta({
    title: "Message",
    description: "Plain text with variables such as {{firstName|there}}. Say who writes, and how to opt out.",
    widget: "text",
  }),
});
type ${Type}Template = z.output<typeof ${camel(id)}Template>;
type Parts = { text: Piece[] };

export function compile(template: ${Type}Template, input: CompileInput): CompiledTemplate<Parts> {
  const uses: VariableUse[] = [];
  const faults: Fault[] = [];
  const text = toPieces(markVariables("body", tidy(template.body), input.customKeys, uses, faults), uses);
  if (template.body.trim() === "") faults.push(EMPTY);
  faults.push(...lengthFaults(fixedText(text), "Without any value the message"));
  return { uses, faults, parts: { text } };
}

export function render(
  { parts }: CompiledTemplate<Parts>,
  { valueOf, showMissing = false }: RenderInput,
): RenderedTemplate<null> {
  const missing = new Set<string>();
  const text = tidy(fillPieces(parts.text, { valueOf, showMissing, missing })).trim();
  const faults = lengthFaults(text, "With this person's values the message");
  if (text === "" && missing.size === 0) faults.push(EMPTY);
  return { missing: [...missing], faults, subject: "", text, draft: null };
}

const EMPTY: Fault = { field: "body", level: "error", id: "body_empty", detail: "The message is empty." };

/** One kind of line break, no other control characters, letters in one piece. */
const tidy = (text: string): string =>
  text
    .replace(/\\r\\n?|[\\u2028\\u2029\\u0085]/g, "\\n")
    .replace(/[\\u0000-\\u0009\\u000b-\\u001f\\u007f-\\u009f]+/g, " ")
    .toWellFormed()
    .normalize("NFC");

function lengthFaults(text: string, what: string): Fault[] {
  const { length } = [...text];
  if (length <= MAX_CHARACTERS) return [];
  const detail = \`\${what} has \${length} characters; at most \${MAX_CHARACTERS} can be sent. Shorten it.\`;
  return [{ field: "body", level: "error", id: "too_long", detail }];
}
`;

const inboundFile = () => `import type { ReadMessage } from "../../kernel/channel.ts";
import type { InboundMessage } from "../../kernel/provider.ts";
import { oneLine, plain } from "../../kernel/text.ts";
import { keyword } from "../sms/opt-out.ts";
import { normaliseAddress } from "./address.ts";

/** Reads a received message: who wrote it, and whether it is an answer or an opt-out. Pure. */

const MAX_TEXT = 10_000;

export function readInbound(message: InboundMessage): ReadMessage {
  const text = plain(message.text.slice(0, MAX_TEXT + 1).replace(/\\r\\n?/g, "\\n"), MAX_TEXT).trim();
  return {
    // A message that is nothing but an opt-out word, as in text messages.
    kind: keyword(text) ?? "reply",
    provider_inbound_id: plain(message.provider_inbound_id, 300),
    from_address: addressOf(message.from.address),
    from_name: oneLine(message.from.name ?? "", 120),
    to_address: addressOf(message.to[0] ?? ""),
    subject: "",
    text,
    full_text: null,
    references: [],
    content: {},
    email: null,
  };
}

/** The normal form, or what came, on one line. */
const addressOf = (given: string): string => {
  const bare = oneLine(given, 320);
  return normaliseAddress(bare) ?? bare;
};
`;

const channelFile = ({ id, object, Type, title, field }: Names) => {
  const { label, example } = addressOf(field);
  return `import { z } from "zod";
import { defineChannel, type StoredMessage } from "../../kernel/channel.ts";
import { normaliseAddress } from "./address.ts";
import type { ${Type}Content } from "./content.ts";
import { readInbound } from "./inbound.ts";
import { compile, render, ${object}Template } from "./template.ts";

/** ${title}: say here in one line what is sent and how people opt out. */
export const ${object} = defineChannel({
  id: "${id}",
  label: "${title}",
  contact_field: "${field}",
  address: { label: "${label}", example: "${example}", normalise: normaliseAddress },
  sender: { label: "${label}", example: "${example}", normalise: normaliseAddress, profile: z.object({}) },
  actions: {
    "${id}.send": { label: "Send a message", limits: [{ per: "day", cap: 20 }] },
  },
  // Careful: most countries want consent for messages to phones and profiles.
  requires_consent: true,
  options: z.object({}),
  template: ${object}Template,
  compile,
  render,
  prepare: ({ rendered }) => Promise.resolve({ subject: "", text: rendered.text, content: {}, email: null, links: [] }),
  content: ({ text }: StoredMessage): ${Type}Content => ({ text }),
  measure: ({ text }) => ({ characters: [...text].length }),
  readInbound,
});
`;
};

const testFile = ({ id, object, field }: Names) => {
  const { example, given, junk } = addressOf(field);
  return `import { expect, test } from "vitest";
import { testKernel } from "../../../tests/support/kernel.ts";
import { conformance } from "../conformance.ts";
import { ${object} } from "./channel.ts";
import { MAX_CHARACTERS } from "./template.ts";

conformance(${object}, {
  addresses: [${json(given)}],
  senders: [${json(given)}],
  junk: ${json(junk)},
  template: (body) => ({ body }),
  long: (body) => ({ body }),
  fields: ["body"],
  refused: [
    { template: { body: "{{firstName}}" }, row: { first_name: "x".repeat(MAX_CHARACTERS + 1) }, fault: "too_long" },
    { template: { body: "{{title|}}" }, row: {}, fault: "body_empty" },
  ],
  outgoing: () => ({ lines: [], markup: [] }),
  from: { address: ${json(example)}, name: "Sam", profile: {} },
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
  const { contact_field, address } = ${object};
  const made = await tenant.api("POST", "/contacts", { email: "ada@acme.test", [contact_field]: address.example });
  expect(made.status, JSON.stringify(made.body)).toBe(201);
  const rows = await t.sql<{ address: string }[]>\`
    select address from public.contact_addresses where tenant_id = \${tenant.id} and channel = '${id}'\`;
  expect(
    rows.map((r) => r.address),
    "fill in: ${ADDRESS_SQL} takes no address for ${id} from the contact's field " + contact_field,
  ).toEqual([address.example]);
});
`;
};

const fixturesFile = ({ id, Type, field }: Names) => {
  const { example, silent } = addressOf(field);
  return `import type { ${Type}Content } from "../../channels/${id}/content.ts";
import type { OutboundMessage, Party } from "../../kernel/provider.ts";

export type Example${Type} = { id?: string; from?: Party; to?: Party } & Partial<${Type}Content>;

/** A complete message as the messaging module hands it over, to somebody who stays silent; any part of it may be replaced. */
export const example${Type} = ({
  id = crypto.randomUUID(),
  from,
  to,
  ...content
}: Example${Type} = {}): OutboundMessage<${Type}Content> => ({
  id,
  action: "${id}.send",
  from: from ?? { address: "${example}", name: "Ada Sender" },
  to: to ?? { address: ${silent}, name: "Zoë" },
  content: { text: "Grüße & a question: https://example.com/a?b=1&c=+ «now»\\n– Ada 😀", ...content },
});
`;
};

const conformanceFile = ({ id, object, Type }: Names) => `import { expect } from "vitest";
import type { ${Type}Content } from "../../channels/${id}/content.ts";
import { example${Type} } from "../${id}/fixtures.ts";
import type { SendSpec } from "./send.ts";

/** What arrives at the emulation of every provider of the channel: text and sender as they are. */
export const ${object}Send = (): Pick<SendSpec<${Type}Content>, "example" | "arrived" | "injections"> => ({
  example: () => example${Type}(),
  arrived({ from, content }, accepted) {
    expect(accepted.text).toBe(content.text);
    expect(accepted.from.address).toBe(from.address);
  },
  injections: [
    {
      name: "a text that looks like JSON or fields of a form stays text",
      message: example${Type}({ text: 'Hi","to":"evil&To=evil\\r\\nBody=other' }),
      harmless: (accepted) => expect(accepted.text).toBe('Hi","to":"evil&To=evil\\r\\nBody=other'),
    },
  ],
});
`;

const peopleFile = ({ id, object, field }: Names) => `import { z } from "zod";
import type { Cast } from "./cast.ts";
import { hash, replyText } from "./personas.ts";

/** The people behind ${addressOf(field).label}s: one in four answers the first message, the others stay silent; \`silent-…\` always does. */
const answers = (address: string) => !address.includes("/silent-") && hash(address) % 4 === 0;

export const ${object}People: Cast = {
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
