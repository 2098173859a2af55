import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** What the sandbox remembers: accounts, accepted messages, received ones. With a file, a restart forgets nothing. */

export type Address = { address: string; name: string };

/** A message a provider accepted. Parts that only e-mail has are empty on other channels. */
export type Message = {
  id: string;
  /** `provider:key`; any key that looks right is an account of its own. */
  account: string;
  provider: string;
  channel: string;
  accepted_at: string;
  /** The sender's own message id as this provider carries it: tag, metadata, callback URL, RFC Message-ID. */
  our_id: string | null;
  from: Address;
  to: Address[];
  text: string;
  subject: string;
  html: string;
  headers: [string, string][];
  reply_to: string | null;
  /** Message-ID as the recipient sees it. */
  rfc_message_id: string;
  /** Whether the provider itself reports opens. */
  track_opens: boolean;
  tags: Record<string, string>;
  /** What only this provider knows of a message, such as its stream. */
  extra: Record<string, unknown>;
  /** What happened to it since, newest last. */
  log: { at: string; what: string; detail: string }[];
};

/** What a recipient sent. */
export type Inbound = {
  id: string;
  account: string;
  received_at: string;
  from: Address;
  to: string[];
  text: string;
  subject: string;
  html: string | null;
  headers: [string, string][];
  rfc_message_id: string;
};

/** A webhook the account registered. */
export type Hook = {
  id: string;
  url: string;
  events: string[];
  enabled: boolean;
  created_at: string;
  /** What only this provider keeps of it: secret, stream, authentication. */
  extra: Record<string, unknown>;
};

export type Account = {
  id: string;
  provider: string;
  hooks: Hook[];
  /** What only this provider keeps: the options of its server, its messaging services. */
  state: Record<string, unknown>;
  /** Addresses the provider will not send to any more. */
  suppressed: string[];
  created_at: string;
};

/** An answer kept for an idempotency key, with the digest of the request it belongs to. */
export type Remembered = { digest: string; at: string; status: number; body: string };

/** What an account was charged for one question. */
export type Charge = { account: string; at: string; units: number; question: string };

type Line =
  | { k: "charge"; v: Charge }
  | { k: "message"; v: Message }
  | { k: "account"; v: Account }
  | { k: "inbound"; v: Inbound }
  | { k: "key"; key: string; v: Remembered }
  | { k: "step"; key: string };

export type Stats = {
  accepted: number;
  /** Messages beyond the first with the same own message id. */
  duplicates: number;
  without_own_id: number;
  recipients: number;
  inbound: number;
  by_recipient?: Record<string, number>;
};

/** Bodies kept in memory; older ones whose story is over are dropped, so that a long run stays small. */
const BODIES = 5000;

export type Store = ReturnType<typeof createStore>;

