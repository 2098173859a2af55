import { describe, expect, test } from "vitest";
import { z } from "zod";
import { type AnyChannel, blockedBy, type InboundKind, type PreparedMessage } from "../kernel/channel.ts";
import { loadConfig } from "../kernel/config.ts";
import { createVault } from "../kernel/secrets/vault.ts";
import type { InboundMessage } from "../kernel/provider.ts";
import { type MergeRow, valuesOf } from "./variables.ts";

/** What every channel must keep, whatever it is: proven with the channel itself. What differs is data. */

export type ChannelSpec = {
  /** Written form → normal form. */
  addresses: [given: string, normal: string][];
  senders: [given: string, normal: string][];
  /** No address and no sender. */
  junk: string[];
  /** A template that holds `text` in every field an author writes. */
  template(text: string): Record<string, unknown>;
  /** A template that holds `text` in the field that takes the longest. */
  long(text: string): Record<string, unknown>;
  /** Fields of the template in which variables may stand. */
  fields: string[];
  /** A text of one person's that is surely too long or empty for this channel, with the fault it gives; none: no such bound. */
  refused?: { template: Record<string, unknown>; row: Partial<MergeRow>; fault: string }[];
  /** Every string that leaves, in the place it leaves: what a value could break out of. */
  outgoing(message: PreparedMessage, content: unknown): { lines: string[]; markup: string[] };
  /** A sender of the channel. */
  from: { address: string; name: string; profile: Record<string, unknown> };
  /** Every choice of the channel's options switched on. */
  options: Record<string, unknown>;
  /** A received message with `text` and the given strings in all its details. */
  inbound(text: string, details: string): InboundMessage;
  /** Whole messages and what they are. */
  kinds: [text: string, kind: InboundKind][];
};

export const person: MergeRow = {
  email: "ada@acme.test",
  first_name: "Ada",
  last_name: "Lovelace",
  full_name: "Ada Lovelace",
  title: "",
  phone: "+4915112345678",
  whatsapp_number: null,
  linkedin_url: null,
  country: null,
  time_zone: null,
  deal_value: 1200,
  company_name: "Acme & Söhne",
  company_domain: "acme.test",
  company_size: null,
  company_industry: null,
  company_country: null,
  custom: { plan: "pro", seats: 0, active: false, empty: "" },
  sender_name: "Sam Jones",
  sender_address: "sam@us.test",
};
export const customKeys: ReadonlySet<string> = new Set(["plan", "seats", "active", "empty", "site"]);

/** A configuration and key ring as an installation has them. */
export const services = {
  config: loadConfig(
    {
      SUPABASE_URL: "https://overture.test",
      SUPABASE_PUBLISHABLE_KEY: "sb_publishable_test",
      SUPABASE_SECRET_KEY: "sb_secret_test",
      OVERTURE_DB_URL: "postgres://overture_worker:x@127.0.0.1/postgres",
      OVERTURE_KEYS: `k1:${btoa("\u0001".repeat(32))}`,
    },
    [],
  ).config,
  vault: createVault([{ id: "k1", secret: new Uint8Array(32).fill(1) }]),
};

const NO_THREAD = { references: [], subject: null };
const HOSTILE_NAME =
  "<img src=x onerror=alert(1)> [click](https://evil.test) {{email}} \"q\" 'q'\r\nBcc: all@evil.test\u0000\u2028\u202e\ue0000\ue001\ud800";

/** Strings that broke readers before: empty, enormous, unstorable, and such as make expressions run for minutes. */
const HOSTILE_TEXTS: [string, string][] = [
  ["nothing", ""],
  ["U+0000 and lone surrogates", "a\u0000b\ud800c\udc00"],
  ["line breaks of all kinds", "a\r\nBcc: x@y.z\rb\u2028c\u0085d"],
  ["a million letters", "x".repeat(1_000_000)],
  ["blank lines", "\n".repeat(200_000)],
  ["spaces", `${" ".repeat(200_000)}x`],
  ["astral characters", "😀".repeat(200_000)],
  ["combining characters", `a${"\u0301".repeat(200_000)}`],
  ["angle brackets", "<".repeat(200_000)],
  ["quote heads", "On a on at ".repeat(20_000)],
  ["words of an opt-out", "stop ".repeat(50_000)],
];

/** Limits of the ledger's columns, in characters. */
const BOUNDS = {
  provider_inbound_id: 300,
  from_address: 320,
  from_name: 120,
  to_address: 320,
  subject: 500,
  text: 100_000,
} as const;

