import { spawnSync } from "node:child_process";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { createHttpClient } from "../modules/kernel/http/client.ts";
import { defineProvider } from "../modules/kernel/provider.ts";
import { providers } from "../modules/providers/registry.ts";
import { loadEmulations } from "../modules/sandbox/emulations.ts";
import { ROOT } from "../supabase/embedded/home.ts";
import { recordAnswers } from "./provider-answers.ts";
import { providerRecord, record } from "./provider-record.ts";
import { type RecordedRequest, smtpReader } from "./recorder.ts";
import { createRedaction } from "./redact.ts";

const run = (...args: string[]) => {
  const node = join(ROOT, "node_modules", ".bin", "node");
  const ran = spawnSync(node, ["scripts/provider-record.ts", ...args], { cwd: ROOT, encoding: "utf8", input: "" });
  return { code: ran.status, out: ran.stdout, error: ran.stderr };
};
const refusal = (...args: string[]) =>
  providerRecord(args).then(
    () => "not refused",
    (error: Error) => error.message,
  );

describe("what an adapter sends", () => {
  const recordOf = async (id: string) => {
    const emulation = (await loadEmulations()).find((e) => e.id === id)!;
    return await record(
      providers.find((p) => p.id === id)!,
      emulation,
    );
  };
  const [FIRST, SECOND, THIRD] = [1, 2, 3].map((n) => `018f0000-0000-7000-8000-00000000000${n}`);
  const requests = async (id: string) => (await recordOf(id)) as RecordedRequest[];

  test("is printed as JSON by the command: method, path, headers and the raw body of one message", () => {
    const { code, out, error } = run("resend");
    expect({ code, error }).toEqual({ code: 0, error: "" });
    const [request, ...others] = JSON.parse(out) as RecordedRequest[];
    expect(others).toEqual([]);
    expect(request).toMatchObject({ method: "POST", path: "/emails" });
    expect(request!.headers).toMatchObject({
      authorization: expect.stringMatching(/^Bearer re_/),
      "idempotency-key": FIRST,
    });
    expect(JSON.parse(request!.body)).toMatchObject({ subject: "Grüße & a question" });
  });

  test("holds a batch too, where the provider takes one", async () => {
    const all = await requests("postmark");
    expect(all.map((r) => (JSON.parse(r.body) as unknown[]).length)).toEqual([1, 2]);
    expect(all[1]!.body).toContain(SECOND);
    expect(all[1]!.body).toContain(THIRD);
  });

  test("holds forms as they were written, and mail as its envelope and text", async () => {
    const [form] = await requests("twilio");
    expect(form!.headers["content-type"]).toBe("application/x-www-form-urlencoded");
    expect(new URLSearchParams(form!.body).get("Body")).toContain("Grüße");
    expect(await recordOf("smtp")).toMatchObject({
      protocol: "smtp",
      // The batch goes over several connections at once; it stands in the order of the messages all the same.
      messages: [FIRST, SECOND, THIRD].map((id) => ({
        mail_from: "sales@sandbox.test",
        rcpt_to: [`silent+${id}@example.com`],
        data: expect.stringContaining(`Message-ID: <${id}@sandbox.test>`),
      })),
    });
  });

  test("a mail's dots are its own, however its bytes arrive", () => {
    const mails: unknown[] = [];
    const read = smtpReader((mail) => mails.push(mail));
    const said = "EHLO x\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@x.test>\r\nDATA\r\n..one\r\nü\r\n.\r\nQUIT\r\n";
    for (const byte of Buffer.from(said)) read(Buffer.of(byte));
    expect(mails).toEqual([{ mail_from: "a@x.test", rcpt_to: ["b@x.test"], data: ".one\r\nü\r\n" }]);
  });
});

