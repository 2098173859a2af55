import net from "node:net";
import type { AddressInfo } from "node:net";
import tls from "node:tls";
import { SMTPServer } from "smtp-server";
import { afterEach, describe, expect, test } from "vitest";
import { certificate } from "../../../../tests/support/certificate.ts";
import { until } from "../../../../tests/support/until.ts";
import { createHttpClient } from "../../../kernel/http/client.ts";
import type { Connection } from "../../../kernel/provider.ts";
import { exampleEmail } from "../fixtures.ts";
import { mime } from "../mime.ts";
import { smtp, smtpWithin } from "./adapter.ts";
import { onTheWire } from "./dialogue.ts";
import { closeSmtpPools } from "./pool.ts";

// The dialogue with a server whose every word is scripted.

const DROP = Symbol("the server hangs up");
const SILENCE = Symbol("the server says nothing");

type Said = {
  /** Which of the server's connections, from 1. */
  connection: number;
  /** Which message of that connection, from 1. */
  message: number;
  /** The command as it came, or BODY. */
  command: string;
  verb: string;
};
type Answer = string | typeof DROP | typeof SILENCE | undefined;

type Script = {
  port: number;
  /** What the client wrote, a piece for each time the server read; bodies stand as BODY. */
  pieces: string[];
  /** Commands of all connections, in order, without EHLO and QUIT. */
  said: string[];
  /** Messages as they came, without the final dot. */
  bodies: string[];
  connections: number;
  /** Of them, how many were open at once. */
  most: number;
  /** Something was sent ahead of an answer it had to wait for. */
  ahead: string[];
};

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  closeSmtpPools();
  for (const close of closing.splice(0)) await close();
});

