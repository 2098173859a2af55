import { createHash } from "node:crypto";
import { z } from "zod";
import { type Call, defineEmulation, looksUp, route } from "../../../sandbox/emulation.ts";
import {
  answerOf,
  type Asked,
  declines,
  inputTokens,
  MIN_PREFIX,
  tokensOf,
  within,
} from "../../../sandbox/language.ts";

/**
 * Anthropic's models and messages, version 2026-10-21. Stricter: a parameter it does not know is refused, sampling parameters among them, and
 * so are limits of a schema that constrained decoding does not know. Models that are none (`claude-…`, `sandbox-…`) do not exist. Keys that
 * begin with sk-ant-0000 have no credit. What stands before the last cache_control is cached from 1,024 tokens on.
 */

const STATUS = {
  invalid_request_error: 400,
  authentication_error: 401,
  billing_error: 402,
  not_found_error: 404,
} as const;
const fail = (type: keyof typeof STATUS, message: string) => failWith(STATUS[type], type, message);
const failWith = (status: number, type: string, message: string) =>
  Response.json({ type: "error", error: { type, message }, request_id: `req_${status}` }, { status });

const Cache = z.strictObject({ type: z.literal("ephemeral"), ttl: z.enum(["5m", "1h"]).optional() });
const Block = z.strictObject({ type: z.literal("text"), text: z.string().min(1), cache_control: Cache.nullish() });
const Turn = z.strictObject({
  role: z.enum(["user", "assistant"]),
  content: z.union([z.string().min(1), z.array(Block).min(1)]),
});
const Request = z.strictObject({
  model: z.string().min(1),
  max_tokens: z.number().int().min(1),
  system: z.union([z.string(), z.array(Block)]).optional(),
  messages: z
    .array(Turn)
    .min(1)
    .refine((l) => l[0]!.role === "user", "messages: first message must use the user role"),
  metadata: z.strictObject({ user_id: z.string().nullish() }).optional(),
  stop_sequences: z.array(z.string()).optional(),
  stream: z.literal(false).optional(),
  output_config: z
    .strictObject({
      format: z.strictObject({ type: z.literal("json_schema"), schema: z.record(z.string(), z.unknown()) }).nullish(),
    })
    .optional(),
});

const REFUSED = [
  "minLength",
  "maxLength",
  "minimum",
  "maximum",
  "exclusiveMinimum",
  "exclusiveMaximum",
  "multipleOf",
  "maxItems",
];
function schemaFault(node: unknown): string | null {
  if (Array.isArray(node)) return node.map(schemaFault).find(Boolean) ?? null;
  if (node === null || typeof node !== "object") return null;
  const own = node as Record<string, unknown>;
  const limit = REFUSED.find((name) => typeof own[name] === "number");
  if (limit) return `output_config.format.schema: property '${limit}' is not supported`;
  if (own.type === "object" && own.additionalProperties !== false)
    return "output_config.format.schema: 'additionalProperties' must be explicitly set to false";
  return Object.values(own).map(schemaFault).find(Boolean) ?? null;
}

type Blocks = z.output<typeof Block>[];
const blocks = (content: string | Blocks | undefined): Blocks =>
  typeof content === "string" ? (content === "" ? [] : [{ type: "text", text: content }]) : (content ?? []);
const joined = (content: string | Blocks | undefined) =>
  blocks(content)
    .map((b) => b.text)
    .join("\n");

/** Tokens before the last mark, and whether they came before. */
function cacheOf(call: Call<z.output<typeof Request>>): { read: number; written: number } {
  const { model, system, messages } = call.body;
  const all = [...blocks(system), ...messages.flatMap((m) => blocks(m.content))];
  const last = all.findLastIndex((b) => b.cache_control);
  const prefix = all
    .slice(0, last + 1)
    .map((b) => b.text)
    .join("\n");
  const tokens = tokensOf(prefix);
  if (tokens < MIN_PREFIX) return { read: 0, written: 0 };
  const seen = (call.account.state.prefixes ??= {}) as Record<string, true>;
  const key = createHash("sha256").update(`${model}|${prefix}`).digest("base64url").slice(0, 16);
  if (seen[key]) return { read: tokens, written: 0 };
  seen[key] = true;
  return { read: 0, written: tokens };
}

export const emulation = defineEmulation({
  id: "anthropic",
  example() {
    const api_key = `sk-ant-${crypto.randomUUID().replaceAll("-", "")}`;
    return { credentials: { api_key }, key: api_key };
  },
  http: {
    content: "json",
    auth(request) {
      const given =
        request.headers.get("x-api-key") ?? (request.headers.get("authorization") ?? "").replace(/^Bearer /, "");
      if (!/^sk-ant-\w{20,}$/.test(given)) return fail("authentication_error", "invalid x-api-key");
      if (request.headers.get("anthropic-version") !== "2026-10-21")
        return fail("invalid_request_error", "anthropic-version: header is required");
      return { key: given };
    },
    refuse: {
      body: ({ detail }) => fail("invalid_request_error", detail),
      unknownPath: () => fail("not_found_error", "Not found"),
      rateLimit(after) {
        const response = failWith(429, "rate_limit_error", "This request would exceed your organization’s rate limit.");
        response.headers.set("retry-after", String(after));
        return response;
      },
      serverError: () => failWith(529, "overloaded_error", "Overloaded"),
    },
    routes: [
      route("GET /v1/models", () => ({
        data: ["claude-sonnet-5-5", "claude-haiku-5-5"].map((id) => ({
          type: "model",
          id,
          display_name: id,
          created_at: "2026-01-01T00:00:00Z",
        })),
        has_more: false,
        first_id: "claude-sonnet-5-5",
        last_id: "claude-haiku-5-5",
      })),
      looksUp(
        route("POST /v1/messages", Request, (call) => {
          const { model, max_tokens, system, messages, output_config } = call.body;
          if (call.account.id.includes(":sk-ant-0000"))
            return fail("billing_error", "Your credit balance is too low to access the Anthropic API.");
          if (!/^(claude-|sandbox-)/.test(model)) return fail("not_found_error", `model: ${model}`);
          const schema = output_config?.format?.schema;
          const wrong = schemaFault(schema);
          if (wrong) return fail("invalid_request_error", wrong);
          const asked: Asked = {
            model,
            system: joined(system),
            turns: messages.map((m) => ({ role: m.role, text: joined(m.content) })),
            schema,
          };
          const answer = within(answerOf(asked), max_tokens);
          const input = inputTokens(asked);
          const output_tokens = Math.max(1, tokensOf(answer.text));
          const { read, written } = cacheOf(call);
          call.charge(input + output_tokens, model);
          return {
            id: `msg_${createHash("sha256").update(JSON.stringify(call.body)).digest("hex").slice(0, 24)}`,
            type: "message",
            role: "assistant",
            model,
            content: [{ type: "text", text: answer.text, citations: null }],
            stop_reason: declines(asked) ? "refusal" : answer.cut ? "max_tokens" : "end_turn",
            stop_sequence: null,
            stop_details: null,
            usage: {
              input_tokens: input - read - written,
              cache_creation_input_tokens: written,
              cache_read_input_tokens: read,
              cache_creation: { ephemeral_5m_input_tokens: written, ephemeral_1h_input_tokens: 0 },
              output_tokens,
              output_tokens_details: { thinking_tokens: 0 },
              server_tool_use: null,
              service_tier: "standard",
              inference_geo: null,
              speed: "standard",
            },
            container: null,
            diagnostics: null,
          };
        }),
      ),
    ],
  },
});
