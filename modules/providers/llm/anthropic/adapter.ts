import type { MessageCreateParamsNonStreaming } from "@anthropic-ai/sdk/resources/messages";
import { z } from "zod";
import type { HttpClient } from "../../../kernel/http/client.ts";
import {
  type CompletionOutcome,
  type CompletionRequest,
  type Connection,
  defineProvider,
} from "../../../kernel/provider.ts";
import { failureOf, SDK_MS, unreadable, vendorSchema } from "../answer.ts";

const BASE = "https://api.anthropic.com";
/** Sent with every call: what is sent and read here is written for this version. It refuses sampling parameters. */
export const API_VERSION = "2026-10-21";

const Credentials = z.object({
  api_key: z.string().min(1).meta({ title: "API key", secret: true, placeholder: "sk-ant-…" }),
});
type Credentials = z.infer<typeof Credentials>;

const Settings = z.object({
  tokens_per_minute: z
    .number()
    .int()
    .min(1)
    .max(1_000_000_000)
    .optional()
    .meta({ title: "Tokens per minute", description: "The limit of your plan; 50,000 unless set." }),
});

const count = z.number().int().min(0).nullish();
const Message = z.object({
  model: z.string(),
  content: z.array(z.object({ type: z.string(), text: z.string().optional() })),
  stop_reason: z.string().nullish(),
  usage: z.object({
    /** What neither came from the cache nor went into it. */
    input_tokens: z.number().int().min(0),
    cache_creation_input_tokens: count,
    cache_read_input_tokens: count,
    output_tokens: z.number().int().min(0),
  }),
});

/** The SDK is loaded with the first call, because most processes never make one. All it could read from the environment is given. */
async function sdk({ base_url, credentials }: Connection<Credentials>, http: HttpClient) {
  const { default: Anthropic } = await import("@anthropic-ai/sdk");
  return new Anthropic({
    apiKey: credentials.api_key,
    authToken: null,
    webhookKey: null,
    baseURL: base_url ?? BASE,
    maxRetries: 0,
    timeout: SDK_MS,
    logLevel: "off",
    defaultHeaders: { "anthropic-version": API_VERSION },
    fetch: http.fetch,
  });
}

/** The mark stands behind the system text, which is the same from call to call, and before all that is about one contact. */
export function toAnthropic(request: CompletionRequest): MessageCreateParamsNonStreaming {
  const { model, system, messages, max_output_tokens, schema, cache } = request;
  return {
    model,
    max_tokens: max_output_tokens,
    ...(system === ""
      ? {}
      : { system: [{ type: "text", text: system, ...(cache ? { cache_control: { type: "ephemeral" } } : {}) }] }),
    messages: [...messages],
    ...(schema
      ? { output_config: { format: { type: "json_schema", schema: vendorSchema(schema.schema).schema } } }
      : {}),
  };
}

const STOPS: Readonly<Record<string, "end" | "length" | "declined">> = {
  max_tokens: "length",
  model_context_window_exceeded: "length",
  refusal: "declined",
};

function read(answer: unknown): CompletionOutcome {
  const parsed = Message.safeParse(answer);
  if (!parsed.success) return unreadable("Anthropic", z.prettifyError(parsed.error));
  const { model, content, stop_reason, usage } = parsed.data;
  const cached = usage.cache_read_input_tokens ?? 0;
  const written = usage.cache_creation_input_tokens ?? 0;
  return {
    outcome: "completed",
    // Thinking is no part of the answer.
    text: content.map((block) => (block.type === "text" ? (block.text ?? "") : "")).join(""),
    stop: STOPS[stop_reason ?? ""] ?? "end",
    usage: { input: usage.input_tokens + cached + written, cached, written, output: usage.output_tokens },
    model,
  };
}

/** Anthropic's messages through its SDK. */
export const anthropic = defineProvider()({
  id: "anthropic",
  label: "Anthropic",
  category: "llm",
  docs_url: "https://platform.claude.com/docs/en/api/messages",
  setup: "Create an API key at platform.claude.com under Settings → API keys.",
  credentials: Credentials,
  settings: Settings,
  default_base_url: BASE,
  runs_in: "anywhere",

  /** Listing models is free. */
  async check(connection, http) {
    try {
      await (await sdk(connection, http)).models.list({ limit: 1 });
      return { ok: true, detail: "Connected." };
    } catch (error) {
      const { code, detail } = failureOf("Anthropic", error);
      return { ok: false, code, detail, suggestion: "Copy the key again from platform.claude.com." };
    }
  },

  complete: {
    // Input tokens a minute of the first usage tier (platform.claude.com/docs/en/api/rate-limits).
    tokens_per_minute: 50_000,
    async complete(request, connection, http) {
      try {
        return read(await (await sdk(connection, http)).messages.create(toAnthropic(request)));
      } catch (error) {
        return failureOf("Anthropic", error);
      }
    },
  },
});
