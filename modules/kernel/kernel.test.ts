import { describe, expect, test } from "vitest";
import { z } from "zod";
import { modules } from "../boot.ts";
import { backoffSeconds } from "./queues/consumer.ts";
import { ConfigError, configKeys, loadConfig } from "./config.ts";
import { createKernel } from "./kernel.ts";
import { uuid7 } from "./database/ids.ts";
import { createLog, redact } from "./observability/log.ts";
import { createMetrics } from "./observability/metrics.ts";
import { defineModule } from "./module.ts";
import { defineOperation } from "./operations/operation.ts";
import { type ActionDef, type AnyChannel, defineChannel } from "./channel.ts";
import { createRegistry, scopesAllow } from "./registry.ts";
import { createVault } from "./secrets/vault.ts";

const key = (byte: number) => btoa(String.fromCharCode(...new Uint8Array(32).fill(byte)));
const env = {
  SUPABASE_URL: "http://127.0.0.1:1",
  SUPABASE_PUBLISHABLE_KEY: "sb_publishable_x",
  SUPABASE_SECRET_KEY: "sb_secret_x",
  OVERTURE_DB_URL: "postgres://x",
  OVERTURE_KEYS: `k1:${key(1)}`,
};

describe("configuration", () => {
  test("every key says what it means", () => {
    expect(configKeys(modules).filter((k) => k.description.length < 10)).toEqual([]);
  });
  test("all faults are reported together, each with its key", () => {
    const error = (() => {
      try {
        loadConfig({ ...env, SUPABASE_URL: "nope", OVERTURE_KEYS: "k1:short", OVERTURE_API_RATE: "-1" });
      } catch (e) {
        return e as ConfigError;
      }
    })();
    expect(error).toBeInstanceOf(ConfigError);
    for (const name of ["SUPABASE_URL", "OVERTURE_KEYS", "OVERTURE_API_RATE"]) expect(error!.message).toContain(name);
  });
  test("the platform's key map serves as well as single keys", () => {
    const { SUPABASE_SECRET_KEY: _, ...rest } = env;
    expect(loadConfig({ ...rest, SUPABASE_SECRET_KEYS: '{"default":"sb_secret_map"}' }).config.secretKey).toBe(
      "sb_secret_map",
    );
  });
  test("the required keys are the ones without which boot fails", () => {
    expect(
      configKeys([])
        .filter((k) => k.required)
        .map((k) => k.key),
    ).toEqual(["SUPABASE_URL", "OVERTURE_KEYS"]);
  });
});

