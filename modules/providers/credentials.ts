import { z } from "zod";
import type { Services } from "../kernel/context.ts";
import { AppError, type FieldError } from "../kernel/errors.ts";
import { HttpError } from "../kernel/http/client.ts";
import type { AnyProvider, Connection } from "../kernel/provider.ts";
import type { Vault } from "../kernel/secrets/vault.ts";
import { plain } from "../kernel/text.ts";
import { describeFields } from "./describe.ts";
import type { ConnectionRow } from "./schemas.ts";
import { reachableWebhookUrl } from "./webhook-url.ts";

/** Credentials and settings: checked against the adapter's schema, sealed for one row, never given out. */

export type Values = Record<string, unknown>;

/** Binds a ciphertext to its tenant and row: copied elsewhere it does not open. */
const aadOf = (tenantId: string, id: string): string => `connection:${tenantId}:${id}`;

export const sealCredentials = (vault: Vault, tenantId: string, id: string, credentials: Values): Promise<string> =>
  vault.seal(credentials, aadOf(tenantId, id));

export const openCredentials = (vault: Vault, tenantId: string, id: string, sealed: string): Promise<Values> =>
  vault.open<Values>(sealed, aadOf(tenantId, id));

/** A row with its credentials opened, as the adapters take it. */
export async function toOpenConnection(
  { vault, config }: Pick<Services, "vault" | "config">,
  tenantId: string,
  provider: AnyProvider,
  row: Pick<ConnectionRow, "id" | "credentials" | "settings" | "base_url">,
): Promise<Connection<Values>> {
  const credentials = await openCredentials(vault, tenantId, row.id, row.credentials);
  const { id, settings, base_url } = row;
  return { id, credentials, settings, base_url, webhook_url: reachableWebhookUrl(config.publicUrl, provider, row) };
}

/** JSON merge patch: null removes, absent keeps. An empty text is an empty form field, which is no value. */
export function mergeValues(stored: Values, patch: Values): Values {
  const merged = { ...stored };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null || value === "") delete merged[key];
    else merged[key] = value;
  }
  return merged;
}

function parseFields(
  schema: z.ZodObject,
  values: Values,
  at: "/credentials" | "/settings",
  provider: AnyProvider,
): Values {
  const parsed = schema.strict().safeParse(values);
  if (parsed.success) return parsed.data;
  // Zod's messages name types and rules, never the value: a mistyped key does not come back in the answer.
  const errors = parsed.error.issues.flatMap((issue): FieldError[] =>
    issue.code === "unrecognized_keys"
      ? issue.keys.map((key) => ({ pointer: `${at}/${key}`, detail: `${provider.label} has no field with this name.` }))
      : [
          {
            pointer: [at, ...issue.path.map(String)].join("/"),
            detail: String(issue.path[0]) in values ? issue.message : "is missing",
          },
        ],
  );
  const known = Object.keys(schema.shape).join(", ") || "none";
  throw new AppError("invalid", `${errors[0]!.pointer.slice(1)}: ${errors[0]!.detail}`, {
    errors,
    suggestion: `Fields of ${provider.label}: ${known}. GET /providers describes them.`,
  });
}

/** Complete credentials or a 422 that names the field. */
export const parseCredentials = (provider: AnyProvider, values: Values): Values =>
  parseFields(provider.credentials, mergeValues({}, values), "/credentials", provider);

/** The adapter's own options, plus what is understood for every provider that is called by a rate. */
export function settingsSchema({ settings = z.object({}), send, lookup, search }: AnyProvider): z.ZodObject {
  const called = send ?? lookup ?? search;
  if (!called) return settings;
  const description = `Set it only if your plan's limit is not the usual ${called.per_second}.`;
  // A call that carries one message is named for it: that is what people count.
  const title = send?.batch === 1 ? "Messages per second" : "Calls per second";
  const perSecond = z.number().positive().max(10_000).optional().meta({ title, description });
  return settings.extend({ per_second: perSecond });
}

/** A base URL stands for host and port, so with one the settings that name them may be left out. */
export const parseSettings = (provider: AnyProvider, values: Values, baseUrl: string | null): Values =>
  parseFields(
    baseUrl === null ? settingsSchema(provider) : settingsSchema(provider).partial(),
    mergeValues({}, values),
    "/settings",
    provider,
  );

/** Equal for equal values: jsonb does not keep the order of keys. */
export const canonical = (...parts: (Values | string | null)[]): string =>
  JSON.stringify(parts.map((p) => (p !== null && typeof p === "object" ? Object.entries(p).sort() : p)));

/** What a webhook is registered with: the account, where it is, and the secret. How fast we call it is our own affair. */
export const registration = (credentials: Values, settings: Values, baseUrl: string | null): string =>
  canonical(credentials, { ...settings, per_second: null }, baseUrl);

/** Fields that are sent to the provider and must not reach another server. Webhook secrets only ever check what comes in. */
export const outgoingSecrets = (provider: AnyProvider): string[] =>
  describeFields(provider.credentials)
    .filter((f) => f.secret && !f.name.startsWith("webhook_"))
    .map((f) => f.name);

/** Providers like to quote what they were sent. Takes every secret out of a text that people or logs will see, and makes it storable. */
export function scrub(text: string, provider: AnyProvider, credentials: Values): string {
  let clean = text;
  for (const { name, secret } of describeFields(provider.credentials)) {
    const value = credentials[name];
    if (!secret || typeof value !== "string" || value.length < 4) continue;
    for (const form of [value, encodeURIComponent(value), base64(value)]) clean = clean.replaceAll(form, "[secret]");
  }
  return plain(clean, 1000);
}

/** A failure of a call as people, queues and logs may hear of it: no secret in what it says. One nobody foresaw says nothing. */
export function scrubError(error: unknown, provider: AnyProvider, credentials: Values): AppError | HttpError {
  if (error instanceof HttpError)
    return new HttpError(error.kind, scrub(error.message, provider, credentials), error.sent);
  if (error instanceof AppError)
    return new AppError(error.code, scrub(error.message, provider, credentials), {
      suggestion: error.suggestion,
      retryAfter: error.retryAfter,
    });
  return new AppError("upstream", `${provider.label} sent a response that cannot be read.`, { cause: error });
}

const base64 = (value: string): string => btoa(String.fromCharCode(...new TextEncoder().encode(value)));
