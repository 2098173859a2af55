import { expect, test } from "vitest";
import { z } from "zod";
import { describeProvider } from "./catalogue.ts";
import { describeFields } from "./describe.ts";
import { createRegistry, providerOf } from "../kernel/registry.ts";
import { defineProvider, type AnyProvider } from "../kernel/provider.ts";
import { modules } from "../boot.ts";

const registry = createRegistry(modules);
const { providers } = registry;
const providerById = (id: string) => providerOf(registry, id);

test("every provider is whole: an id of its own, help for the tenant, and something that it can do", () => {
  expect(new Set(providers.map((p) => p.id)).size).toBe(providers.length);
  for (const provider of providers) {
    expect(provider.setup.length, provider.id).toBeGreaterThan(40);
    expect(provider.docs_url).toMatch(/^https:/);
    const { send, inbound, lookup, complete, search } = provider;
    expect(send ?? inbound ?? lookup ?? complete ?? search, provider.id).toBeDefined();
  }
});

const crm = (over: Partial<AnyProvider>) =>
  defineProvider()({
    id: "crm_one",
    label: "CRM",
    category: "crm",
    docs_url: "https://example.com",
    setup: "",
    credentials: z.object({}),
    default_base_url: null,
    runs_in: "anywhere",
    check: () => Promise.resolve({ ok: true, detail: "" }),
    ...over,
  });

test("any module may bring providers; the boot names the ones that do not fit", () => {
  const send = {
    per_second: 1,
    batch: 1,
    call_seconds: 1,
    reconcile: { by: "none" as const },
    send: () => Promise.resolve([]),
  };
  const made = createRegistry([
    { name: "crm", needs: [], categories: ["crm"], providers: [crm({}), crm({ id: "crm_two", send })] },
  ]);
  expect(made.providers.map((p) => p.id)).toEqual(["crm_one", "crm_two"]);
  expect(made.categories).toEqual(["crm"]);

  const boot =
    (...list: Partial<AnyProvider>[]) =>
    () =>
      createRegistry([{ name: "crm", needs: [], categories: ["crm"], providers: list.map((over) => crm(over)) }]);
  expect(boot({ category: "fax" })).toThrow(
    "provider crm_one: no module registers the channel or category fax; known: crm",
  );
  expect(boot({}, {})).toThrow("provider crm_one is defined twice");
  expect(boot({ id: "CRM" })).toThrow("provider CRM: its id must be");
  expect(boot({ send: { ...send, reconcile: { by: "search", after_seconds: 60 } } })).toThrow(
    "reconciles by search, so it needs send.find",
  );
  expect(boot({ send: { ...send, reconcile: { by: "search", after_seconds: 0 } } })).toThrow(
    "send.reconcile.after_seconds must be above 0",
  );
  expect(boot({ send: { ...send, batch: 0 } })).toThrow("send.batch starts at 1");
  expect(boot({ send: { ...send, per_second: 0 } })).toThrow("send.per_second must be above 0");
  expect(boot({ send: { ...send, call_seconds: 0 } })).toThrow("send.call_seconds must be above 0");
  expect(boot({ inbound: { fetch: () => Promise.reject(new Error("never")) } })).toThrow(
    "has no webhook that would announce",
  );
});

test("an unknown id says which ones there are", () => {
  expect(providerById("postmark").label).toBe("Postmark");
  expect(() => providerById("nope")).toThrow(
    expect.objectContaining({ code: "not_found", suggestion: expect.stringContaining("resend") }),
  );
});

test("every form field of every provider has a label, and what is secret is marked so", () => {
  for (const provider of providers) {
    const form = describeProvider(provider);
    for (const field of [...form.credentials_form, ...form.settings_form])
      expect(field.title, `${form.id}.${field.key}`).not.toBe(field.key);
    for (const field of form.credentials_form) {
      // A SID is an identifier, that of a key too.
      const secret = /key|secret|token|password/.test(field.key) && !field.key.endsWith("_sid");
      expect(field.secret, `${form.id}.${field.key}`).toBe(secret);
    }
    expect(JSON.parse(JSON.stringify(form))).toEqual(form);
  }
});

test("the form follows the schema: required, default, choices, bounds, format", () => {
  const fields = new Map(describeProvider(providerById("smtp")).settings_form.map((f) => [f.key, f]));
  expect(fields.get("host")).toMatchObject({ type: "string", required: true, placeholder: "smtp.example.com" });
  expect(fields.get("port")).toMatchObject({
    type: "integer",
    required: false,
    default: 587,
    minimum: 1,
    maximum: 65535,
  });
  expect(fields.get("security")).toMatchObject({ options: ["starttls", "tls", "none"], default: "starttls" });
  // What the sender understands for every provider that sends.
  expect(fields.get("per_second")).toMatchObject({ type: "number", required: false, maximum: 10_000 });
  expect(fields.get("envelope_from")).toMatchObject({ format: "email", required: false, default: null });
});

test("a schema no form can show is refused when it is written, not when a tenant meets it", () => {
  expect(() => describeFields(z.object({ hosts: z.array(z.string()) }))).toThrow(/hosts/);
});
