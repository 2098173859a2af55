import http from "node:http";
import net, { type AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import { createHttpClient, type HttpError, type Lookup } from "../../modules/kernel/http/client.ts";
import { testKernel, type TestTenant } from "../support/kernel.ts";
import { resolveName } from "./names.ts";

// Every address a person can enter, pointed inwards. A canary listens on loopback; any connection to it is a failure.

let touched = 0;
const canary = net.createServer((socket) => {
  touched += 1;
  socket.end("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
});
/** A host the installation allows, which sends everybody on to the canary. */
const redirector = http.createServer(
  (_, res) => void res.writeHead(307, { location: `http://127.0.0.1:${port(canary)}/` }).end(),
);
const port = (server: net.Server) => (server.address() as AddressInfo).port;
const listen = (server: net.Server) => new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
await Promise.all([listen(canary), listen(redirector)]);
afterAll(() => {
  canary.close();
  redirector.closeAllConnections();
  redirector.close();
});

/** Names an attacker controls resolve to what they like. */
const lookup: Lookup = (host, _, callback) => {
  const addresses = resolveName(host);
  if (!addresses) return callback(Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: "ENOTFOUND" }), []);
  callback(
    null,
    addresses.map((address) => ({ address, family: net.isIP(address) })),
  );
};

const allow = `${inject("stackEnv").OVERTURE_ALLOW_PRIVATE_HOSTS},127.0.0.1:${port(redirector)}`;
const t = testKernel({ OVERTURE_ALLOW_PRIVATE_HOSTS: allow, OVERTURE_API_BURST: "100000" }, [], { lookup });
let team: TestTenant;
beforeAll(async () => {
  team = await t.tenant();
});
beforeEach(() => {
  touched = 0;
});

const LITERALS = [
  "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "017700000001", "0177.0.0.1", "127.0.0.1.", "127.255.255.254",
  "0.0.0.0", "0", "10.0.0.5", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192",
  "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]",
  "[::ffff:0:127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]", "[fd00:ec2::254]", "[fc00::1]", "[fe80::1]", "[fec0::1]", "[ff02::1]",
  "①②⑦.⓪.⓪.①", "127。0。0。1", "%31%32%37.0.0.1", "１２７.0.0.1",
]; // prettier-ignore

const connection = (base_url: string, provider = "postmark") => ({
  provider,
  name: `C ${crypto.randomUUID()}`,
  credentials: provider === "smtp" ? {} : { server_token: crypto.randomUUID() },
  ...(provider === "smtp" ? { settings: { host: "smtp.example.com" } } : {}),
  base_url,
});

/** Makes the connection and asks the provider, as the console does; answers with what stopped it. */
async function tryOut(body: object): Promise<string> {
  const made = await team.api("POST", "/connections", body);
  if (made.status !== 201) return `${made.status} ${JSON.stringify(made.body.errors ?? made.body.detail)}`;
  const checked = await team.api("POST", `/connections/${made.body.id}/check`);
  expect(checked.status, JSON.stringify(checked.body)).toBe(200);
  const sent = await team.api("POST", `/connections/${made.body.id}/register-webhook`);
  expect(sent.status).toBeGreaterThanOrEqual(400);
  return `checked: ${checked.body.ok ? "ok" : checked.body.code} ${checked.body.detail}`;
}

