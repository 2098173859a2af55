import { createHash } from "node:crypto";
import { z } from "zod";
import { defineEmulation, looksUp, route } from "../../../sandbox/emulation.ts";
import {
  answerOf,
  type Asked,
  declines,
  inputTokens,
  seenPrefix,
  tokensOf,
  within,
} from "../../../sandbox/language.ts";

/**
 * OpenAI's models and chat completions. Stricter: a parameter it does not know is refused. Models named gpt-5 and later and o1 and later
 * refuse sampling parameters and max_tokens; names that are none (`gpt-…`, `o3…`, `sandbox-…`) do not exist. Keys that begin with sk-0000 have
 * no credit left. Beginnings of 1,024 tokens and more that came before are cached.
 */

const fail = (status: number, message: string, type: string, code: string | null = null, param: string | null = null) =>
  Response.json({ error: { message, type, param, code } }, { status });
const bad = (message: string, code: string | null = null, param: string | null = null) =>
  fail(400, message, "invalid_request_error", code, param);

const text = z.union([
  z.string(),
  z
    .array(z.strictObject({ type: z.literal("text"), text: z.string() }))
    .transform((l) => l.map((p) => p.text).join("")),
]);
const Turn = z.strictObject({
  role: z.enum(["system", "developer", "user", "assistant"]),
  content: text,
  name: z.string().optional(),
});
const Request = z.strictObject({
  model: z.string().min(1),
  messages: z.array(Turn).min(1),
  max_completion_tokens: z.number().int().min(1).nullish(),
  max_tokens: z.number().int().min(1).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  n: z.literal(1).nullish(),
  stream: z.literal(false).nullish(),
  store: z.boolean().nullish(),
  prompt_cache_key: z.string().nullish(),
  response_format: z
    .discriminatedUnion("type", [
      z.strictObject({ type: z.literal("text") }),
      z.strictObject({
        type: z.literal("json_schema"),
        json_schema: z.strictObject({
          name: z.string().regex(/^[\w-]{1,64}$/),
          description: z.string().optional(),
          schema: z.record(z.string(), z.unknown()),
          strict: z.boolean().nullish(),
        }),
      }),
    ])
    .optional(),
});

/** What structured outputs ask of a schema: objects name all their properties, require them and take no others. */
function schemaFault(node: unknown, path: string): string | null {
  if (Array.isArray(node)) return node.map((n, i) => schemaFault(n, `${path}/${i}`)).find(Boolean) ?? null;
  if (node === null || typeof node !== "object") return null;
  const { type, properties, required, additionalProperties } = node as Record<string, unknown>;
  if (type === "object" || properties !== undefined) {
    if (additionalProperties !== false) return `In context=${path}, 'additionalProperties' is required to be false.`;
    const missing = Object.keys((properties ?? {}) as object).find((p) => !((required ?? []) as string[]).includes(p));
    if (missing) return `In context=${path}, 'required' must include every key in properties. Missing '${missing}'.`;
  }
  return (
    Object.entries(node)
      .map(([k, n]) => schemaFault(n, `${path}/${k}`))
      .find(Boolean) ?? null
  );
}

export const emulation = defineEmulation({
  id: "openai",
  example() {
    const api_key = `sk-${crypto.randomUUID().replaceAll("-", "")}`;
    return { credentials: { api_key }, key: api_key };
  },
  http: {
    content: "json",
    auth(request) {
      const key = /^Bearer (sk-\w{20,})$/.exec(request.headers.get("authorization") ?? "")?.[1];
      return key ? { key } : fail(401, "Incorrect API key provided.", "invalid_request_error", "invalid_api_key");
    },
    refuse: {
      body: ({ detail, issues }) => bad(detail, null, issues[0]?.path.join(".") ?? null),
      unknownPath: () => fail(404, "Invalid URL.", "invalid_request_error"),
      rateLimit(after) {
        const response = fail(429, "Rate limit reached for tokens per min.", "tokens", "rate_limit_exceeded");
        response.headers.set("retry-after", String(after));
        response.headers.set("retry-after-ms", String(after * 1000));
        return response;
      },
      serverError: () => fail(500, "The server had an error while processing your request.", "server_error"),
    },
    routes: [
      route("GET /models", () => ({
        object: "list",
        data: ["gpt-4o", "gpt-4o-mini", "gpt-5.6-luna", "gpt-6-luna"].map((id) => ({
          id,
          object: "model",
          created: 1_780_000_000,
          owned_by: "openai",
        })),
      })),
      looksUp(
        route("POST /chat/completions", Request, (call) => {
          const { model, messages, response_format: format, ...rest } = call.body;
          if (call.account.id.includes(":sk-0000"))
            return fail(429, "You exceeded your current quota.", "insufficient_quota", "insufficient_quota");
          if (!/^(gpt-|o\d|sandbox-)/.test(model))
            return fail(404, `The model \`${model}\` does not exist.`, "invalid_request_error", "model_not_found");
          if (/^(gpt-[5-9]|o\d)/.test(model))
            for (const name of ["temperature", "top_p", "max_tokens"] as const)
              if (rest[name] !== undefined)
                return bad(
                  `Unsupported parameter: '${name}' is not supported with this model.`,
                  "unsupported_parameter",
                  name,
                );
          const json = format?.type === "json_schema" ? format.json_schema : undefined;
          const wrong = json?.strict ? schemaFault(json.schema, "()") : null;
          if (wrong) return bad(`Invalid schema for response_format '${json!.name}': ${wrong}`);
          const first = messages.filter((m) => m.role === "system" || m.role === "developer");
          const asked: Asked = {
            model,
            system: first.map((m) => m.content).join("\n"),
            turns: messages.filter((m) => !first.includes(m)).map((m) => ({ role: m.role, text: m.content })),
            schema: json?.schema,
          };
          const limit = rest.max_completion_tokens ?? rest.max_tokens ?? 16_384;
          const answer = within(answerOf(asked), limit);
          const prompt_tokens = inputTokens(asked);
          const completion_tokens = Math.max(1, tokensOf(answer.text));
          const cached = seenPrefix(call.account.state, messages.map((m) => `${m.role}\n${m.content}`).join("\n"));
          call.charge(prompt_tokens + completion_tokens, model);
          const refusal = declines(asked);
          return {
            id: `chatcmpl-${createHash("sha256").update(JSON.stringify(call.body)).digest("hex").slice(0, 24)}`,
            object: "chat.completion",
            created: Math.floor(Date.now() / 1000),
            model,
            choices: [
              {
                index: 0,
                message: {
                  role: "assistant",
                  content: refusal ? null : answer.text,
                  refusal: refusal ? answer.text : null,
                  annotations: [],
                },
                logprobs: null,
                finish_reason: answer.cut ? "length" : "stop",
              },
            ],
            usage: {
              prompt_tokens,
              completion_tokens,
              total_tokens: prompt_tokens + completion_tokens,
              prompt_tokens_details: { cached_tokens: Math.min(cached, prompt_tokens), audio_tokens: 0 },
              completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 },
            },
            service_tier: "default",
            system_fingerprint: null,
          };
        }),
      ),
    ],
  },
});
