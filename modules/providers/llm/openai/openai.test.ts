import { describe, expect, test } from "vitest";
import type { CompletionRequest } from "../../../kernel/provider.ts";
import { setStage } from "../../conformance/stage.ts";
import { conformance } from "../../conformance/suite.ts";
import { openai, toOpenAi } from "./adapter.ts";
import { emulation } from "./emulation.ts";

const dead = `sk-0000${"0".repeat(28)}`;

conformance(openai, emulation, {
  check: { bad: [{ api_key: "not-a-key" }] },
  complete: { model: "gpt-4o-mini", unknownModel: "davinci-9" },
});

const request: CompletionRequest = {
  model: "gpt-5.6-luna",
  system: "Stable.",
  messages: [{ role: "user", content: "About one contact." }],
  max_output_tokens: 100,
  cache: true,
};

describe("openai's own", () => {
  const stage = setStage(openai, emulation);

  test("what is sent has no parameter that new models refuse, and the stable text first", async () => {
    const bodies: unknown[] = [];
    const http = stage.http();
    const seen: typeof fetch = (input, init) => {
      bodies.push({ url: String(input), body: JSON.parse(init!.body as string) });
      return http.fetch(input, init);
    };
    const { connection } = stage.fresh();
    const schema = { type: "object", properties: { a: { type: "string" } }, required: ["a"] };
    await openai.complete!.complete({ ...request, schema: { name: "x", schema } }, connection, {
      ...http,
      fetch: seen,
    });
    expect(bodies).toEqual([
      {
        url: `${connection.base_url}/chat/completions`,
        body: {
          model: "gpt-5.6-luna",
          messages: [
            { role: "system", content: "Stable." },
            { role: "user", content: "About one contact." },
          ],
          max_completion_tokens: 100,
          response_format: {
            type: "json_schema",
            json_schema: { name: "x", strict: true, schema: { ...schema, additionalProperties: false } },
          },
        },
      },
    ]);
  });

  test("a server that knows only max_tokens gets that, and new models refuse it", async () => {
    expect(toOpenAi(request, { limit_field: "max_tokens" })).toMatchObject({ max_tokens: 100 });
    const connection = { ...stage.fresh().connection, settings: { limit_field: "max_tokens" } };
    expect(await openai.complete!.complete(request, connection, stage.http())).toMatchObject({
      outcome: "refused",
      code: "unsupported_parameter",
    });
  });

  test("429 without credit is no rate limit: no waiting mends it", async () => {
    const outcome = await openai.complete!.complete(request, stage.open({ api_key: dead }), stage.http());
    expect(outcome).toMatchObject({ outcome: "broken", code: "insufficient_quota" });
  });
});
