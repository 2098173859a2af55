import { expect, test } from "vitest";
import { z } from "zod";
import { describeFields, describeProvider } from "./describe.ts";
import { providerById, providers } from "./registry.ts";

test("every provider is whole: an id of its own, help for the tenant, and something to send with", () => {
  expect(new Set(providers.map((p) => p.id)).size).toBe(providers.length);
  for (const provider of providers) {
    expect(provider.setup.length, provider.id).toBeGreaterThan(40);
    expect(provider.docs_url).toMatch(/^https:/);
    expect(provider.send ?? provider.fetchInbound, provider.id).toBeTypeOf("function");
    // A webhook that is verified but not read, or read but not verified, is worse than none.
    expect(provider.verify === undefined).toBe(provider.parseWebhook === undefined);
    if (provider.reconcile.by === "search") expect(provider.findMessage, provider.id).toBeTypeOf("function");
    expect(provider.limits.batch).toBeGreaterThanOrEqual(1);
  }
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
    for (const field of [...form.credentials, ...form.settings])
      expect(field.title, `${form.id}.${field.name}`).not.toBe(field.name);
    for (const field of form.credentials) {
      expect(field.secret, `${form.id}.${field.name}`).toBe(/key|secret|token|password/.test(field.name));
    }
    expect(JSON.parse(JSON.stringify(form))).toEqual(form);
  }
});

test("the form follows the schema: required, default, choices, bounds, format", () => {
  const fields = new Map(describeProvider(providerById("smtp")).settings.map((f) => [f.name, f]));
  expect(fields.get("host")).toMatchObject({ type: "string", required: true, placeholder: "smtp.example.com" });
  expect(fields.get("port")).toMatchObject({
    type: "integer",
    required: false,
    default: 587,
    minimum: 1,
    maximum: 65535,
  });
  expect(fields.get("security")).toMatchObject({ enum: ["starttls", "tls", "none"], default: "starttls" });
  expect(fields.get("envelope_from")).toMatchObject({ format: "email", required: false, default: null });
});

test("a schema no form can show is refused when it is written, not when a tenant meets it", () => {
  expect(() => describeFields(z.object({ hosts: z.array(z.string()) }))).toThrow(/hosts/);
});