describe("what a provider answers", () => {
  const KEY = "Live/Key+9f8e7d6c";
  const PERSONAL = ["ada.lovelace@acme.test", "Ada Lovelace", "+4915112345678", "1815-12-10", "ada_l_77", "4711.5"];
  let server: http.Server;
  let base: string;
  let calls: string[];
  beforeAll(async () => {
    server = http.createServer((req, res) => {
      calls.push(`${req.method} ${req.url}`);
      const basic = Buffer.from(`${KEY}:`).toString("base64");
      const told = {
        id: KEY,
        url: `https://api.example.test/?key=${encodeURIComponent(KEY)}`,
        code: KEY,
        status: "active",
        message: `The key ${KEY} belongs to Ada Lovelace.`,
        owner: { email: PERSONAL[0], name: PERSONAL[1], phones: [PERSONAL[2]], born: PERSONAL[3], type: PERSONAL[0] },
        members: { [PERSONAL[4]!]: { balance: 4711.5, basic }, [KEY]: true },
        created_at: "2024-05-06T07:08:09.123+02:00",
        verified: false,
        nothing: null,
      };
      const failed = { statusCode: 401, name: "invalid_api_key", message: `Wrong: ${KEY}`, reason: "Ada" };
      const headers = { "content-type": "application/json", "retry-after": "7", "x-account": KEY, "set-cookie": KEY };
      if (req.url!.startsWith("/page")) return void res.end(`<h1>${KEY}</h1>`);
      const status = req.url!.startsWith("/denied") ? 401 : 200;
      res.writeHead(status, headers).end(JSON.stringify(status === 200 ? told : failed));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => server.close());
  beforeEach(() => void (calls = []));

  /** An adapter that calls what it is told in its check, and posts to /messages in its send. */
  const adapter = (...checks: ["GET" | "POST", string][]) =>
    defineProvider()({
      id: "acme",
      label: "Acme",
      category: "sms",
      docs_url: "",
      setup: "",
      credentials: z.object({ api_key: z.string() }),
      default_base_url: null,
      runs_in: "anywhere",
      async check(connection, client) {
        for (const [method, path] of checks) await client.request({ method, url: `${connection.base_url}${path}` });
        return { ok: true, detail: "" };
      },
      send: {
        per_second: 1,
        batch: 1,
        call_seconds: 15,
        reconcile: { by: "none" },
        async send(_messages, connection, client) {
          await client.json({ method: "POST", url: `${connection.base_url}/messages`, body: {} });
          return [{ outcome: "sent", provider_message_id: "1" }];
        },
      },
    });
  const connection = () => ({
    id: "c",
    credentials: { api_key: KEY },
    settings: {},
    base_url: base,
    webhook_url: null,
  });
  const client = () => createHttpClient({ allowPrivateHosts: [new URL(base).host], userAgent: "test" });
  const message = {
    id: "m",
    action: "sms.send",
    from: { address: "+15005550006" },
    to: { address: PERSONAL[2]! },
    content: { text: "Hi" },
  };

  test("is recorded without the key, however the answer repeats it, and without personal values", async () => {
    const path = `/v1/accounts/${encodeURIComponent(KEY)}/people?page=2&owner=${PERSONAL[0]}`;
    const checks: ["GET", string][] = [
      ["GET", path],
      ["GET", "/denied"],
      ["GET", "/page"],
    ];
    const answers = await recordAnswers(adapter(...checks), connection(), client());
    const text = JSON.stringify(answers);
    for (const value of [KEY, encodeURIComponent(KEY), Buffer.from(`${KEY}:`).toString("base64"), ...PERSONAL, "Ada"])
      expect(text).not.toContain(value);
    expect(answers).toEqual([
      {
        method: "GET",
        path: "/v1/accounts/Xxxx%0XXxx%0X0x0x0x0x/people?page=2&owner=person@example.com",
        status: 200,
        headers: { "content-type": "application/json", "retry-after": "7" },
        body: {
          id: "Xxxx/Xxx+0x0x0x0x",
          url: "https://example.com/",
          code: "Xxxx/Xxx+0x0x0x0x",
          status: "active",
          message: expect.stringMatching(/^Xxx xxx [Xx/+0]+ xxxxxxx xx Xxx Xxxxxxxx\.$/),
          owner: {
            email: "person@example.com",
            name: "Xxx Xxxxxxxx",
            phones: ["+12025550100"],
            born: "2026-01-01",
            type: "person@example.com",
          },
          members: { field_1: { balance: 1, basic: expect.stringMatching(/^[Xx0=]+$/) }, field_2: true },
          created_at: "2026-01-01T00:00:00.000Z",
          verified: false,
          nothing: null,
        },
      },
      {
        method: "GET",
        path: "/denied",
        status: 401,
        headers: { "content-type": "application/json", "retry-after": "7" },
        body: { statusCode: 401, name: "invalid_api_key", message: "Xxxxx: Xxxx/Xxx+0x0x0x0x", reason: "Xxx" },
      },
      { method: "GET", path: "/page", status: 200, headers: {}, body: "26 characters of no type, left out" },
    ]);
  });

  test("no value of a random answer that holds a secret comes through with it", () => {
    for (let round = 0; round < 300; round++) {
      const secret = Buffer.from(crypto.getRandomValues(new Uint8Array(4 + (round % 20)))).toString("base64url");
      const redaction = createRedaction([secret]);
      const bits = [
        secret,
        `a${secret}b`,
        secret.toUpperCase(),
        { [secret]: secret },
        [secret, { code: secret, type: secret }],
      ];
      const answer = {
        status: secret,
        error: `wrong_${secret}`,
        list: bits,
        [`x${secret}`]: bits[round % bits.length],
      };
      const text = JSON.stringify(redaction.body(answer, round % 2 === 0));
      expect(text.toLowerCase()).not.toContain(secret.toLowerCase());
      expect(() => redaction.assertClean(text)).not.toThrow();
    }
  });

  test("a secret or an address that was overlooked stops the recording", () => {
    const { assertClean } = createRedaction([KEY, "s3cr"]);
    const pair = Buffer.from(`${KEY}:s3cr`).toString("base64");
    for (const left of [`"${KEY}"`, KEY.toLowerCase(), encodeURIComponent(KEY), `Basic ${pair}`, "a@acme.test"])
      expect(() => assertClean(`[${left}]`)).toThrow(/nothing was written/);
    expect(() => assertClean('["person@example.com"]')).not.toThrow();
  });

  test("a check that would change something is refused before it leaves", async () => {
    const checks: ["GET" | "POST", string][] = [
      ["GET", "/a"],
      ["POST", "/b"],
    ];
    await expect(recordAnswers(adapter(...checks), connection(), client())).rejects.toThrow(/wants to POST/);
    expect(calls).toEqual(["GET /a"]);
  });

  test("a message is sent after a yes alone, and the question says what it sends and to whom", async () => {
    const asked: string[] = [];
    const answering = (yes: boolean) => async (question: string) => {
      asked.push(question);
      return await Promise.resolve(yes);
    };
    const acme = adapter(["GET", "/a"]);
    const no = recordAnswers(acme, connection(), client(), { message, confirm: answering(false) });
    await expect(no).rejects.toThrow("Nothing was sent, and nothing was recorded.");
    expect(calls).toEqual(["GET /a"]);
    expect(asked).toEqual([
      `This command sends one message from +15005550006 to ${PERSONAL[2]} through Acme, which may cost money.`,
    ]);
    const answers = await recordAnswers(acme, connection(), client(), { message, confirm: answering(true) });
    expect(answers.map((a) => `${a.method} ${a.path}`)).toEqual(["GET /a", "POST /messages"]);
  });

  test("an error that names the key is not shown", async () => {
    const acme = { ...adapter(), check: () => Promise.reject(new Error(`no account ${KEY}`)) };
    const failed = await recordAnswers(acme, connection(), client()).catch((error: Error) => error.message);
    expect(failed).toBe("It failed with a message that holds a secret and is not shown.");
  });

  describe("by the command", () => {
    let folder: string;
    beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), "overture-record-"))));
    afterAll(() => rmSync(folder, { recursive: true }));
    const file = (value: unknown) => {
      const path = join(folder, "connection.json");
      writeFileSync(path, typeof value === "string" ? value : JSON.stringify(value));
      return path;
    };

    test("goes through the guarded client: no private address is reached, and nothing is written", async () => {
      const real = file({ credentials: { api_key: "re_live_1234" }, base_url: base });
      expect(await refusal("resend", "--real", real, "--write")).toMatch(/127\.0\.0\.1/);
      expect(calls).toEqual([]);
      expect(existsSync(join(ROOT, "modules/providers/email/resend/recorded.json"))).toBe(false);
    });

    test("a name that no provider has is refused with one line", () => {
      const { code, out, error } = run("nope");
      expect({ code, out }).toEqual({ code: 1, out: "" });
      expect(error).toMatch(/^There is no provider «nope»\. Use one of: resend, [\w, ]+\.\n$/);
    });

    test.each([
      [[], {}, /^Type: npm run -s provider:record/],
      [["resend", "--write"], {}, /^Type:/],
      [["resend", "--from", "a@x.test"], {}, /^Type:/],
      [["resend", "--rael", "x"], {}, /^Type:/],
      [["resend", "--real", "FILE"], "not JSON", /holds no JSON; write \{"credentials"/],
      [["resend", "--real", "FILE"], { credentials: { api_key: "sk_live_1" } }, /A Resend API key starts with re_/],
      [
        ["resend", "--real", "FILE", "--from", "x", "--to", "a@x.test"],
        { credentials: { api_key: "re_1" } },
        /--from x is no /,
      ],
    ])("%j is refused with what to do, and shows no value of the file", async (args, content, message) => {
      const said = await refusal(...args.map((arg) => (arg === "FILE" ? file(content) : arg)));
      expect(said).toMatch(message);
      expect(said).not.toContain("sk_live_1");
    });
  });
});
