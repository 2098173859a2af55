import type { ChatCompletionCreateParamsNonStreaming } from "openai/resources/chat/completions";
import { z } from "zod";
import type { HttpClient } from "../../../kernel/http/client.ts";
import {
  type CompletionOutcome,
  type CompletionRequest,
  type Connection,
  defineProvider,
} from "../../../kernel/provider.ts";
import { failureOf, SDK_MS, unreadable, vendorSchema } from "../answer.ts";

const BASE = "https://api.openai.com/v1";

const Credentials = z.object({
  api_key: z.string().min(1).meta({
    title: "API key",
    description: "A server of your own that asks for none takes any text.",
    secret: true,
    placeholder: "sk-…",
  }),
});
type Credentials = z.infer<typeof Credentials>;

const Settings = z.object({
  organization: z.string().max(100).optional().meta({ title: "Organization", placeholder: "org-…" }),
  project: z.string().max(100).optional().meta({ title: "Project", placeholder: "proj_…" }),
  tokens_per_minute: z
    .number()
    .int()
    .min(1)
    .max(1_000_000_000)
    .optional()
    .meta({ title: "Tokens per minute", description: "The limit of your plan; 200,000 unless set." }),
  limit_field: z.enum(["max_completion_tokens", "max_tokens"]).optional().meta({
    title: "Name of the length limit",
    description: "Some servers of other makers know only max_tokens.",
  }),
});

/** What is read of an answer; servers of other makers leave out what OpenAI always has. */
const Completion = z.object({
  model: z.string().default(""),
  choices: z
    .array(
      z.object({
        finish_reason: z.string().nullish(),
        message: z.object({ content: z.string().nullish(), refusal: z.string().nullish() }),
      }),
    )
    .min(1),
  usage: z
    .object({
      prompt_tokens: z.number().int().min(0),
      completion_tokens: z.number().int().min(0),
      prompt_tokens_details: z
        .object({
          cached_tokens: z.number().int().min(0).nullish(),
          cache_write_tokens: z.number().int().min(0).nullish(),
        })
        .nullish(),
    })
    .nullish(),
});

/** The SDK is loaded with the first call, because most processes never make one. All it could read from the environment is given. */
async function sdk({ base_url, credentials, settings }: Connection<Credentials>, http: HttpClient) {
  const { default: OpenAI } = await import("openai");
  return new OpenAI({
    apiKey: credentials.api_key,
    adminAPIKey: null,
    organization: (settings.organization as string | undefined) ?? null,
    project: (settings.project as string | undefined) ?? null,
    webhookSecret: null,
    baseURL: base_url ?? BASE,
    maxRetries: 0,
    timeout: SDK_MS,
    logLevel: "off",
    fetch: http.fetch,
  });
}

/** No sampling parameter: new models refuse them. The stable text comes first, so that the prefix is found in OpenAI's own cache. */
export function toOpenAi(
  request: CompletionRequest,
  settings: Record<string, unknown>,
): ChatCompletionCreateParamsNonStreaming {
  const { model, system, messages, max_output_tokens, schema } = request;
  const told = schema && vendorSchema(schema.schema);
  return {
    model,
    messages: [...(system === "" ? [] : [{ role: "system" as const, content: system }]), ...messages],
    ...(settings.limit_field === "max_tokens"
      ? { max_tokens: max_output_tokens }
      : { max_completion_tokens: max_output_tokens }),
    ...(told
      ? {
          response_format: {
            type: "json_schema" as const,
            json_schema: { name: schema.name, schema: told.schema, ...(told.strict ? { strict: true } : {}) },
          },
        }
      : {}),
  };
}

const STOPS: Readonly<Record<string, "end" | "length" | "declined">> = {
  length: "length",
  content_filter: "declined",
};

function read(answer: unknown): CompletionOutcome {
  const parsed = Completion.safeParse(answer);
  if (!parsed.success) return unreadable("OpenAI", z.prettifyError(parsed.error));
  const { model, choices, usage } = parsed.data;
  // Without it nothing could be charged to the ledger, and what is free there would be a guess.
  if (!usage) return unreadable("OpenAI", "no usage.");
  const [{ message, finish_reason }] = choices as [(typeof choices)[number]];
  return {
    outcome: "completed",
    text: message.content ?? message.refusal ?? "",
    stop: message.refusal ? "declined" : (STOPS[finish_reason ?? ""] ?? "end"),
    usage: {
      input: usage.prompt_tokens,
      cached: usage.prompt_tokens_details?.cached_tokens ?? 0,
      written: usage.prompt_tokens_details?.cache_write_tokens ?? 0,
      output: usage.completion_tokens,
    },
    model,
  };
}

/**
 * OpenAI's chat completions through its SDK, and every server that speaks them (Ollama, vLLM, llama.cpp, gateways): the connection's base
 * URL says where.
 */
export const openai = defineProvider()({
  id: "openai",
  label: "OpenAI and compatible servers",
  category: "llm",
  docs_url: "https://platform.openai.com/docs/api-reference/chat",
  setup:
    "Create an API key at platform.openai.com/api-keys. For a server of your own that speaks the same protocol, such as Ollama or vLLM, set its base URL, for example http://localhost:11434/v1.",
  credentials: Credentials,
  settings: Settings,
  default_base_url: BASE,
  runs_in: "anywhere",

  /** Listing models is free. */
  async check(connection, http) {
    try {
      const { data } = await (await sdk(connection, http)).models.list();
      return { ok: true, detail: `Connected; ${data.length} models.` };
    } catch (error) {
      const { code, detail } = failureOf("OpenAI", error);
      return { ok: false, code, detail, suggestion: "Check the API key and the base URL." };
    }
  },

  complete: {
    // Usage tier 1 for the small models (platform.openai.com/docs/guides/rate-limits).
    tokens_per_minute: 200_000,
    async complete(request, connection, http) {
      try {
        return read(
          await (await sdk(connection, http)).chat.completions.create(toOpenAi(request, connection.settings)),
        );
      } catch (error) {
        return failureOf("OpenAI", error);
      }
    },
  },
});
