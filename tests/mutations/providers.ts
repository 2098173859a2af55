import { of, type Mutation } from "./mutation.ts";

const POSTMARK = "modules/providers/email/postmark/adapter.ts";
const SMTP = "modules/providers/email/smtp/adapter.ts";
const SMTP_TEST = "modules/providers/email/smtp/smtp.test.ts";
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
    file: SMTP,
    find: "(pool.busy > 0 || now - pool.usedAt < IDLE_MS)",
    replace: "now - pool.usedAt < IDLE_MS",
    test: SMTP_TEST,
    name: "a pool is not idle while a batch runs, however long it takes; afterwards it is closed",
  },
]);