export function conformance(channel: AnyChannel, spec: ChannelSpec): void {
  const parse = (template: Record<string, unknown>) => channel.template.parse(template);
  const compile = (template: Record<string, unknown>, first = true) =>
    channel.compile(parse(template), { customKeys, first });
  const render = (template: Record<string, unknown>, row: Partial<MergeRow> = {}, showMissing = false) =>
    channel.render(compile(template), { valueOf: valuesOf({ ...person, ...row }), thread: NO_THREAD, showMissing });
  const prepare = (template: Record<string, unknown>, row: Partial<MergeRow> = {}) =>
    channel.prepare({
      services,
      tenantId: "018f0000-0000-7000-8000-000000000001",
      messageId: "018f0000-0000-7000-8000-000000000002",
      from: spec.from,
      rendered: render(template, row),
      options: spec.options,
    });
  const errors = (faults: readonly { level: string; id: string }[]) =>
    faults.filter((f) => f.level === "error").map((f) => f.id);

  describe("addresses", () => {
    test.each(spec.addresses)("%j is %s, and that is its own normal form", (given, normal) => {
      expect(channel.address.normalise(given)).toBe(normal);
      expect(channel.address.normalise(normal)).toBe(normal);
    });
    test.each(spec.senders)("a sender %j is %s, and that is its own normal form", (given, normal) => {
      expect(channel.sender.normalise(given)).toBe(normal);
      expect(channel.sender.normalise(normal)).toBe(normal);
    });
    test("the examples are addresses", () => {
      expect(channel.address.normalise(channel.address.example)).toBe(channel.address.example);
      expect(channel.sender.normalise(channel.sender.example)).toBe(channel.sender.example);
    });
    test.each(["", " ", "\u0000", "a\nb", "x".repeat(100_000), ...spec.junk])("%j is none", (junk) => {
      expect(channel.address.normalise(junk.slice(0, 100_000))).toBeNull();
      expect(channel.sender.normalise(junk)).toBeNull();
    });
  });

  describe("forms", () => {
    test.each(["template", "options"] as const)("every field of the %s has a type, a title and a place", (name) => {
      const json = z.toJSONSchema(channel[name], { io: "input" }) as {
        properties?: Record<string, { type?: string; title?: string; widget?: string }>;
      };
      for (const [field, p] of Object.entries(json.properties ?? {})) {
        expect(p, field).toMatchObject({
          type: expect.stringMatching(/^(string|integer|number|boolean)$/),
          title: expect.any(String),
        });
        if (name === "template") expect(p.widget, field).toMatch(/^(line|text|markdown)$/);
      }
    });
    test("options have defaults, so that a campaign need not choose", () => {
      expect(channel.options.safeParse({}).success).toBe(true);
    });
    test("what no template is, is refused by the field's name", () => {
      const nothing = channel.template.safeParse(Object.fromEntries(spec.fields.map((f) => [f, 1])));
      expect(nothing.error?.issues.map((issue: { path: PropertyKey[] }) => issue.path[0])).toEqual(spec.fields);
    });
  });

  describe("compile", () => {
    test("a sound template has no fault, and tells its variables by their canonical names", () => {
      const compiled = compile(spec.template("Hello {{ first_name | there }}, {{custom.plan}}"));
      expect(compiled.faults).toEqual([]);
      expect([...new Set(compiled.uses.map((u) => `${u.name}|${u.fallback}`))]).toEqual([
        "firstName|there",
        "custom.plan|null",
      ]);
    });
    test("an unknown variable is an error of its field that names what was probably meant", () => {
      const { faults } = compile(spec.template("{{fristName}} {{custom.plans}} {{constructor}} {{__proto__}}"));
      for (const field of spec.fields) {
        const found = faults.filter((f) => f.field === field && f.id === "variable_unknown");
        expect(found, field).toHaveLength(4);
        expect(found[0]).toMatchObject({ level: "error", detail: expect.stringContaining("{{firstName}}") });
        expect(found[1]!.detail).toContain("{{custom.plan}}");
      }
    });
    test.each(["{{firstName", "firstName}}", "{{a{{b}}c}}", "{{}}", "{{|x}}"])("%s is an error", (source) => {
      expect(errors(compile(spec.template(source)).faults).length).toBeGreaterThan(0);
    });
    test("nothing but blanks is an error", () => {
      expect(errors(compile(spec.template(" ")).faults).length).toBeGreaterThan(0);
    });
    test.each([
      "{{a}}",
      "{{",
      "{{firstName}}",
      "{{x|",
      "*a_",
      "> ",
      "1. ",
      "[",
      "![",
      "!",
      "http://a(",
      "|a|\n|-|\n",
      "- a\n ",
    ])("a text of nothing but %j is read in time", (unit) => {
      for (const length of [4000, 20_000, 50_000]) {
        // Past the schema's own limit nothing is read at all.
        const read = channel.template.safeParse(spec.long(unit.repeat(Math.floor(length / unit.length))));
        if (!read.success) continue;
        const started = performance.now();
        channel.compile(read.data, { customKeys, first: true });
        expect(performance.now() - started, `${length} characters`).toBeLessThan(3000);
      }
    });
  });

  describe("render", () => {
    test("values that are missing and have no fallback are named once, and block the message", () => {
      const out = render(spec.template("{{title}} {{job_title}} {{custom.empty}} {{firstName}} {{title|x}}"));
      expect(out.missing).toEqual(["title", "custom.empty"]);
      expect(blockedBy(out)).toBe("Missing: title, custom.empty");
      expect(blockedBy(render(spec.template("{{title|x}}")))).toBeNull();
    });
    test("a preview shows the gaps as they were written", () => {
      expect(render(spec.template("Hi {{title}}!"), {}, true).text).toContain("Hi {{title}}!");
      expect(render(spec.template("Hi {{title}}!"), {}, false).text).not.toContain("{{");
    });
    test("the text is for people: values stand in it as they are", () => {
      expect(render(spec.template("Hi {{companyName}}")).text).toContain("Hi Acme & Söhne");
    });
    for (const [i, { template, row, fault }] of (spec.refused ?? []).entries())
      test(`what this person's values make unsendable is refused (${i + 1}: ${fault})`, () => {
        const out = render(template, row);
        expect(errors(out.faults)).toContain(fault);
        expect(blockedBy(out)).not.toBeNull();
      });
    test("it can be measured", () => {
      const facts = Object.entries(channel.measure(render(spec.template("Hi {{firstName}}"))));
      expect(facts.length).toBeGreaterThan(0);
      for (const [, v] of facts) expect(["string", "number"]).toContain(typeof v);
    });
  });

  describe("hostile values", () => {
    test("make no markup, header line or variable, and nothing the database cannot store", async () => {
      const message = await prepare(spec.template("Hi {{firstName}}!"), { first_name: HOSTILE_NAME });
      const content = channel.content(message);
      const { lines, markup } = spec.outgoing(message, content);
      const all = JSON.stringify({ message, content });
      expect(all).not.toMatch(/\\u0000|\\ud800|[\u202e\ue000-\ue004]/);
      for (const line of lines) expect(line).not.toMatch(/[\r\n\u2028\u2029\u0085]/);
      for (const html of markup) expect(html).not.toMatch(/<img src=x|href="https:\/\/evil/);
      expect(message.text).toContain("{{email}}");
      expect(all).not.toContain("ada@acme.test");
    });
  });

  describe("prepare", () => {
    const template = spec.template("Hi {{firstName}}, see https://example.com/a?b=1");
    test("the same input gives the same message", async () => {
      expect(await prepare(template)).toEqual(await prepare(template));
    });
    test("the ledger's columns are all the providers' content needs", async () => {
      const { links: _, ...stored } = await prepare(template);
      const fromDatabase = JSON.parse(JSON.stringify(stored)) as typeof stored;
      expect(channel.content(fromDatabase)).toEqual(channel.content(stored));
      expect(JSON.stringify(channel.content(stored))).toContain("Hi Ada");
    });
    test("links have numbers from 1, each once, and lead where the author wrote", async () => {
      const { links } = await prepare(template);
      expect(links.map((l) => l.number)).toEqual(links.map((_, i) => i + 1));
      for (const { url } of links) expect(url).toBe("https://example.com/a?b=1");
    });
  });

  describe("inbound", () => {
    test.each(spec.kinds)("%j is %s", (text, kind) => {
      expect(channel.readInbound(spec.inbound(text, "x")).kind).toBe(kind);
    });
    test("what was said is kept", () => {
      expect(channel.readInbound(spec.inbound("Sounds good.\nTuesday?", "x")).text).toBe("Sounds good.\nTuesday?");
    });
    test.each(HOSTILE_TEXTS)("%s: read in time, bounded and storable", (_, text) => {
      const started = performance.now();
      const read = channel.readInbound(spec.inbound(text, text));
      expect(performance.now() - started).toBeLessThan(3000);
      for (const [field, max] of Object.entries(BOUNDS))
        expect(read[field as keyof typeof BOUNDS].length, field).toBeLessThanOrEqual(max);
      expect(read.full_text?.length ?? 0).toBeLessThanOrEqual(BOUNDS.text);
      expect(read.references.length).toBeLessThanOrEqual(50);
      const json = JSON.stringify(read);
      expect(json.length).toBeLessThan(1_500_000);
      expect(json).not.toMatch(/\\u0000|\\ud[89a-f][0-9a-f]{2}/);
      for (const field of ["from_address", "from_name", "to_address", "subject"] as const)
        expect(read[field]).not.toMatch(/[\r\n\u2028\u2029\u0085]/);
    });
  });
}
