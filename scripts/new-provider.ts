import { readdirSync } from "node:fs";
import { join } from "node:path";
import { peopleOfField } from "./new-channel.ts";
import { capital, camel, checkFree, checkName, isMain, type Scaffold, scaffold, textOf, words } from "./scaffold.ts";

/**
 * `npm run new:provider -- email/acme`: prints a provider's adapter, emulation and conformance test, and its line in
 * modules/providers/registry.ts. With --write it writes them. What only the provider's documentation can say is left open: the code
 * throws there, and the test lists all of it.
 */

/** Makes the files of a provider named `<channel>/<id>`. Throws with what to type instead. */
export function newProvider(name: string, root: string): Scaffold {
  const [channel = "", id = "", ...rest] = name.split("/");
  if (!id || rest.length > 0)
    throw new Error(
      `"${name}" is not the name of a provider: give the channel and the provider's id, such as email/acme.`,
    );
  const channels = below(root, "modules/channels").filter((c) => textOf(root, `modules/channels/${c}/channel.ts`));
  if (!channels.includes(channel))
    throw new Error(
      `There is no channel «${channel}»; there are ${channels.join(", ")}. A new one: npm run new:channel -- ${channel || "<id>"}`,
    );
  const taken = ["answers", "api", "emulation", "conformance", "expect", "test", "provider", "providers", "fixtures"];
  checkName(id, { what: "provider", max: 40, example: "acme", taken: [...taken, ...channels] });
  for (const other of channels) checkFree(root, `modules/providers/${other}/${id}`);

  const names: Names = {
    channel,
    id,
    object: camel(id),
    title: capital(words(id)),
    content: exported(
      root,
      `modules/channels/${channel}/content.ts`,
      /^export type (\w+Content)\b/m,
      "the content's type",
    ),
    send: exported(root, `modules/providers/conformance/${channel}.ts`, /^export const (\w+Send)\b/m, "the send spec"),
    people: peopleOf(root, channel),
  };
  const at = (file: string) => `modules/providers/${channel}/${id}/${file}`;
  const files = new Map([
    [at("adapter.ts"), adapterFile(names)],
    [at("emulation.ts"), emulationFile(names)],
    [at(`${id}.test.ts`), testFile(names)],
  ]);
  const open = [...files].flatMap(([path, text]) => openIn(text).map((what) => `fill in ${path}: ${what}.`));
  return {
    files,
    registrations: [
      {
        path: "modules/providers/registry.ts",
        import: `import { ${names.object} } from "./${channel}/${id}/adapter.ts";`,
        name: names.object,
        list: "export const providers: readonly AnyProvider[] = [",
      },
    ],
    next: [
      ...open,
      `${at("adapter.ts")} also wants BASE, docs_url, setup, its real limits and the error codes of BROKEN; its test says what is missing.`,
      "webhook, inbound and a reconcile rule, where the provider has them: modules/kernel/provider.ts, docs/concepts/providers.md.",
      `npm test -- modules/providers/${channel}/${id}, npm run -s provider:record -- ${id}, npm run gen (the emulation is found by its name).`,
    ],
  };
}

