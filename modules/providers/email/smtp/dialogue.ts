import { Buffer } from "node:buffer"; // Deno has no global one
import type net from "node:net";
import type SMTPConnection from "nodemailer/lib/smtp-connection";

/**
 * The dialogue of messages over one signed-in connection (RFC 5321), pipelined where the server offers it (RFC 2920). nodemailer's own
 * costs four times as much, and does not say when the first byte of a message was written.
 */

/** `utf8`: the addresses or the headers are not ASCII. */
export type Envelope = { from: string; to: string; utf8: boolean };

export type SmtpError = Error & {
  code?: string;
  originalCode?: string;
  responseCode?: number;
  command?: string;
  /** The server's last reply, as it came. */
  response?: string;
  /** The server had asked for the message and bytes of it were written: without a reply, nobody knows what became of it. */
  begun?: boolean;
};

export type Session = {
  /** Messages it has carried or tried to. */
  readonly messages: number;
  readonly alive: boolean;
  /** One message at a time; `bytes` have CRLF line ends and no final dot. Calls `done` once: without an error the server has taken it. */
  send(envelope: Envelope, bytes: Buffer, done: (error: SmtpError | null) => void): void;
  /** Says goodbye; only between messages. */
  close(): void;
  /** Drops the connection, whatever is under way; that fails with `error`. */
  destroy(error: SmtpError): void;
  /** Called once, when the connection is over. */
  onEnd: () => void;
};

/** A reply that never ends is no reply. */
const REPLY_MAX = 64 * 1024;

export const smtpError = (message: string, fields: Partial<SmtpError>): SmtpError =>
  Object.assign(new Error(message), fields);

/** What the server offers. `size`: the largest message in bytes; 0: not said; null: no SIZE. */
export type Extensions = { pipelining: boolean; size: number | null; eightBit: boolean; utf8: boolean };

export const closed = () => smtpError("The server closed the connection.", { code: "ECONNECTION", command: "CONN" });

type Reply = { code: number; text: string };
type Expected = { command: string; act: (reply: Reply) => void };
type Exchange = { begun: boolean; refusal: SmtpError | null; done: (error: SmtpError | null) => void };

/** Takes over the socket of a signed-in connection; the library still watches it for errors, silence and its end. */
export function sessionOver(connection: SMTPConnection, extensions: Extensions): Session {
  const socket = connection._socket as net.Socket;
  /** Commands without a reply yet, in order. */
  let expected: Expected[] = [];
  let current: Exchange | null = null;
  let received = "";
  let lines = "";
  /** A sender was accepted and the transaction not ended: RSET before the next. */
  let open = false;
  let alive = true;

  const session: Session & { messages: number } = {
    messages: 0,
    get alive() {
      return alive;
    },
    onEnd: () => {},
    send,
    close() {
      if (!alive) return;
      alive = false;
      // Not sooner: a server that counts connections would refuse the one that takes its place.
      socket.once("close", () => session.onEnd());
      socket.write("QUIT\r\n");
      connection.close();
    },
    destroy: over,
  };

  function over(error: SmtpError): void {
    if (!alive) return;
    alive = false;
    expected = [];
    connection.close();
    socket.destroy();
    session.onEnd();
    finish(error);
  }

  /** A refusal that came before the connection failed says more. */
  function finish(error: SmtpError | null): void {
    const ended = current;
    current = null;
    if (!ended) return;
    const outcome = ended.refusal ?? error;
    if (outcome) outcome.begun = ended.begun;
    ended.done(outcome);
  }

  socket.removeAllListeners("data");
  socket.on("data", (chunk: Buffer) => {
    if (alive) received += chunk.toString("latin1");
    for (let end = received.indexOf("\n"); end >= 0; end = received.indexOf("\n")) {
      if (!alive) return;
      const line = received.slice(0, end).trimEnd();
      received = received.slice(end + 1);
      if (line === "" && lines === "") continue;
      lines = lines === "" ? line : `${lines}\n${line}`;
      if (/^\d{3}-/.test(line) && lines.length <= REPLY_MAX) continue;
      const text = readable(lines);
      lines = "";
      hear(/^[2-5]\d\d(?: |$)/.test(line) ? Number(line.slice(0, 3)) : 0, text);
    }
    if (received.length > REPLY_MAX) over(garbled(received));
  });
  connection.on("error", (error: SmtpError) => over(error));
  connection.once("end", () => over(closed()));

  function hear(code: number, text: string): void {
    const answered = code === 0 ? undefined : expected.shift();
    // The server is about to close (RFC 5321, 3.8): replies to what was sent along will not come.
    if (code === 421) {
      const command = answered?.command ?? "CONN";
      return over(refused("The server closes the connection", command, "ECONNECTION", { code, text }));
    }
    // Only DATA is answered with «go on».
    if (!answered || (code < 400 && code >= 300 && answered.command !== "DATA")) return over(garbled(text));
    answered.act({ code, text });
  }

  function send(envelope: Envelope, bytes: Buffer, done: Exchange["done"]): void {
    const exchange: Exchange = (current = { begun: false, refusal: null, done });
    session.messages++;
    if (!alive) return finish(closed());
    // What the server said unasked would be taken for an answer.
    if (received !== "" || lines !== "") return over(garbled(lines || received));
    const unfit = unfitness(envelope, bytes.length, extensions);
    if (unfit) return finish(unfit);
    const { pipelining, eightBit, utf8, size } = extensions;
    const parameters =
      (envelope.utf8 && utf8 ? ` SMTPUTF8${eightBit ? " BODY=8BITMIME" : ""}` : "") +
      (size === null ? "" : ` SIZE=${bytes.length}`);

    const reset: Step = [
      "RSET",
      "RSET\r\n",
      (reply) => {
        if (reply.code >= 300) return over(refused("The server refused RSET", "RSET", "EPROTOCOL", reply));
        open = false;
      },
    ];
    const mail: Step = [
      "MAIL FROM",
      `MAIL FROM:<${envelope.from}>${parameters}\r\n`,
      (reply) => {
        if (reply.code < 300) open = true;
        else exchange.refusal = refused("The server refused the sender", "MAIL FROM", "EENVELOPE", reply);
      },
    ];
    const recipient: Step = [
      "RCPT TO",
      `RCPT TO:<${envelope.to}>\r\n`,
      (reply) => {
        if (reply.code >= 300)
          exchange.refusal ??= refused("The server refused the recipient", "RCPT TO", "EENVELOPE", reply);
      },
    ];
    const data: Step = [
      "DATA",
      "DATA\r\n",
      (reply) => {
        if (exchange.refusal) return reply.code === 354 ? endEmpty() : finish(null);
        if (reply.code >= 400) return finish(refused("The server refused the message", "DATA", "EENVELOPE", reply));
        // What came along with this reply was said before a byte of the message was seen, so it is no answer to it.
        if (reply.code !== 354 || received !== "") return over(garbled(reply.text));
        exchange.begun = true;
        expected.push({ command: "DATA", act: onTaken });
        socket.write(onTheWire(bytes));
      },
    ];
    run(open ? [reset, mail, recipient, data] : [mail, recipient, data], pipelining);
  }

  /** RFC 2920: commands sent along are answered in order. The message is none of them: it waits for the reply to DATA. */
  function run(steps: Step[], pipelining: boolean): void {
    if (pipelining) {
      for (const [command, , act] of steps) expected.push({ command, act });
      socket.write(steps.map(([, text]) => text).join(""));
      return;
    }
    const [[command, text, act], ...rest] = steps as [Step, ...Step[]];
    expected.push({
      command,
      act(reply) {
        act(reply);
        if (!alive || rest.length === 0) return;
        if (current?.refusal) finish(null);
        else run(rest, false);
      },
    });
    socket.write(text);
  }

  function onTaken(reply: Reply): void {
    if (reply.code < 400 && reply.code >= 300) return over(garbled(reply.text));
    open = false;
    finish(reply.code < 300 ? null : refused("The server refused the message", "DATA", "EMESSAGE", reply));
  }

  /**
   * DATA was sent along and asked for a message nobody is to get. After a refused recipient a single dot ends it (RFC 2920, 3.1);
   * a server that goes on without a sender is not trusted with that: without the dot nothing is delivered (RFC 5321, 4.1.1.4).
   */
  function endEmpty(): void {
    if (!open) return over(closed());
    expected.push({ command: "DATA", act: () => onTaken({ code: 250, text: "" }) });
    socket.write(".\r\n");
  }

  return session;
}