describe("a module's configuration", () => {
  const mail = z.object({
    OVERTURE_MAIL_PORT: z.coerce.number().int().default(25).meta({ description: "Port of the mail server" }),
    OVERTURE_MAIL_HOST: z.string(),
  });
  const other = z.object({ OVERTURE_OTHER: z.string() });
  const module = defineModule({
    name: "mail",
    needs: [],
    config: mail,
    privateHosts: (c) => [`${c.OVERTURE_MAIL_HOST}:${c.OVERTURE_MAIL_PORT}`],
  });

  test("is read by its schema, an empty value counts as none", () => {
    const { configOf } = loadConfig({ ...env, OVERTURE_MAIL_HOST: "mail.test", OVERTURE_MAIL_PORT: "" }, [module]);
    expect(configOf(mail)).toEqual({ OVERTURE_MAIL_HOST: "mail.test", OVERTURE_MAIL_PORT: 25 });
    expect(() => configOf(other)).toThrow(/no module/i);
  });
  test("is reported with the kernel's faults, unless the module is switched off", () => {
    const bad = { ...env, SUPABASE_URL: "nope", OVERTURE_MAIL_PORT: "many" };
    const load = (more: Record<string, string>) => () => loadConfig({ ...bad, ...more }, [module]);
    for (const name of ["SUPABASE_URL", "OVERTURE_MAIL_PORT", "OVERTURE_MAIL_HOST"])
      expect(load({})).toThrow(new RegExp(`^  - ${name}: `, "m"));
    expect(load({ OVERTURE_MODULES_OFF: "a, mail" })).not.toThrow(/OVERTURE_MAIL/);
  });
  test("is listed after the kernel's keys, with its meaning", () => {
    expect(configKeys([module]).slice(-2)).toEqual([
      { key: "OVERTURE_MAIL_PORT", description: "Port of the mail server", required: false },
      { key: "OVERTURE_MAIL_HOST", description: "", required: true },
    ]);
  });
  test("takes no key of the kernel or of another module, and begins with OVERTURE_", () => {
    const with_ = (key: string) => defineModule({ name: key, needs: [], config: z.object({ [key]: z.string() }) });
    const make = () => createRegistry([module, with_("OVERTURE_KEYS"), with_("OVERTURE_MAIL_HOST"), with_("HOME")]);
    expect(make).toThrow(/configuration key OVERTURE_KEYS is defined twice/);
    expect(make).toThrow(/configuration key OVERTURE_MAIL_HOST is defined twice/);
    expect(make).toThrow(/configuration key HOME: begin it with OVERTURE_/);
  });
  test("says which private addresses the module serves; no others are reached", async () => {
    const kernel = createKernel({ ...env, OVERTURE_MAIL_HOST: "10.0.0.7", LOG_LEVEL: "silent" }, [module]);
    expect(() => kernel.http.assertAllowed("10.0.0.7", 25)).not.toThrow();
    expect(() => kernel.http.assertAllowed("10.0.0.7", 26)).toThrow();
    expect(() => kernel.http.assertAllowed("10.0.0.8", 25)).toThrow();
    await kernel.close();
  });
});

test("closing closes the modules, the last first; one that fails or hangs keeps nobody", async () => {
  const closed: string[] = [];
  const lines: string[] = [];
  const closing = (name: string, then: () => Promise<void>) =>
    defineModule({ name, needs: [], close: () => (closed.push(name), then()) });
  const kernel = createKernel(
    env,
    [
      closing("a", () => Promise.resolve()),
      closing("b", () => Promise.reject(new Error("cannot"))),
      closing("c", () => new Promise(() => {})),
    ],
    { writeLog: (line) => lines.push(line) },
  );
  await kernel.close();
  expect(closed).toEqual(["c", "b", "a"]);
  expect(lines.map((l) => JSON.parse(l)).map((l) => [l.msg, l.module])).toEqual([
    ["a module could not be closed", "c"],
    ["a module could not be closed", "b"],
  ]);
});

describe("vault", () => {
  const old = { id: "k0", secret: new Uint8Array(32).fill(9) };
  const current = { id: "k1", secret: new Uint8Array(32).fill(1) };
  test("opens what it sealed, only under the same additional data", async () => {
    const vault = createVault([current]);
    const sealed = await vault.seal({ api_key: "secret" }, "connection:t:c");
    expect(sealed).not.toContain("secret");
    expect(await vault.open(sealed, "connection:t:c")).toEqual({ api_key: "secret" });
    await expect(vault.open(sealed, "connection:t:other")).rejects.toThrow(/cannot be decrypted/);
  });
  test("an old key still opens while it is in the ring, and no longer when it is gone", async () => {
    const sealed = await createVault([old]).seal("x", "a");
    expect(await createVault([current, old]).open(sealed, "a")).toBe("x");
    expect(createVault([current, old]).keyOf(sealed)).toBe("k0");
    await expect(createVault([current]).open(sealed, "a")).rejects.toThrow(/OVERTURE_KEYS/);
  });
  test("one flipped byte does not open", async () => {
    const vault = createVault([current]);
    const sealed = await vault.seal("x", "a");
    const broken = sealed.slice(0, -2) + (sealed.endsWith("A") ? "BB" : "AA");
    await expect(vault.open(broken, "a")).rejects.toThrow();
  });
  test("signatures are bound to their purpose and survive rotation", async () => {
    const signature = await createVault([old]).sign("link:open", "data");
    const rotated = createVault([current, old]);
    expect(await rotated.verify("link:open", "data", signature)).toBe(true);
    expect(await rotated.verify("link:unsubscribe", "data", signature)).toBe(false);
    expect(await rotated.verify("link:open", "date", signature)).toBe(false);
  });
});

