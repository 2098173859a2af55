import { z } from "zod";
import { defineOperation } from "../kernel/operations/operation.ts";
import type { AnyProvider } from "../kernel/provider.ts";
import { settingsSchema } from "./credentials.ts";
import { describeFields, type FormField } from "./describe.ts";

const Field = z
  .object({
    key: z.string(),
    title: z.string(),
    description: z.string().nullable(),
    type: z.enum(["string", "integer", "number", "boolean"]),
    secret: z.boolean().describe("Whether the field can be written but is never returned."),
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
    category: z
      .string()
      .describe("The use of the provider: a channel such as `email`, or another category such as `crm`."),
    docs_url: z.string(),
    setup: z.string(),
    credentials_form: z.array(Field),
    settings_form: z.array(Field),
    default_base_url: z.string().nullable(),
    send: z
      .object({
        per_second: z.number(),
        batch: z.number().int(),
        reconcile: z.enum(["key", "search", "none"]).describe("How an unknown outcome of a send is resolved."),
      })
      .nullable()
      .describe("Limits of sending; null for providers that do not send."),
    webhooks: z.boolean(),
    registers_webhook: z
      .boolean()
      .describe("Whether POST /connections/{id}/register-webhook can register the webhook."),
  })
  .meta({ id: "Provider" });

const toField = ({ name, enum: options, ...rest }: FormField): z.output<typeof Field> => ({
  key: name,
  options,
  ...rest,
});

/** A provider as plain data, for the console's forms and the docs pages. */
export const describeProvider = (p: AnyProvider): z.output<typeof ProviderSchema> => ({
  id: p.id,
  label: p.label,
  category: p.category,
  docs_url: p.docs_url,
  setup: p.setup,
  credentials_form: describeFields(p.credentials).map(toField),
  settings_form: describeFields(settingsSchema(p)).map(toField),
  default_base_url: p.default_base_url,
  send: p.send ? { per_second: p.send.per_second, batch: p.send.batch, reconcile: p.send.reconcile.by } : null,
  webhooks: p.webhook !== undefined,
  registers_webhook: p.webhook?.register !== undefined,
});

/** The forms are made from the adapters' own schemas, so a new provider brings its form along. */
export const listProviders = defineOperation({
  id: "providers.list",
  method: "GET",
  path: "/providers",
  summary: "List the supported providers with the forms of their connections",
  permission: "providers:read",
  input: z.object({}),
  output: z.object({ data: z.array(ProviderSchema) }),
  handle: (ctx) => Promise.resolve({ data: ctx.registry.providers.map(describeProvider) }),
});