type Step = [command: string, text: string, act: (reply: Reply) => void];

const refused = (what: string, command: string, code: string, { code: responseCode, text }: Reply): SmtpError =>
  smtpError(`${what}: ${text}`, { code, responseCode, response: text, command });

const garbled = (text: string): SmtpError =>
  smtpError(`The server sent a reply that does not belong here: ${readable(text.slice(0, 500))}`, {
    code: "EPROTOCOL",
  });

/** What the server has said that it does not take is not tried. */
function unfitness(envelope: Envelope, bytes: number, { size, utf8 }: Extensions): SmtpError | null {
  for (const [command, address] of [
    ["MAIL FROM", envelope.from],
    ["RCPT TO", envelope.to],
  ] as const) {
    // oxlint-disable-next-line no-control-regex
    if (address === "" || /[\x00-\x1f\x7f<>]/.test(address))
      return smtpError(`${JSON.stringify(address)} is not a mail address.`, { code: "EENVELOPE", command });
    // oxlint-disable-next-line no-control-regex
    if (!utf8 && /[^\x00-\x7f]/.test(address))
      return smtpError(`The server takes only ASCII addresses (no SMTPUTF8), not ${address}.`, {
        code: "EENVELOPE",
        command,
      });
  }
  if (envelope.utf8 && !utf8)
    return smtpError("The server takes only ASCII headers (no SMTPUTF8).", { code: "EMESSAGE", command: "DATA" });
  if (size !== null && size > 0 && bytes > size)
    return smtpError(`The message has ${bytes} bytes, and the server takes ${size} at most.`, {
      code: "EMESSAGE",
      command: "DATA",
    });
  return null;
}

const DOT = 0x2e;
const END = Buffer.from(".\r\n");

/** A dot at the start of a line is doubled (RFC 5321, 4.5.2), and a line with a dot alone ends the message. */
export function onTheWire(bytes: Buffer): Buffer {
  const pieces: Buffer[] = [];
  let start = 0;
  if (bytes[0] === DOT) pieces.push(bytes.subarray(0, 1));
  for (let at = bytes.indexOf("\r\n."); at >= 0; at = bytes.indexOf("\r\n.", start)) {
    pieces.push(bytes.subarray(start, at + 3));
    start = at + 2;
  }
  pieces.push(bytes.subarray(start), END);
  return Buffer.concat(pieces);
}

/** Replies have no declared character set; most are ASCII or UTF-8. */
function readable(latin1: string): string {
  const text = Buffer.from(latin1, "latin1").toString("utf8");
  return text.includes("\uFFFD") ? latin1 : text;
}