describe("logs", () => {
  test("no secret, address or mail text survives, at any depth", () => {
    const text = JSON.stringify(
      redact({
        password: "p4ssw0rd",
        nested: [{ apiKey: "re_abcdefgh12345", headers: { authorization: "Bearer eyJhbGciOiJIUzI1NiJ9.aaaa.bbbb" } }],
        url: "postgres://user:hunter2@host/db",
        note: "wrote to anna.smith@example.com with ovk_ABCDEF and whsec_abc123",
        email: "anna@example.com",
        subject: "hello Anna",
        error: new Error("failed for bob@example.com using sb_secret_zzz"),
      }),
    );
    for (const leak of [
      "p4ssw0rd",
      "re_abcdefgh",
      "eyJhbG",
      "hunter2",
      "anna.smith",
      "anna@example",
      "ovk_ABC",
      "whsec_abc",
      "bob@",
      "sb_secret_zzz",
      "hello Anna",
    ]) {
      expect(text).not.toContain(leak);
    }
  });
  test("the level decides what is written", () => {
    const lines: string[] = [];
    const log = createLog("warn", (l) => lines.push(l));
    log.info("no");
    log.with({ queue: "q" }).error("yes", { n: 1 });
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0]!)).toMatchObject({ level: "error", msg: "yes", n: 1, queue: "q" });
  });
});

