import { z } from "zod";
import { defineOperation } from "../kernel/operations/operation.ts";
import type { AnyProvider } from "../kernel/provider.ts";
import { settingsSchema } from "./credentials.ts";
import { describeFields, type FormField } from "./describe.ts";
import { providers } from "./registry.ts";

const Field = z
  .object({
    key: z.string(),
    title: z.string(),
    description: z.string().nullable(),
    type: z.enum(["string", "integer", "number", "boolean"]),
    secret: z.boolean().describe("Written, never read back."),
    required: z.boolean(),
    placeholder: z.string().nullable(),
    options: z.array(z.string()).nullable(),
    default: z.unknown(),
    format: z.string().nullable(),
    pattern: z.string().nullable(),
    minimum: z.number().nullable(),
    maximum: z.number().nullable(),
  })
  .meta({ id: "ProviderField" });

const ProviderSchema = z
  .object({
    id: z.string(),
    label: z.string(),
    channel: z.string(),
    docs_url: z.string(),
    setup: z.string(),
    credentials_form: z.array(Field),
    settings_form: z.array(Field),
    default_base_url: z.string().nullable(),
    limits: z.object({ per_second: z.number(), batch: z.number().int() }),
    reconcile: z.enum(["key", "search", "none"]).describe("How an unknown outcome of a send is settled."),
    webhooks: z.boolean(),
    registers_webhook: z.boolean().describe("Whether POST /connections/{id}/register-webhook can do it for you."),
    sends: z.boolean(),
  })
  .meta({ id: "Provider" });

const toField = ({ name, enum: options, ...rest }: FormField): z.output<typeof Field> => ({
  key: name,
  options,
  ...rest,
});

const toProvider = (p: AnyProvider): z.output<typeof ProviderSchema> => ({
  id: p.id,
  label: p.label,
  channel: p.channel,
  docs_url: p.docs_url,
  setup: p.setup,
  credentials_form: describeFields(p.credentials).map(toField),
  settings_form: describeFields(settingsSchema(p)).map(toField),
  default_base_url: p.default_base_url,
  limits: p.limits,
  reconcile: p.reconcile.by,
  webhooks: p.verify !== undefined && p.parseWebhook !== undefined,
  registers_webhook: p.registerWebhook !== undefined,
  sends: p.send !== undefined,
});

/** The forms are made from the adapters' own schemas, so a new provider brings its form along. */
export const listProviders = defineOperation({
  id: "providers.list",
  method: "GET",
  path: "/providers",
  summary: "Providers this installation can speak to, with the forms of their connections",
  permission: "providers:read",
  input: z.object({}),
  output: z.object({ data: z.array(ProviderSchema) }),
  handle: () => Promise.resolve({ data: providers.map(toProvider) }),
});