/** What the code still asks for. */
export const openIn = (text: string): string[] => [...text.matchAll(/fillIn\(\s*"([^"]+)"/g)].map((m) => m[1]!);

type Names = Record<"channel" | "id" | "object" | "title" | "content" | "send", string> & { people: People };
type People = { name: string; from: string };

const below = (root: string, folder: string): string[] => readdirSync(join(root, folder)).sort();

function exported(root: string, path: string, pattern: RegExp, what: string): string {
  const found = pattern.exec(textOf(root, path) ?? "")?.[1];
  if (found) return found;
  throw new Error(`${path} exports no ${what} (${pattern.source}): see docs/concepts/channels.md, «A new channel».`);
}

/** Who plays the recipients: a cast of the channel's own, else the one that has such addresses. */
function peopleOf(root: string, channel: string): People {
  const own = /^export const (\w+): Cast\b/m.exec(textOf(root, `modules/sandbox/${channel}.ts`) ?? "")?.[1];
  if (own) return { name: own, from: channel };
  const file = `modules/channels/${channel}/channel.ts`;
  const people = peopleOfField(exported(root, file, /contact_field: "(\w+)"/, "contact_field"));
  if (people) return { name: people, from: people };
  throw new Error(
    `The sandbox has no recipients for ${channel}: write modules/sandbox/${channel}.ts first, which exports a Cast.`,
  );
}

/** The same in both files, so that neither of them needs the other. */
const fillIn = (
  { channel, id }: Names,
  file: string,
) => `/** What only the provider's documentation can say. Goes with the last call of it. */
function fillIn(what: string, ..._madeOf: unknown[]): never {
  throw new Error(\`Fill in modules/providers/${channel}/${id}/${file} from the API's documentation: \${what}.\`);
}
`;

const adapterFile = (n: Names) => `import { z } from "zod";
import type { ${n.content} } from "../../../channels/${n.channel}/content.ts";
import type { HttpClient, HttpResponse } from "../../../kernel/http/client.ts";
import { type Connection, defineProvider, type OutboundMessage, type SendOutcome } from "../../../kernel/provider.ts";
import * as answers from "../../answers.ts";

/** The API's own address, https://… */
const BASE: string | null = null;

const Credentials = z.object({
  api_key: z.string().min(1).meta({ title: "API key", secret: true }),
});
type Credentials = z.infer<typeof Credentials>;

${fillIn(n, "adapter.ts")}
const api = (connection: Connection<Credentials>, http: HttpClient) =>
  answers.caller(
    http,
    connection.base_url ?? BASE ?? fillIn("BASE, the address of the API"),
    authOf(connection.credentials),
  );

const authOf = (credentials: Credentials): Record<string, string> =>
  fillIn("the header that carries the API key", credentials);

/** An error's code and message. The answer may also be a proxy's page: then the status is the code. */
const errorOf = (response: HttpResponse): { code: string; message: string } =>
  fillIn("the fields of an error's body that hold its code and its message", response);

/** The provider's id of an accepted message, or null where the answer holds none. */
const idOf = (answer: unknown): string | null =>
  fillIn("the field of a send's answer that holds the message's id", answer);

const callOf = (message: OutboundMessage<${n.content}>): { path: string; body: unknown } =>
  fillIn("path and body of a send, with the message's own id where the API keeps one (tag, metadata)", message);

/** Codes that concern the account or the sender, not this message: going on would burn the whole audience. */
const BROKEN = new Set<string>([]);

function outcomeOf(response: HttpResponse): SendOutcome {
  if (response.status >= 200 && response.status < 300) {
    const id = idOf(answers.jsonOrNull(response));
    if (id) return { outcome: "sent", provider_message_id: id };
    return { outcome: "unknown", code: "bad_answer", detail: "${n.title} accepted the call but gave no id." };
  }
  const { code, message } = errorOf(response);
  if (response.status === 429) return answers.retry(code, message, answers.retryAfterSeconds(response.headers));
  // It may have been taken.
  if (response.status >= 500 || response.status === 408) return { outcome: "unknown", code, detail: message };
  if (response.status === 401 || response.status === 403 || BROKEN.has(code))
    return { outcome: "broken", code, detail: message };
  return { outcome: "rejected", code, detail: message };
}

async function sendOne(
  message: OutboundMessage<${n.content}>,
  connection: Connection<Credentials>,
  http: HttpClient,
): Promise<SendOutcome> {
  const { path, body } = callOf(message);
  try {
    return outcomeOf(await api(connection, http)("POST", path, body));
  } catch (error) {
    return answers.outcomeOfError(error);
  }
}

/** ${n.title}: say here where its documentation is, and what makes sending once certain. */
export const ${n.object} = defineProvider<${n.content}>()({
  id: "${n.id}",
  label: "${n.title}",
  category: "${n.channel}",
  docs_url: "",
  setup: "",
  credentials: Credentials,
  settings: z.object({}),
  default_base_url: BASE,
  runs_in: "anywhere",

  async check(connection, http) {
    const path = fillIn("the path of a cheap call that needs the key", connection);
    const response = await api(connection, http)("GET", path);
    if (response.status === 200) return { ok: true, detail: "Connected." };
    const { code, message } = errorOf(response);
    return { ok: false, code, detail: message, suggestion: "Check the API key." };
  },

  send: {
    // Below any provider's limit.
    per_second: 1,
    batch: 1,
    // The outbound client's own deadline; every message is one call.
    call_seconds: 15,
    // By key where the API has idempotency keys, by search where it finds our id: then an unknown outcome settles itself.
    reconcile: { by: "none" },
    send: ([message], connection, http) => sendOne(message!, connection, http).then((outcome) => [outcome]),
  },
});
`;

const emulationFile = (n: Names) => `import { z } from "zod";
import { type BodyFault, defineEmulation, route, sends } from "../../../sandbox/emulation.ts";
import { ${n.people.name} } from "../../../sandbox/${n.people.from}.ts";
import type { Account, Message } from "../../../sandbox/store.ts";

/** ${n.title}'s API as its documentation describes it. Fields that the documentation does not name are refused. */

${fillIn(n, "emulation.ts")}
const fail = (status: number, code: string, message: string, headers: Record<string, string> = {}): Response =>
  fillIn("an error's answer", status, code, message, headers);

const whose = (request: Request): { key: string } | Response =>
  fillIn("the header that carries the key, and the refusal of a missing one and of one that begins with invalid", request);

const SEND = "POST /fill-in/send";
const NewMessage = z.strictObject({});
const toMessage = (account: Account, body: z.output<typeof NewMessage>): Message =>
  fillIn("SEND and NewMessage, path and fields of a send, and the message they are (newMessage of store.ts, with our_id)", account, body);
const accepted = (message: Message): unknown => fillIn("the answer to a send that was accepted", message);

const CHECK = "GET /fill-in/check";
const checked = (account: Account): unknown => fillIn("CHECK, path and answer of the call that check makes", account);

export const emulation = defineEmulation({
  id: "${n.id}",
  people: ${n.people.name},
  example() {
    const key = \`key_\${crypto.randomUUID().replaceAll("-", "")}\`;
    return { credentials: { api_key: key }, key };
  },
  http: {
    content: "json",
    auth: (request) => whose(request),
    refuse: {
      body: ({ detail }: BodyFault) => fail(422, "invalid", detail),
      unknownPath: () => fail(404, "not_found", "There is nothing at this path."),
      rateLimit: (after) => fail(429, "rate_limited", "Too many requests.", { "retry-after": String(after) }),
      serverError: () => fail(500, "internal_error", "An unexpected error occurred."),
    },
    routes: [
      sends(route(SEND, NewMessage, ({ account, body, accept }) => accepted(accept(toMessage(account, body))))),
      route(CHECK, ({ account }) => checked(account)),
    ],
  },
});
`;

const testFile = (n: Names) => `import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { ${n.send} } from "../../conformance/${n.channel}.ts";
import { conformance } from "../../conformance/suite.ts";
import { ${n.object} } from "./adapter.ts";
import { emulation } from "./emulation.ts";

// Red until nothing is left. Delete it then, together with the two functions fillIn.
test.each(["adapter.ts", "emulation.ts"])("nothing is left to fill in in %s", (file) => {
  const text = readFileSync(new URL(file, import.meta.url), "utf8");
  const open = [...text.matchAll(/fillIn\\(\\s*"([^"]+)"/g)].map((m) => m[1]);
  expect(open.length, \`fill in \${file} from the API's documentation: \${open.join("; ")}\`).toBe(0);
});

test("what the settings page shows is there", () => {
  expect(String(${n.object}.default_base_url), "fill in BASE: the address of the API").toMatch(/^https:\\/\\/\\S+$/);
  expect(${n.object}.docs_url, "fill in docs_url: where the API is documented").toMatch(/^https:\\/\\/\\S+$/);
  expect(${n.object}.setup.length, "fill in setup: where the tenant finds the credentials").toBeGreaterThan(40);
});

conformance(${n.object}, emulation, {
  check: { bad: [{ api_key: "invalid_1" }] },
  send: {
    ...${n.send}(),
    givesItsId: true,
    saysHowLong: true,
    serverError: { outcome: "unknown", accepted: true },
  },
});
`;

if (isMain(import.meta.filename)) await scaffold("new:provider", "<channel>/<id>", newProvider);
