import { of, type Mutation } from "./mutation.ts";

const POSTMARK = "modules/providers/email/postmark/adapter.ts";
const SMTP = "modules/providers/email/smtp/adapter.ts";
const SMTP_TEST = "modules/providers/email/smtp/smtp.test.ts";
const DIALOGUE = "modules/providers/email/smtp/dialogue.ts";
const DIALOGUE_TEST = "modules/providers/email/smtp/dialogue.test.ts";
const POOL = "modules/providers/email/smtp/pool.ts";
const MIME = "modules/providers/email/mime.ts";
const MIME_TEST = "modules/providers/email/mime.test.ts";
const RECONCILE = "modules/messaging/reconcile.ts";
const LOSS = "tests/faults/connection-loss.test.ts";
const ASKED_AGAIN = "in the settlement of a search's answer: it is asked again";
const CONNECTIONS = "modules/providers/connections.test.ts";
const QUOTES = "modules/messaging/secrets.test.ts";

export const providers: readonly Mutation[] = of("sending", [
  {
    promise: "… nor one whose 503 may be a proxy's",
    file: POSTMARK,
    find: "response.status === 503 && code !== 0",
    replace: "response.status === 503",
    test: "modules/providers/email/postmark/postmark.test.ts",
    name: "what each answer means for exactly-once",
  },
  {
    promise: "An address is gone only by a reply that says so",
    file: SMTP,
    find: `error.command === "RCPT TO" && isDead`,
    replace: "isDead",
    test: SMTP_TEST,
    name: "a refused recipient is gone only by a reply that says so",
  },
  {
    promise: "A search is not asked before it can know",
    file: RECONCILE,
    find: "if (age_seconds < after)",
    replace: "if (false)",
    test: LOSS,
    name: ASKED_AGAIN,
  },
  {
    promise: "… which each provider says for itself",
    file: RECONCILE,
    find: "rule.after_seconds + CLOCK_MARGIN_SECONDS",
    replace: "60 + CLOCK_MARGIN_SECONDS",
    test: LOSS,
    name: ASKED_AGAIN,
  },
  {
    promise: "A webhook counts as registered for the account and the secret it was registered with",
    file: "modules/providers/edit.ts",
    find: "webhook_registered = webhook_registered and ${registered},",
    replace: "",
    test: CONNECTIONS,
    name: "a webhook counts as registered for the account and the secret it was registered with",
  },
  {
    promise: "… also when they change while it is being registered",
    file: "modules/providers/check.ts",
    find: `        registration(stored, now.settings, now.base_url) !==
        registration(connection.credentials, row.settings, row.base_url)`,
    replace: "        now.base_url !== row.base_url",
    test: CONNECTIONS,
    name: "a registration that overtakes an edit says nothing about the new account",
  },
  {
    promise: "Without a stored password no callback of a provider that signs nothing is taken",
    file: "modules/kernel/secrets/signatures.ts",
    find: "  if (!expected.username || !expected.password) {",
    replace: "  if (false) {",
    test: CONNECTIONS,
    name: "a provider without signatures gets a webhook password nobody has to invent, when its webhook is registered",
  },
  {
    promise: "What a provider quotes of the credentials is stored nowhere",
    file: "modules/messaging/call.ts",
    find: "clean(outcomes[i]!, opened)",
    replace: "outcomes[i]!",
    test: QUOTES,
    name: "what a provider quotes of the credentials is stored nowhere when it refuses a message",
  },
  {
    promise: "… nor when it cannot say what became of a message",
    file: RECONCILE,
    find: "throw scrubError(error, provider, connection.credentials);",
    replace: "throw error;",
    test: QUOTES,
    name: "nor when it cannot say what became of one",
  },
  {
    promise: "… nor when it does not hand over a received one",
    file: "modules/messaging/inbound.ts",
    find: "throw scrubError(error, provider, connection.credentials);",
    replace: "throw error;",
    test: QUOTES,
    name: "nor when it does not hand over a received message",
  },
  {
    promise: "A slow batch is not cut off as idle",
    file: POOL,
    find: "      idleSince.delete(session);\n      carry(",
    replace: "      carry(",
    test: SMTP_TEST,
    name: "a pool is not idle while a batch runs, however long it takes; afterwards it is closed",
  },
  {
    promise: "A mail goes to an SMTP server only after it has asked for it",
    file: DIALOGUE,
    find: `        if (reply.code !== 354 || received !== "") return over(garbled(reply.text));\n`,
    replace: "",
    test: DIALOGUE_TEST,
    name: "an answer to DATA that is not 354 asks for no message",
  },
  {
    promise: "… and has accepted its recipient",
    file: DIALOGUE,
    find: "        if (exchange.refusal) return reply.code === 354 ? endEmpty() : finish(null);\n",
    replace: "",
    test: DIALOGUE_TEST,
    name: "nothing of a message goes to a refused recipient, and the next one takes the same connection",
  },
  {
    promise: "… and only a reply that came after it says that it was taken",
    file: DIALOGUE,
    find: ` || received !== "") return over(garbled(reply.text));`,
    replace: ") return over(garbled(reply.text));",
    test: DIALOGUE_TEST,
    name: "a reply that came before the message was written is no answer to it",
  },
  {
    promise: "A mail is not sent over a second connection once a byte of it was written",
    file: POOL,
    find: " && !error.begun",
    replace: "",
    test: DIALOGUE_TEST,
    name: "once the message was written leaves it unknown, and nobody sends it again",
  },
  {
    promise: "… and without a reply nobody knows what became of it",
    file: DIALOGUE,
    find: "outcome.begun = ended.begun;",
    replace: "outcome.begun = false;",
    test: DIALOGUE_TEST,
    name: "once the message was written leaves it unknown, and nobody sends it again",
  },
  {
    promise: "A line with a dot does not end a mail",
    file: DIALOGUE,
    find: "start = at + 2;",
    replace: "start = at + 3;",
    test: DIALOGUE_TEST,
    name: "a dot at the start of a line is doubled, and none of them ends the message",
  },
  {
    promise: "A connection to a mail server that ends between two messages costs none",
    file: POOL,
    find: "if (error && reused",
    replace: "if (false && error && reused",
    test: DIALOGUE_TEST,
    name: "between two messages costs none: the next goes over another, once",
  },
  {
    promise: "A mail server that refuses the password is asked once",
    file: POOL,
    find: "(opening === 0 || count > opening)",
    replace: "true",
    test: DIALOGUE_TEST,
    name: "a server that refuses the password is asked once, however many messages wait",
  },
  {
    promise: "No text ends its part of a mail",
    file: MIME,
    find: ` && !text.includes("=_")`,
    replace: "",
    test: MIME_TEST,
    name: "has no text that ends its part, however it is written",
  },
  {
    promise: "No header is smuggled in by the name of another",
    file: MIME,
    find: `given.replace(/[^!-9;-~]+/g, "")`,
    replace: "given",
    test: MIME_TEST,
    name: "has no header or recipient that a name, a subject or a header's name or value smuggled in",
  },
  {
    promise: "… nor by its value",
    file: MIME,
    find: "const PLAIN_TEXT = /^[ !#-~]*$/;",
    replace: "const PLAIN_TEXT = /^/;",
    test: MIME_TEST,
    name: "has no header or recipient that a name, a subject or a header's name or value smuggled in",
  },
]);