describe("a connection's base URL", () => {
  test.each(["https", "http"])("over %s reaches no private address in any spelling", async (scheme) => {
    for (const host of LITERALS) {
      const outcome = await tryOut(connection(`${scheme}://${host}:${port(canary)}/x`));
      expect(outcome, host).toMatch(/^422 |^checked: (blocked|dns) /);
      // The answer is about the address, not about what listens there.
      expect(outcome, host).not.toMatch(/ECONNREFUSED|200 OK|EHOSTUNREACH/);
    }
    expect(touched).toBe(0);
  });

  test("with tricks around the host name, or of another scheme, is refused", async () => {
    const p = port(canary);
    for (const url of [
      `https://example.com@127.0.0.1:${p}/`,
      `https://127.0.0.1:${p}#@example.com/`,
      `https://example.com\\@127.0.0.1:${p}/`,
      `https://127.0.0.1:${p}\\@example.com/`,
      `https://127.0.0.1:${p}?@example.com`,
      "file:///etc/passwd",
      `gopher://127.0.0.1:${p}/_x`,
      "javascript:alert(1)",
      "data:text/html,x",
      "ftp://127.0.0.1/",
      "unix:/run/x.sock",
      "http+unix://x",
      `//127.0.0.1:${p}/`,
      "https://",
      "https://[",
      "https://exa mple.com",
      `\thttps://127.0.0.1:${p}`,
      `smtp://127.0.0.1:${p}`,
    ]) {
      // `\\` is `/` to every URL parser we use: the host is then example.com, and nobody disagrees about it.
      expect(await tryOut(connection(url)), url).toMatch(/^422 |^checked: dns .*example\.com/);
    }
    expect(touched).toBe(0);
  });

  test("whose name resolves inwards is refused when it is used, whichever of its addresses is private", async () => {
    for (const host of [
      "localhost",
      "localhost.",
      "LOCALHOST",
      "loopback.evil.example",
      "v6.evil.example",
      "mapped.evil.example",
      "metadata.google.internal",
      "both.evil.example",
      "both-reversed.evil.example",
      "cgnat.evil.example",
    ]) {
      for (const scheme of ["https", "http"]) {
        const outcome = await tryOut(connection(`${scheme}://${host}:${port(canary)}`));
        expect(outcome, host).toMatch(/^checked: blocked |^422 .*unencrypted/);
      }
    }
    expect(touched).toBe(0);
  });

  test("is not the installation itself, which trusts calls from its own machine more than others", async () => {
    for (const path of ["", "/metrics", "/auth/v1", "/rest/v1", "/functions/v1/tick"]) {
      for (const host of ["127.0.0.1", "localhost"]) {
        const own = t.env.SUPABASE_URL!.replace("127.0.0.1", host);
        expect(await tryOut(connection(`${own}${path}`)), own + path).toMatch(/^422 |^checked: blocked /);
      }
    }
  });

  test("that redirects inwards is not followed", async () => {
    expect(await tryOut(connection(`http://127.0.0.1:${port(redirector)}`))).toMatch(/^checked: (?!ok)/);
    expect(touched).toBe(0);
  });

  test("cannot be changed to a private address afterwards either", async () => {
    const made = await team.api("POST", "/connections", connection("https://api.example.com"));
    const changed = await team.api("PATCH", `/connections/${made.body.id}`, {
      base_url: `http://127.0.0.1:${port(canary)}`,
    });
    expect(changed.status).toBe(422);
    expect((await team.api("GET", `/connections/${made.body.id}`)).body.base_url).toBe("https://api.example.com");
  });
});

/** Refused when it was entered, or by our own rule or the name server when it was used: never by who was reached. */
const NOT_REACHED = /^422 |^checked: \w+ .*(private or special address|ENOTFOUND|without encryption)/;

describe("an SMTP server", () => {
  test("of a private address, by its host setting or by base URL, is never connected to", async () => {
    const hosts = [
      ...LITERALS.map((h) => h.replace(/^\[|\]$/g, "")),
      "localhost",
      "localhost.",
      "loopback.evil.example",
      "v6.evil.example",
      "both.evil.example",
    ];
    for (const host of hosts) {
      for (const security of ["starttls", "none"]) {
        const outcome = await tryOut({
          ...connection(""),
          provider: "smtp",
          credentials: {},
          base_url: null,
          settings: { host, port: port(canary), security, timeout_seconds: 5 },
        });
        expect(outcome, `${host} ${security}`).toMatch(NOT_REACHED);
      }
    }
    for (const host of LITERALS)
      expect(await tryOut(connection(`smtp://${host}:${port(canary)}`, "smtp")), host).toMatch(NOT_REACHED);
    expect(touched).toBe(0);
  });

  test("setting that is no host name is refused or leads nowhere", async () => {
    for (const host of [
      "",
      "a b",
      "127.0.0.1:25",
      "x\r\nRCPT TO:<a@b.c>",
      "x\u0000y",
      "../socket",
      "a".repeat(5000),
      "-oProxyCommand=x",
    ]) {
      expect(
        await tryOut({
          ...connection(""),
          provider: "smtp",
          credentials: {},
          base_url: null,
          settings: { host, port: port(canary), timeout_seconds: 5 },
        }),
        host.slice(0, 20),
      ).toMatch(/^422 |^checked: (?!ok)/);
    }
    expect(touched).toBe(0);
  });
});

describe("a name that changes its mind", () => {
  test("is asked once per connection, and what it said then is what is connected to", async () => {
    let asked = 0;
    const rebinding: Lookup = (_, __, callback) => {
      asked += 1;
      callback(null, [{ address: asked === 1 ? "8.8.8.8" : "127.0.0.1", family: 4 }]);
    };
    const client = createHttpClient({ allowPrivateHosts: [], userAgent: "test", lookup: rebinding });
    const attempt = () =>
      client.request({ method: "POST", url: `http://rebind.evil.example:${port(canary)}/`, timeoutMs: 300 }).then(
        () => "answered",
        (e: HttpError) => e.kind,
      );
    expect(["timeout", "connect"]).toContain(await attempt());
    expect(asked).toBe(1);
    expect(await attempt()).toBe("blocked");
    expect(touched).toBe(0);
  });
});
