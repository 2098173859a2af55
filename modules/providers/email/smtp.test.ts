import { afterAll, describe, expect, test } from "vitest";
import { SMTPServer } from "smtp-server";
import type { AddressInfo } from "node:net";
import { createHttpClient } from "../../kernel/http/client.ts";
import { conformance } from "../conformance.ts";
import { exampleEmail } from "./fixtures.ts";
import { closeSmtpPools, outcomeOfSmtpError, smtp } from "./smtp.ts";

conformance(smtp, {
  account: () => {
    const username = `user-${crypto.randomUUID()}`;
    return { credentials: { username, password: "an app password" }, key: username };
  },
  badCredentials: [{ username: "somebody", password: "invalid-password" }],
  settings: { timeout_seconds: 1 },
  baseUrl: (sandbox) => `smtp://127.0.0.1:${sandbox.smtpPort}`,
  refused: { to: { email: "bounce+1@example.com", name: null } },
  afterServerError: "retry",
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
    };
    const [outcome] = await smtp.send!([exampleEmail()], connection, http);
    expect(outcome!.outcome).toBe("broken");
    expect(authenticated).toBe(false);
    closeSmtpPools();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });

  test("clear text to a public address is refused before anything is said", async () => {
    const connection = {
      id: "c3",
      credentials: {},
      settings: { ...settings(25, "none"), host: "8.8.8.8" },
      base_url: null,
    };
    expect((await smtp.send!([exampleEmail()], connection, http))[0]).toMatchObject({ outcome: "broken", code: "tls" });
  });

  test("what each reply means", () => {
    const of = (fields: object, begun = false) =>
      outcomeOfSmtpError(Object.assign(new Error("x"), fields), begun).outcome;
    expect(of({ code: "EENVELOPE", responseCode: 550, command: "RCPT TO" })).toBe("rejected");
    expect(of({ code: "EENVELOPE", responseCode: 450, command: "RCPT TO" })).toBe("retry");
    expect(of({ code: "EENVELOPE", responseCode: 553, command: "MAIL FROM" })).toBe("broken");
    expect(of({ code: "EMESSAGE", responseCode: 554, command: "DATA" }, true)).toBe("rejected");
    expect(of({ code: "EMESSAGE", responseCode: 451, command: "DATA" }, true)).toBe("retry");
    expect(of({ code: "EAUTH", responseCode: 535 })).toBe("broken");
    expect(of({ code: "EAUTH", responseCode: 454 })).toBe("retry");
    expect(of({ code: "ECONNECTION" }, false)).toBe("retry");
    expect(of({ code: "ECONNECTION" }, true)).toBe("unknown");
    expect(of({ code: "ETIMEDOUT" }, true)).toBe("unknown");
  });

  test("missing settings name the field", async () => {
    const connection = { id: "c2", credentials: {}, settings: {}, base_url: null };
    await expect(smtp.check(connection, http)).rejects.toThrow(/host/);
  });
});