/** A server that answers what `answer` says, and else what a good one would. */
async function scripted(
  answer: (said: Said) => Answer = () => undefined,
  { offers = ["PIPELINING"], greet = () => "220 script" }: { offers?: string[]; greet?: (n: number) => string } = {},
): Promise<Script> {
  const script: Script = { port: 0, pieces: [], said: [], bodies: [], connections: 0, most: 0, ahead: [] };
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    const connection = ++script.connections;
    sockets.add(socket);
    script.most = Math.max(script.most, sockets.size);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
    let [buffer, inBody, message] = ["", false, 1];
    const reply = (text: string) => void socket.write(`${text}\r\n`);
    const greeting = greet(connection);
    if (!greeting.startsWith("220")) return void socket.end(`${greeting}\r\n`);
    reply(greeting);
    socket.on("data", (chunk: Buffer) => {
      buffer += chunk.toString();
      script.pieces.push(inBody ? "BODY" : chunk.toString());
      for (;;) {
        const end = buffer.indexOf(inBody ? "\r\n.\r\n" : "\r\n");
        if (inBody && buffer.startsWith(".\r\n")) {
          script.bodies.push("");
          buffer = buffer.slice(3);
        } else if (end < 0) return;
        else if (inBody) {
          script.bodies.push(buffer.slice(0, end + 2));
          buffer = buffer.slice(end + 5);
        }
        let command = "BODY";
        if (!inBody) {
          command = buffer.slice(0, end);
          buffer = buffer.slice(end + 2);
        }
        inBody = false;
        const verb = command.split(/[ :]/)[0]!;
        if (verb === "EHLO") {
          reply(["script", ...offers].map((o, i) => `250${i < offers.length ? "-" : " "}${o}`).join("\r\n"));
          continue;
        }
        if (verb === "QUIT") return void socket.end("221 bye\r\n");
        script.said.push(command);
        if (buffer !== "" && (verb === "DATA" || !offers.includes("PIPELINING"))) script.ahead.push(buffer);
        const says = answer({ connection, message, command, verb }) ?? (verb === "DATA" ? "354 go on" : "250 2.0.0 ok");
        if (verb === "BODY") message++;
        if (says === DROP) return void socket.destroy();
        if (says === SILENCE) return;
        if (verb === "DATA" && says.startsWith("354")) inBody = true;
        reply(says);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  script.port = (server.address() as AddressInfo).port;
  closing.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return script;
}

const http = createHttpClient({ allowPrivateHosts: ["127.0.0.1"], userAgent: "test" });

const connectionTo = ({ port }: { port: number }, settings: object = {}, credentials: object = {}) =>
  ({
    id: "c",
    credentials,
    settings: { host: "127.0.0.1", port, security: "none", ...settings },
    base_url: null,
    webhook_url: null,
  }) satisfies Connection<object>;

type To = ReturnType<typeof connectionTo>;
const send = async (to: To, message = exampleEmail(), adapter = smtp) =>
  (await adapter.send!.send([message], to, http))[0]!;
const sendAll = (to: To, n: number, adapter = smtp) =>
  Promise.all(Array.from({ length: n }, () => send(to, exampleEmail(), adapter)));
const outcomes = (all: { outcome: string }[]) => all.map((o) => o.outcome);

const PIPED = /^MAIL FROM:<[^\r]+\r\nRCPT TO:<[^\r]+\r\nDATA\r\n$/;
const unstuffed = (body: string) => body.replace(/^\./gm, "");

describe("with PIPELINING", () => {
  test("the envelope goes out in one piece, and the message only after 354, word for word", async () => {
    const server = await scripted();
    const to = connectionTo(server);
    const messages = [exampleEmail(), exampleEmail({ subject: "Zweite Grüße" })];
    for (const message of messages) {
      expect(await send(to, message)).toEqual({
        outcome: "sent",
        provider_message_id: message.content.message_id,
      });
    }
    expect(server.pieces.filter((p) => p.startsWith("MAIL"))).toEqual([
      expect.stringMatching(PIPED),
      expect.stringMatching(PIPED),
    ]);
    expect(server.ahead).toEqual([]);
    expect(server.connections).toBe(1);
    for (const [i, message] of messages.entries()) {
      const date = new Date(/\r\nDate: ([^\r]+)/.exec(server.bodies[i]!)![1]!);
      expect(server.bodies[i]).toBe(mime(message, date).bytes.toString());
    }
  });

  test("nothing of a message goes to a refused recipient, and the next one takes the same connection", async () => {
    const server = await scripted(({ command }) => (command.includes("nobody") ? "550 5.1.1 no such user" : undefined));
    const refusing = await scripted(({ verb, command }) => {
      if (command.includes("nobody")) return "550 5.1.1 no such user";
      return verb === "DATA" && refusing.said.at(-2)!.includes("nobody") ? "554 5.5.1 no valid recipients" : undefined;
    });
    for (const script of [server, refusing]) {
      const to = connectionTo(script);
      const nobody = { ...exampleEmail(), to: { address: "nobody@example.com" } };
      expect(await send(to, nobody)).toMatchObject({ outcome: "rejected", code: "smtp_550", recipient: "gone" });
      expect((await send(to)).outcome).toBe("sent");
      expect(script.connections).toBe(1);
      expect(script.bodies.filter((body) => body !== "")).toHaveLength(1);
    }
    // DATA was accepted: a single dot ends it, and there is no transaction left to reset.
    expect(server.bodies[0]).toBe("");
    expect(server.said.some((c) => c === "RSET")).toBe(false);
    // DATA was refused: the accepted sender is taken back, along with the next envelope.
    expect(refusing.said[3]).toBe("RSET");
    expect(refusing.pieces.at(-2)).toMatch(/^RSET\r\nMAIL FROM/);
  });

  test("a refused sender breaks the connection; a server that asks for the message all the same gets no dot", async () => {
    const server = await scripted(({ verb }) => (verb === "MAIL" ? "553 5.7.1 not yours" : undefined));
    const to = connectionTo(server);
    expect(await send(to)).toMatchObject({ outcome: "broken", code: "smtp_553" });
    await until(() => server.connections === 1 && server.said.length === 3, { what: "the refused envelope" });
    expect(server.bodies).toEqual([]);
    expect(await send(to)).toMatchObject({ outcome: "broken", code: "smtp_553" });
    expect(server.connections).toBe(2);
  });

  test("an answer to DATA that is not 354 asks for no message", async () => {
    for (const [says, expected] of [
      ["250 ok", "retry"],
      ["451 4.3.0 later", "retry"],
      ["554 5.7.1 never", "rejected"],
      ["what", "retry"],
    ] as const) {
      const server = await scripted(({ verb }) => (verb === "DATA" ? says : undefined));
      expect((await send(connectionTo(server))).outcome, says).toBe(expected);
      expect(server.said.filter((c) => c === "BODY")).toEqual([]);
      expect(server.ahead).toEqual([]);
    }
  });

  test("a reply that came before the message was written is no answer to it", async () => {
    const server = await scripted(({ verb }) => (verb === "DATA" ? "354 go on\r\n250 2.0.0 taken" : undefined));
    expect(await send(connectionTo(server))).toMatchObject({ outcome: "retry", code: "eprotocol" });
    expect(server.bodies).toEqual([]);
  });
});

describe("without PIPELINING", () => {
  test("each command waits for the answer to the one before", async () => {
    const server = await scripted(undefined, { offers: [] });
    const to = connectionTo(server);
    expect(outcomes([await send(to), await send(to)])).toEqual(["sent", "sent"]);
    expect(server.ahead).toEqual([]);
    expect(server.said.map((c) => c.slice(0, 4))).toEqual([..."MAIL RCPT DATA BODY MAIL RCPT DATA BODY".split(" ")]);
    expect(server.pieces.filter((p) => p.includes("MAIL") && p.includes("RCPT"))).toEqual([]);
  });

  test("a refusal ends the message there, and the next begins anew", async () => {
    const server = await scripted(({ command }) => (command.includes("nobody") ? "550 5.1.1 no" : undefined), {
      offers: [],
    });
    const to = connectionTo(server);
    const nobody = { ...exampleEmail(), to: { address: "nobody@example.com" } };
    expect(outcomes([await send(to, nobody), await send(to)])).toEqual(["rejected", "sent"]);
    expect(server.said.map((c) => c.slice(0, 4))).toEqual([..."MAIL RCPT RSET MAIL RCPT DATA BODY".split(" ")]);
  });
});

describe.each([{ offers: ["PIPELINING"] }, { offers: [] as string[] }])(
  "a connection that ends, $offers",
  (options) => {
    test("between two messages costs none: the next goes over another, once", async () => {
      // It says 421, or hangs up at the first word of the next message, which the client cannot have seen coming.
      for (const answer of ["421 4.4.2 idle for too long", DROP] as const) {
        for (const at of ["MAIL", "RCPT", "DATA"]) {
          const server = await scripted(
            ({ verb, connection, message }) => (connection === 1 && message === 2 && verb === at ? answer : undefined),
            options,
          );
          const to = connectionTo(server);
          expect(outcomes([await send(to), await send(to), await send(to)]), at).toEqual(["sent", "sent", "sent"]);
          expect(server.bodies, at).toHaveLength(3);
          expect(server.connections, at).toBe(2);
        }
      }
    });

    test("while it is idle is not used again", async () => {
      const server = await scripted(({ verb, connection }) => {
        if (verb === "BODY" && connection === 1) return "250 ok\r\n421 4.4.2 bye";
        return undefined;
      }, options);
      const to = connectionTo(server);
      expect(outcomes([await send(to), await send(to)])).toEqual(["sent", "sent"]);
      expect([server.connections, server.bodies.length]).toEqual([2, 2]);
    });

    test("before the message was written is a retry, and a fresh connection is not tried over and over", async () => {
      for (const answer of ["421 4.3.2 not now", DROP] as const) {
        for (const at of ["MAIL", "RCPT", "DATA"]) {
          const server = await scripted(({ verb }) => (verb === at ? answer : undefined), options);
          expect((await send(connectionTo(server))).outcome, at).toBe("retry");
          expect([server.connections, server.bodies.length], at).toEqual([1, 0]);
        }
      }
    });

    test("once the message was written leaves it unknown, and nobody sends it again", async () => {
      for (const message of [1, 2]) {
        const server = await scripted((said) => (said.verb === "BODY" && said.message === message ? DROP : undefined), {
          ...options,
        });
        const to = connectionTo(server);
        if (message === 2) expect((await send(to)).outcome).toBe("sent");
        expect((await send(to)).outcome).toBe("unknown");
        expect([server.connections, server.bodies.length]).toEqual([1, message]);
      }
    });

    test("a reply that cannot be one ends the connection: a retry before the message was written, else unknown", async () => {
      for (const says of ["354 go on", "hello", "199 what", "2x0 ok"]) {
        for (const at of ["MAIL", "RCPT", "BODY"]) {
          const server = await scripted(({ verb }) => (verb === at ? says : undefined), options);
          const to = connectionTo(server);
          expect((await send(to)).outcome, `${says} to ${at}`).toBe(at === "BODY" ? "unknown" : "retry");
          expect(server.bodies).toHaveLength(at === "BODY" ? 1 : 0);
        }
      }
    });

    test("a reply to the message settles it, whatever comes after", async () => {
      for (const [says, expected] of [
        ["451 4.3.0 later", "retry"],
        ["421 4.3.2 shutting down", "retry"],
        ["554 5.7.1 spam", "rejected"],
        ["250 2.0.0 ok\r\n421 bye", "sent"],
      ] as const) {
        const server = await scripted(({ verb }) => (verb === "BODY" ? says : undefined), options);
        expect((await send(connectionTo(server))).outcome, says).toBe(expected);
        expect(server.bodies).toHaveLength(1);
      }
    });

    test("replies may have many lines and come in any pieces", async () => {
      const server = net.createServer((socket) => {
        socket.on("error", () => {});
        let [buffer, inBody] = ["", false];
        const slowly = (text: string) => {
          for (const byte of Buffer.from(text)) socket.write(Buffer.from([byte]));
        };
        slowly("220-hello\r\n220 there\r\n");
        socket.on("data", (chunk: Buffer) => {
          buffer += chunk.toString();
          for (let end; (end = buffer.indexOf(inBody ? "\r\n.\r\n" : "\r\n")) >= 0;) {
            const line = buffer.slice(0, end);
            buffer = buffer.slice(end + (inBody ? 5 : 2));
            if (inBody) slowly("250-2.0.0 danke schön\r\n250-2.0.0 für\r\n250 2.0.0 alles\r\n");
            else if (line.startsWith("EHLO"))
              slowly(["250-x", ...options.offers.map((o) => `250-${o}`), "250 HELP\r\n"].join("\r\n"));
            else if (line === "DATA") slowly("354-go\r\n354 on\r\n");
            else slowly("250-a\r\n250 b\r\n");
            inBody = line === "DATA" && !inBody;
          }
        });
        socket.setNoDelay(true);
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      closing.push(() => new Promise((resolve) => server.close(() => resolve())));
      const to = connectionTo({ port: (server.address() as AddressInfo).port });
      expect(outcomes([await send(to), await send(to)])).toEqual(["sent", "sent"]);
    });
  },
);

describe("what is written", () => {
  test("a dot at the start of a line is doubled, and none of them ends the message", async () => {
    const server = await scripted();
    const text = ".\n..\n.a\n\n.\n\nend\n.";
    const message = exampleEmail({ text, html: `<p>\n.\n</p>\n.` });
    expect((await send(connectionTo(server), message)).outcome).toBe("sent");
    expect(server.bodies).toHaveLength(1);
    const date = new Date(/\r\nDate: ([^\r]+)/.exec(server.bodies[0]!)![1]!);
    expect(unstuffed(server.bodies[0]!)).toBe(mime(message, date).bytes.toString());
    expect(server.said.filter((c) => !/^(MAIL|RCPT|DATA|BODY)/.test(c))).toEqual([]);
    for (const [bytes, wire] of [
      [".\r\n", "..\r\n.\r\n"],
      ["a\r\n.\r\n.\r\nb\r\n", "a\r\n..\r\n..\r\nb\r\n.\r\n"],
      ["a.\r\n", "a.\r\n.\r\n"],
    ] as const)
      expect(onTheWire(Buffer.from(bytes)).toString()).toBe(wire);
  });

  test("SIZE, SMTPUTF8 and 8BITMIME are said where the server offers them", async () => {
    const server = await scripted(undefined, { offers: ["PIPELINING", "SIZE 100000", "8BITMIME", "SMTPUTF8"] });
    const to = connectionTo(server);
    await send(to);
    expect(server.said[0]).toBe(`MAIL FROM:<sales@sandbox.test> SIZE=${server.bodies[0]!.length}`);
    await send(to, exampleEmail({ to: { address: "zoë@bücher.example" } }));
    expect(server.said[4]).toMatch(/^MAIL FROM:<sales@sandbox\.test> SMTPUTF8 BODY=8BITMIME SIZE=\d+$/);
    expect(server.said[5]).toBe("RCPT TO:<zoë@bücher.example>");
    await send(to, exampleEmail({ to: { address: "ada@bücher.example" } }));
    expect(server.said[9]).toBe("RCPT TO:<ada@xn--bcher-kva.example>");
  });

  test("what the server has said it does not take is refused without asking it", async () => {
    const server = await scripted(undefined, { offers: ["PIPELINING", "SIZE 5000"] });
    const to = connectionTo(server);
    const refused = async (message: ReturnType<typeof exampleEmail>) => {
      expect(await send(to, message)).toMatchObject({ outcome: "rejected", detail: expect.stringMatching(/\w/) });
    };
    await refused(exampleEmail({ text: "long ".repeat(2000) }));
    await refused(exampleEmail({ to: { address: "zoë@example.com" } }));
    await refused(exampleEmail({ reply_to: "zoë@example.com" }));
    await refused(exampleEmail({ to: { address: "" } }));
    await refused(exampleEmail({ headers: { "List-Unsubscribe": `<https://example.com/${"u".repeat(2000)}>` } }));
    expect(server.said).toEqual([]);
    expect((await send(to)).outcome).toBe("sent");
  });

  test("an address cannot say more to the server than where the message goes", async () => {
    const server = await scripted();
    for (const address of ["a@example.com>\r\nRCPT TO:<b@example.com", "a@example.com> SIZE=1", "a@x\0y"])
      await send(connectionTo(server), exampleEmail({ to: { address }, from: { address } }));
    expect(server.said.map((c) => c.slice(0, 4)).join(" ")).toMatch(/^(?:MAIL RCPT DATA BODY ?)*$/);
    for (const command of server.said.filter((c) => /^(MAIL|RCPT)/.test(c)))
      expect(command).toMatch(/^(?:MAIL FROM|RCPT TO):<[^<>]*>$/);
  });
});

describe("connections", () => {
  test("are as many as the setting says, and what finds none free waits", async () => {
    const server = await scripted();
    const to = connectionTo(server, { connections: 2 });
    expect(smtp.send!.parallel!(to)).toBe(2);
    expect(outcomes(await sendAll(to, 50))).toEqual(Array(50).fill("sent"));
    expect(server.most).toBe(2);
    const usual = connectionTo(server);
    expect(smtp.send!.parallel!(usual)).toBe(5);
    expect(smtp.send!.parallel!({ ...usual, settings: {} })).toBe(5);
    expect(smtp.settings!.safeParse({ ...usual.settings, connections: 51 }).success).toBe(false);
  });

  test("are closed after a hundred messages each", async () => {
    const server = await scripted();
    const to = connectionTo(server, { connections: 1 });
    expect(outcomes(await sendAll(to, 101))).toEqual(Array(101).fill("sent"));
    expect([server.connections, server.bodies.length, server.most]).toEqual([2, 101, 1]);
  });

  test("the wait for one counts toward a message's time, and it ends as a retry", async () => {
    const server = await scripted(({ verb }) => (verb === "BODY" ? SILENCE : undefined));
    const to = connectionTo(server, { connections: 1 });
    const all = outcomes(await sendAll(to, 3, smtpWithin(0.5)));
    expect(all.toSorted()).toEqual(["retry", "retry", "unknown"]);
    expect(server.bodies).toHaveLength(1);
  });

  test("a server that bears fewer than the setting gets the messages over those it bears", async () => {
    const server = await scripted(undefined, { greet: (n) => (n > 1 ? "421 4.7.0 too many connections" : "220 hi") });
    const to = connectionTo(server);
    expect(outcomes(await sendAll(to, 30))).toEqual(Array(30).fill("sent"));
    expect(server.bodies).toHaveLength(30);
    expect(server.connections).toBeLessThanOrEqual(5);
  });

  test("a server that refuses the password is asked once, however many messages wait", async () => {
    let asked = 0;
    const server = new SMTPServer({
      logger: false,
      disabledCommands: ["STARTTLS"],
      allowInsecureAuth: true,
      onAuth(_auth, _session, done) {
        asked++;
        done(Object.assign(new Error("5.7.8 no"), { responseCode: 535 }));
      },
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    server.on("error", () => {});
    closing.push(() => new Promise((resolve) => server.close(() => resolve())));
    const port = (server.server.address() as AddressInfo).port;
    const to = connectionTo({ port }, {}, { username: "ada", password: "a secret password" });
    const all = await sendAll(to, 20);
    expect(outcomes(all)).toEqual(Array(20).fill("broken"));
    expect(JSON.stringify(all)).not.toContain("a secret password");
    expect(asked).toBe(1);
  });

  test.each(["starttls", "tls"])("sign in under %s, and messages go out encrypted", async (security) => {
    const { cert, key } = certificate();
    const trusted = tls.getCACertificates("default");
    tls.setDefaultCACertificates([...trusted, cert]);
    const mails: { secure: boolean; user: unknown; text: string }[] = [];
    const server = new SMTPServer({
      logger: false,
      secure: security === "tls",
      cert,
      key,
      onAuth: ({ username, password }, _session, done) =>
        password === "right" ? done(null, { user: username }) : done(new Error("no")),
      onData(stream, session, done) {
        let text = "";
        stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
        stream.on("end", () => {
          mails.push({ secure: session.secure, user: session.user, text });
          done();
        });
      },
    });
    server.on("error", () => {});
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    closing.push(() => new Promise((resolve) => server.close(() => resolve())));
    try {
      const { port } = server.server.address() as AddressInfo;
      const to = connectionTo({ port }, { security }, { username: "ada", password: "right" });
      expect(outcomes(await sendAll(to, 12))).toEqual(Array(12).fill("sent"));
      expect(mails).toHaveLength(12);
      for (const mail of mails)
        expect(mail).toMatchObject({ secure: true, user: "ada", text: expect.stringContaining("Subject: ") });
      expect(await smtp.check(to, http)).toMatchObject({ ok: true });
      expect(await smtp.check({ ...to, credentials: { username: "ada", password: "x" } }, http)).toMatchObject({
        ok: false,
      });
    } finally {
      closeSmtpPools();
      tls.setDefaultCACertificates(trusted);
    }
  });
});