export function createStore(path: string | null) {
  const messages = new Map<string, Message>();
  const accounts = new Map<string, Account>();
  const inbound = new Map<string, Inbound>();
  const keys = new Map<string, Remembered>();
  const steps = new Set<string>();
  const withBody: Message[] = [];
  let charges: Charge[] = [];

  const write = (line: Line) => {
    if (path) appendFileSync(path, `${JSON.stringify(line)}\n`, { mode: 0o600 });
  };

  function apply(line: Line) {
    if (line.k === "message") {
      messages.set(line.v.id, line.v);
      withBody.push(line.v);
      if (withBody.length > BODIES) {
        const old = withBody.shift()!;
        old.html = "";
        old.text = "";
      }
    } else if (line.k === "account") accounts.set(line.v.id, line.v);
    else if (line.k === "inbound") inbound.set(line.v.id, line.v);
    else if (line.k === "charge") charges.push(line.v);
    else if (line.k === "key") keys.set(line.key, line.v);
    else steps.add(line.key);
  }

  if (path) {
    mkdirSync(dirname(path), { recursive: true });
    if (existsSync(path)) {
      for (const line of readFileSync(path, "utf8").split("\n")) {
        // A crash can cut the last line; what it held was never answered.
        try {
          if (line) apply(JSON.parse(line) as Line);
        } catch {
          continue;
        }
      }
    }
  }

  const put = (line: Line) => {
    write(line);
    apply(line);
  };

  return {
    messages,
    accounts,
    inbound,
    keys,
    addMessage: (v: Message) => put({ k: "message", v }),
    addInbound: (v: Inbound) => put({ k: "inbound", v }),
    charge: (v: Charge) => put({ k: "charge", v }),
    /** What an account (none: any) was charged, oldest first. */
    charged: (account?: string): Charge[] => charges.filter((c) => !account || matches(c.account, account)),
    remember: (key: string, v: Remembered) => put({ k: "key", key, v }),
    /** The account of this key, made on first sight. */
    account(provider: string, key: string): Account {
      const id = `${provider}:${key}`;
      const known = accounts.get(id);
      if (known) return known;
      const v: Account = { id, provider, hooks: [], state: {}, suppressed: [], created_at: new Date().toISOString() };
      put({ k: "account", v });
      return v;
    },
    saveAccount: (v: Account) => put({ k: "account", v }),
    suppress(account: Account, address: string) {
      if (account.suppressed.includes(address.toLowerCase())) return;
      account.suppressed.push(address.toLowerCase());
      put({ k: "account", v: account });
    },
    isDone: (key: string) => steps.has(key),
    done: (key: string) => put({ k: "step", key }),
    log(message: Message, what: string, detail = "") {
      message.log.push({ at: new Date().toISOString(), what, detail });
    },
    stats(account?: string, detail = false): Stats {
      const seen = new Set<string>();
      const by: Record<string, number> = {};
      const out: Stats = { accepted: 0, duplicates: 0, without_own_id: 0, recipients: 0, inbound: 0 };
      for (const m of messages.values()) {
        if (account && !matches(m.account, account)) continue;
        out.accepted++;
        if (m.our_id === null) out.without_own_id++;
        else if (seen.has(m.our_id)) out.duplicates++;
        else seen.add(m.our_id);
        for (const to of m.to) by[to.address] = (by[to.address] ?? 0) + 1;
      }
      out.recipients = Object.keys(by).length;
      for (const i of inbound.values()) if (!account || matches(i.account, account)) out.inbound++;
      return detail ? { ...out, by_recipient: by } : out;
    },
    /** Forgets everything, or one account. */
    reset(account?: string) {
      const gone = (id: string) => !account || matches(id, account);
      for (const [id, m] of messages) if (gone(m.account)) messages.delete(id);
      for (const [id, i] of inbound) if (gone(i.account)) inbound.delete(id);
      for (const id of accounts.keys()) if (gone(id)) accounts.delete(id);
      charges = charges.filter((c) => !gone(c.account));
      for (const key of keys.keys()) if (gone(key.slice(0, key.lastIndexOf("|")))) keys.delete(key);
      if (!account) steps.clear();
      if (!path) return;
      const lines: Line[] = [
        ...[...accounts.values()].map((v) => ({ k: "account" as const, v })),
        ...[...messages.values()].map((v) => ({ k: "message" as const, v })),
        ...[...inbound.values()].map((v) => ({ k: "inbound" as const, v })),
        ...charges.map((v) => ({ k: "charge" as const, v })),
        ...[...keys].map(([key, v]) => ({ k: "key" as const, key, v })),
        ...[...steps].map((key) => ({ k: "step" as const, key })),
      ];
      writeFileSync(path, lines.map((l) => `${JSON.stringify(l)}\n`).join(""), { mode: 0o600 });
    },
  };
}

/** Accounts are named `provider:key`; the bare key is enough. */
export const matches = (id: string, wanted: string) => id === wanted || id.slice(id.indexOf(":") + 1) === wanted;

/** A message with everything this provider did not say left empty. */
export function newMessage(
  account: Account,
  channel: string,
  fields: Pick<Message, "from" | "to" | "text"> & Partial<Message>,
): Message {
  return {
    id: crypto.randomUUID(),
    account: account.id,
    provider: account.provider,
    channel,
    accepted_at: new Date().toISOString(),
    our_id: null,
    subject: "",
    html: "",
    headers: [],
    reply_to: null,
    rfc_message_id: "",
    track_opens: false,
    tags: {},
    extra: {},
    log: [],
    ...fields,
  };
}

export const newHook = (url: string, events: string[], extra: Record<string, unknown>): Hook => ({
  id: crypto.randomUUID(),
  url,
  events,
  enabled: true,
  created_at: new Date().toISOString(),
  extra,
});
