import type { AddressInfo } from "node:net";
import PostalMime from "postal-mime";
import { SMTPServer } from "smtp-server";
import { type Sandbox, sleep } from "../../../sandbox/context.ts";
import { mailboxes } from "../../../sandbox/mailboxes.ts";
import { defineEmulation } from "../../../sandbox/emulation.ts";
import { SEND_FAULTS } from "../../../sandbox/faults.ts";
import { characterOf } from "../../../sandbox/personas.ts";
import { type Account, newMessage } from "../../../sandbox/store.ts";

/**
 * A real SMTP server. The user name is the account; passwords that start with `invalid` are refused. Bounces happen
 * where SMTP has them: `bounce+…` is refused at RCPT with 550, `softbounce+…` with 450.
 */

const reply = (code: number, text: string) => Object.assign(new Error(text), { responseCode: code });

async function listen(sandbox: Sandbox, port: number): Promise<{ port: number; close(): Promise<void> }> {
  const { store, faults, world } = sandbox;
  const hanging = new Set<() => void>();

  const server = new SMTPServer({
    name: "sandbox",
    banner: "sandbox",
    // Clear text on this machine's loopback only.
    hideSTARTTLS: true,
    disabledCommands: ["STARTTLS"],
    allowInsecureAuth: true,
    disableReverseLookup: true,
    size: 25 * 1024 * 1024,
    logger: false,
    onAuth(auth, _session, done) {
      const user = auth.username ?? "";
      if (!user || !auth.password || auth.password.startsWith("invalid"))
        return done(reply(535, "5.7.8 Authentication credentials invalid"));
      store.account("smtp", user);
      done(null, { user });
    },
    onMailFrom(address, _session, done) {
      const domain = address.address.slice(address.address.lastIndexOf("@") + 1);
      done(domain.startsWith("unverified.") ? reply(553, "5.7.1 Sender address not allowed for this account") : null);
    },
    onRcptTo(address, _session, done) {
      const { persona } = characterOf(address.address);
      if (persona === "bounce") return done(reply(550, "5.1.1 No such user here"));
      if (persona === "softbounce") return done(reply(450, "4.2.1 Mailbox busy, try again later"));
      done();
    },
    onData(stream, session, done) {
      const chunks: Uint8Array[] = [];
      stream.on("data", (chunk: Uint8Array) => chunks.push(chunk));
      stream.on("end", () => void take(chunks, stream.sizeExceeded, session, done));
    },
  });

  type Session = { id: string; user?: unknown; envelope: { rcptTo: { address: string }[] } };

  async function take(
    chunks: Uint8Array[],
    tooLarge: boolean,
    session: Session,
    done: (error?: Error | null, message?: string) => void,
  ) {
    const account = store.account("smtp", String(session.user));
    const fault = faults.take(SEND_FAULTS, account.id);
    if (tooLarge) return done(reply(552, "5.3.4 Message too big"));
    if (fault?.kind === "rate_limit") return done(reply(451, "4.7.0 Too many messages, slow down"));
    if (fault?.kind === "server_error" && !fault.accepted) return done(reply(451, "4.3.0 Temporary server error"));
    if (fault?.kind === "reset" && !fault.accepted) return hangUp(session);
    let id: string;
    try {
      id = await accept(chunks, session, account);
    } catch {
      return done(reply(554, "5.6.0 The message cannot be read"));
    }
    if (fault?.kind === "timeout_after_accept") return void hanging.add(() => done());
    if (fault?.kind === "reset") return hangUp(session);
    if (fault?.kind === "server_error") return done(reply(451, "4.3.0 Temporary server error"));
    if (fault?.kind === "slow") await sleep(fault.delay_ms ?? 3000);
    done(null, `2.0.0 Ok: queued as ${id}`);
  }

  function hangUp(session: Session) {
    for (const connection of server.connections as Set<{ session?: { id: string }; _socket?: { destroy(): void } }>) {
      if (connection.session?.id === session.id) connection._socket?.destroy();
    }
  }

  async function accept(chunks: Uint8Array[], session: Session, account: Account): Promise<string> {
    const mail = await PostalMime.parse(Buffer.concat(chunks));
    const header = (name: string) => mail.headers.find((h) => h.key === name)?.value ?? null;
    const first = mail.from as { address?: string; name?: string } | undefined;
    const message = newMessage(account, "email", {
      our_id: header("message-id"),
      rfc_message_id: mail.messageId ?? `<${crypto.randomUUID()}@sandbox.test>`,
      from: { address: first?.address ?? "", name: first?.name ?? "" },
      to: session.envelope.rcptTo.map(({ address }) => ({ address, name: "" })),
      reply_to: mail.replyTo?.[0]?.address ?? null,
      subject: mail.subject ?? "",
      html: mail.html ?? "",
      text: mail.text ?? "",
      headers: mail.headers.map((h): [string, string] => [h.originalKey ?? h.key, h.value]),
    });
    store.addMessage(message);
    world.play(message);
    return message.id;
  }

  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      server.removeListener("error", reject);
      resolve();
    });
  });
  // A client that hangs up in mid-session is no fault of the server.
  server.on("error", () => {});

  return {
    port: (server.server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        for (const finish of hanging) finish();
        for (const connection of server.connections as Set<{ _socket?: { destroy(): void } }>)
          connection._socket?.destroy();
        server.close(() => resolve());
      }),
  };
}

export const emulation = defineEmulation({
  id: "smtp",
  people: mailboxes,
  example() {
    const username = `user-${crypto.randomUUID()}`;
    return { credentials: { username, password: "an app password" }, key: username };
  },
  listen,
});