describe("modules", () => {
  const op = (id: string, permission = "x:read") =>
    defineOperation({
      id,
      method: "GET",
      path: "/x/{id}",
      summary: "",
      permission,
      input: z.object({}),
      output: z.object({}),
      handle: () => Promise.resolve({}),
    });
  test("every fault is listed at once", () => {
    const make = () =>
      createRegistry([
        defineModule({
          name: "a",
          needs: ["ghost"],
          permissions: { "x:write": "owner" },
          operations: [op("a.x", "nobody:has")],
        }),
        defineModule({ name: "b", needs: [], permissions: { "x:write": "viewer" }, operations: [op("a.x")] }),
      ]);
    for (const fault of [
      /needs ghost/,
      /permission x:write is defined twice/,
      /operation a\.x is defined twice/,
      /route GET \/x\/\{\} is defined twice/,
      /\{id\} is not in its input/,
      /nobody:has/,
    ])
      expect(make).toThrow(fault);
  });
  test("a channel has an id of its own, actions named after it, and limits that are numbers", () => {
    const channel = (id: string, actions: Record<string, ActionDef>): AnyChannel =>
      defineChannel({
        id,
        label: id,
        contact_field: "email",
        address: { label: "", example: "", normalise: (input) => input },
        sender: { label: "", example: "", normalise: (input) => input, profile: z.object({}) },
        actions,
        requires_consent: false,
        options: z.object({}),
        template: z.object({}),
        compile: () => ({ uses: [], faults: [], parts: null }),
        render: () => ({ missing: [], faults: [], subject: "", text: "", draft: null }),
        prepare: () => Promise.resolve({ subject: "", text: "", content: {}, email: null, links: [] }),
        content: () => ({}),
        measure: () => ({}),
        readInbound: () => {
          throw new Error("not read here");
        },
      });
    const good = channel("post", { "post.send": { label: "", limits: [{ per: "day", cap: 1 }] } });
    const boot = (...channels: AnyChannel[]) => createRegistry([defineModule({ name: "a", needs: [], channels })]);
    expect(() => boot(good)).not.toThrow();
    expect(() => boot(good, good)).toThrow(/channel post is defined twice/);
    expect(() => boot(channel("Post", {}))).toThrow(/lower case[^]*channel Post has no action/);
    const day = { per: "day", cap: 1 } as const;
    for (const [name, limits, fault] of [
      ["send", [], /name the action send as post\.<verb>/],
      ["fax.send", [], /name the action fax\.send as post\.<verb>/],
      ["post.", [], /name the action post\. as/],
      ["post.send", [{ per: "day", cap: 0 }], /limits of post\.send are whole numbers from 1/],
      ["post.send", [day, day], /two limits for the same period/],
    ] as const)
      expect(() => boot(channel("post", { [name]: { label: "", limits } })), name).toThrow(fault);
  });

  test("a catalogue entry, a page and its shortcut belong to one module", () => {
    const page = { label: "", icon: "", group: "work", position: 1 } as const;
    const make = () =>
      createRegistry([
        defineModule({
          name: "a",
          needs: [],
          catalogue: { colour: [{ value: "red", label: "Red" }] },
          pages: [{ ...page, path: "/a", shortcut: "a" }],
        }),
        defineModule({
          name: "b",
          needs: [],
          catalogue: { colour: [{ value: "red", label: "Rot" }] },
          pages: [
            { ...page, path: "/a", shortcut: "b" },
            { ...page, path: "/b", shortcut: "a", permission: "b:read" },
          ],
        }),
      ]);
    for (const fault of [
      /catalogue entry colour red is defined twice/,
      /page \/a is defined twice/,
      /shortcut a is defined twice/,
      /page \/b: no module declares the permission b:read/,
    ])
      expect(make).toThrow(fault);
  });
  test("a module cannot be switched off under one that needs it", () => {
    expect(() =>
      createRegistry([defineModule({ name: "a", needs: [] }), defineModule({ name: "b", needs: ["a"] })], ["a"]),
    ).toThrow(/b needs a, which is switched off/);
  });
  test.each([
    [["contacts:read"], "contacts:read", true],
    [["contacts:read"], "contacts:write", false],
    [["contacts:write"], "contacts:read", true],
    [["*:read"], "campaigns:read", true],
    [["*:read"], "campaigns:launch", false],
    [["campaigns:write"], "campaigns:launch", true],
    [["contacts:write"], "campaigns:write", false],
  ])("scopes %j on %s: %s", (scopes, permission, allowed) => expect(scopesAllow(scopes, permission)).toBe(allowed));
});

test("uuid7 sorts by time and is version 7, variant 10", () => {
  const [a, b] = [uuid7(1_700_000_000_000), uuid7(1_700_000_000_001)];
  expect(a < b).toBe(true);
  expect(a).toMatch(/^018bcfe5-6800-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

test("back-off doubles up to an hour", () => {
  expect([1, 2, 3, 20].map((n) => backoffSeconds(n, () => 0))).toEqual([2, 4, 8, 3600]);
});

test("metrics render counters, histograms and gauges as Prometheus text", async () => {
  const m = createMetrics();
  m.count("c_total", "help", { q: 'a"b' });
  m.observe("h_seconds", "help", 0.02);
  const stored = { family: "s_seconds", help: "stored", type: "histogram" as const };
  const text = await m.render([
    { name: "g", help: "help", value: 3 },
    { name: "s_seconds_bucket", ...stored, labels: { le: "+Inf" }, value: 4 },
    { name: "s_seconds_count", ...stored, value: 4 },
  ]);
  expect(text).toContain('c_total{q="a\\"b"} 1');
  expect(text).toContain('h_seconds_bucket{le="0.025"} 1');
  expect(text).toContain('h_seconds_bucket{le="0.01"} 0');
  expect(text).toContain("\ng 3\n");
  expect(text.match(/s_seconds.*/g)).toEqual([
    "s_seconds stored",
    "s_seconds histogram",
    's_seconds_bucket{le="+Inf"} 4',
    "s_seconds_count 4",
  ]);
  expect(await createMetrics().render()).toBe("");
});
