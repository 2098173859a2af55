import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { providers } from "../modules/providers/registry.ts";
import { loadEmulations } from "../modules/sandbox/emulations.ts";
import { ROOT } from "../supabase/embedded/home.ts";
import { providerRecord, record } from "./provider-record.ts";
import { type RecordedRequest, smtpReader } from "./recorder.ts";

const run = (...args: string[]) => {
  const node = join(ROOT, "node_modules", ".bin", "node");
  const ran = spawnSync(node, ["scripts/provider-record.ts", ...args], { cwd: ROOT, encoding: "utf8", input: "" });
  return { code: ran.status, out: ran.stdout, error: ran.stderr };
};

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
      messages: [
        {
          mail_from: "sales@sandbox.test",
          rcpt_to: [`silent+${FIRST}@example.com`],
          data: expect.stringContaining(`Message-ID: <${FIRST}@sandbox.test>`),
        },
      ],
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

describe("the command", () => {
  test("refuses a name that no provider has, with one line", () => {
    const { code, out, error } = run("nope");
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(error).toMatch(/^There is no provider «nope»\. Use one of: resend, [\w, ]+\.\n$/);
  });

  test.each([[[]], [["resend", "postmark"]], [["resend", "--write"]]])("refuses %j with what to type", async (args) => {
    const said = await providerRecord(args).catch((error: Error) => error.message);
    expect(said).toMatch(/^Type: npm run -s provider:record/);
  });
});
