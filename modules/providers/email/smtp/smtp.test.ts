import { afterAll, describe, expect, test } from "vitest";
import { SMTPServer } from "smtp-server";
import net from "node:net";
import type { AddressInfo } from "node:net";
import { until } from "../../../../tests/support/until.ts";
import { createHttpClient } from "../../../kernel/http/client.ts";
import { emailSend } from "../../conformance/email.ts";
import { conformance } from "../../conformance/suite.ts";
import { createSandbox } from "../../../sandbox/server.ts";
import { exampleEmail } from "../fixtures.ts";
import { outcomeOfSmtpError, smtp, smtpWithin } from "./adapter.ts";
import { emulation } from "./emulation.ts";
import { closeSmtpPools } from "./pool.ts";

conformance(smtp, emulation, {
  settings: { timeout_seconds: 1 },
  check: { bad: [{ username: "somebody", password: "invalid-password" }] },
  send: {
    ...emailSend(),
    refused: () => exampleEmail({ to: { address: "bounce+1@example.com" } }),
    ownId: ({ content }) => content.message_id,
    givesItsId: false,
    saysHowLong: false,
    serverError: { outcome: "retry", accepted: false },
  },
});

afterAll(() => closeSmtpPools());

describe("smtp", () => {
  const settings = (port: number, security: string) => ({ host: "127.0.0.1", port, security });
  const http = createHttpClient({ allowPrivateHosts: ["127.0.0.1"], userAgent: "test" });

  test("a server with a certificate nobody vouches for gets neither password nor mail", async () => {
    let authenticated = false;
    const server = new SMTPServer({
      logger: false,
      onAuth(_auth, _session, done) {
        authenticated = true;
        done(null, { user: "x" });
      },
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    server.on("error", () => {});
    const port = (server.server.address() as AddressInfo).port;
    const connection = {
      id: "c1",
      credentials: { username: "u", password: "p" },
      settings: settings(port, "starttls"),
      base_url: null,
      webhook_url: null,
    };
    const [outcome] = await smtp.send!.send([exampleEmail()], connection, http);
    expect(outcome!.outcome).toBe("broken");
    expect(authenticated).toBe(false);
    closeSmtpPools();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });

  test("a server that trickles its answers is given up when the call's time is over: unknown once it has the mail, else a retry", async () => {
    let stallAt: "RCPT" | "DATA" = "RCPT";
    // An answer is never complete, and never silent for long enough to look dead: only a deadline of our own ends it.
    const trickle = (socket: net.Socket) => {
      const timer = setInterval(() => socket.write("250-wait\r\n"), 50);
      socket.on("close", () => clearInterval(timer));
    };
    const server = net.createServer((socket) => {
      let data = false;
      socket.on("error", () => {});
      socket.write("220 slow\r\n");
      socket.on("data", (chunk: Buffer) => {
        if (data) {
          if (chunk.toString().endsWith("\r\n.\r\n")) trickle(socket);
          return;
        }
        const command = chunk.toString().slice(0, 4);
        if (command === "RCPT" && stallAt === "RCPT") return trickle(socket);
        data = command === "DATA";
        socket.write(data ? "354 go on\r\n" : "250 ok\r\n");
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const quick = smtpWithin(0.5);
    const connection = {
      id: "c4",
      credentials: {},
      settings: settings((server.address() as AddressInfo).port, "none"),
      base_url: null,
      webhook_url: null,
    };
    try {
      expect(await quick.send!.send([exampleEmail()], connection, http)).toMatchObject([{ outcome: "retry" }]);
      stallAt = "DATA";
      expect(await quick.send!.send([exampleEmail()], connection, http)).toMatchObject([{ outcome: "unknown" }]);
    } finally {
      closeSmtpPools();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    }
  });

  test("clear text to a public address is refused before anything is said", async () => {
    const connection = {
      id: "c3",
      credentials: {},
      settings: { ...settings(25, "none"), host: "8.8.8.8" },
      base_url: null,
      webhook_url: null,
    };
    expect((await smtp.send!.send([exampleEmail()], connection, http))[0]).toMatchObject({
      outcome: "broken",
      code: "tls",
    });
  });

  test("what each reply means", () => {
    const of = (fields: object, begun = false) =>
      outcomeOfSmtpError(Object.assign(new Error("x"), fields), begun).outcome;
    expect(of({ code: "EENVELOPE", responseCode: 550, command: "RCPT TO" })).toBe("rejected");
    expect(of({ code: "EENVELOPE", responseCode: 450, command: "RCPT TO" })).toBe("retry");
    expect(of({ code: "EENVELOPE", responseCode: 553, command: "MAIL FROM" })).toBe("broken");
    // The size is said along with the sender, and is the message's own affair.
    const tooLarge = { code: "EENVELOPE", responseCode: 552, command: "MAIL FROM" };
    expect(of({ ...tooLarge, response: "552 5.3.4 Message too big" })).toBe("rejected");
    expect(of({ ...tooLarge, response: "552 5.2.2 Over quota" })).toBe("broken");
    expect(of({ code: "EMESSAGE", responseCode: 554, command: "DATA" }, true)).toBe("rejected");
    expect(of({ code: "EMESSAGE", responseCode: 451, command: "DATA" }, true)).toBe("retry");
    expect(of({ code: "EAUTH", responseCode: 535 })).toBe("broken");
    expect(of({ code: "EAUTH", responseCode: 454 })).toBe("retry");
    expect(of({ code: "ECONNECTION" }, false)).toBe("retry");
    expect(of({ code: "ECONNECTION" }, true)).toBe("unknown");
    expect(of({ code: "ETIMEDOUT" }, true)).toBe("unknown");
  });

  test("a refused recipient is gone only by a reply that says so", async () => {
    const of = (response: string, command = "RCPT TO") =>
      outcomeOfSmtpError(
        Object.assign(new Error(response), { code: "EENVELOPE", responseCode: 550, command, response }),
        false,
      );
    for (const reply of [
      "550 5.1.1 No such user",
      "550-5.1.1 No such user\n550 5.1.1 here",
      "551 5.1.6 Moved",
      "556 5.1.10 Null MX",
    ])
      expect(of(reply), reply).toMatchObject({ outcome: "rejected", recipient: "gone" });
    for (const reply of [
      "550 5.7.1 Blocked",
      "550 No such user",
      "550 5.1.8 Bad sender",
      "552 5.2.2 Full",
      "550 5.1.12 ?",
    ])
      expect(of(reply), reply).not.toHaveProperty("recipient");
    expect(of("550 5.1.1 No such user", "DATA")).not.toHaveProperty("recipient");
    expect(of("550 5.1.1 Bad sender", "MAIL FROM")).toMatchObject({ outcome: "broken" });
  });

  test("an address that the server does not know is gone", async () => {
    const sandbox = await createSandbox({ emulations: [emulation], speed: 50 });
    try {
      const connection = {
        id: "c4",
        credentials: emulation.example().credentials,
        settings: {},
        base_url: sandbox.baseUrl("smtp"),
        webhook_url: null,
      };
      const message = { ...exampleEmail(), to: { address: "bounce+1@example.com" } };
      expect((await smtp.send!.send([message], connection, http))[0]).toMatchObject({
        outcome: "rejected",
        code: "smtp_550",
        recipient: "gone",
      });
    } finally {
      await sandbox.close();
    }
  });

  test("a pool is not idle while a batch runs, however long it takes; afterwards it is closed", async () => {
    const later = () => performance.now() + 61_000;
    const open = new Set<string>();
    let release!: () => void;
    let arrived!: () => void;
    const released = new Promise<void>((resolve) => (release = resolve));
    const isUnderWay = new Promise<void>((resolve) => (arrived = resolve));
    const server = new SMTPServer({
      logger: false,
      authOptional: true,
      disabledCommands: ["STARTTLS"],
      onConnect(session, done) {
        open.add(session.id);
        done();
      },
      onClose: (session) => void open.delete(session.id),
      onData(stream, _session, done) {
        stream.resume();
        arrived();
        stream.on("end", () => void released.then(() => done()));
      },
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const port = (server.server.address() as AddressInfo).port;
    const connection = {
      id: "c6",
      credentials: {},
      settings: settings(port, "none"),
      base_url: null,
      webhook_url: null,
    };
    try {
      // More than there are connections: some wait in the pool.
      const sending = smtp.send!.send(
        Array.from({ length: 8 }, () => exampleEmail()),
        connection,
        http,
      );
      await isUnderWay;
      closeSmtpPools(false, later());
      release();
      expect((await sending).map((o) => o.outcome)).toEqual(Array(8).fill("sent"));
      expect(open.size).toBeGreaterThan(0);
      closeSmtpPools(false);
      expect(open.size).toBeGreaterThan(0);
      // One that was still being opened is idle a moment later.
      const closed = () => {
        closeSmtpPools(false, later());
        return open.size === 0;
      };
      await until(closed, { what: "the idle connections to be closed" });
    } finally {
      closeSmtpPools();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    }
  });

  test("missing settings name the field", async () => {
    const connection = { id: "c2", credentials: {}, settings: {}, base_url: null, webhook_url: null };
    await expect(smtp.check(connection, http)).rejects.toThrow(/host/);
  });
});
