import { describe, expect, test } from "vitest";
import type { CompletionRequest } from "../../../kernel/provider.ts";
import { setStage } from "../../conformance/stage.ts";
import { conformance } from "../../conformance/suite.ts";
import { anthropic } from "./adapter.ts";
import { emulation } from "./emulation.ts";

conformance(anthropic, emulation, {
  check: { bad: [{ api_key: "not-a-key" }] },
  complete: { model: "claude-haiku-5-5", unknownModel: "davinci-9" },
});

const request: CompletionRequest = {
  model: "claude-sonnet-5-5",
  system: "Stable.",
  messages: [{ role: "user", content: "About one contact." }],
  max_output_tokens: 100,
};

describe("anthropic's own", () => {
  const stage = setStage(anthropic, emulation);

  test("the mark stands behind the stable text alone, one version is named, and no sampling parameter is sent", async () => {
    const calls: { version: string | null; body: any }[] = [];
    const http = stage.http();
    const seen: typeof fetch = (input, init) => {
      const version = new Headers(init!.headers).get("anthropic-version");
      calls.push({ version, body: JSON.parse(init!.body as string) });
      return http.fetch(input, init);
    };
    const { connection } = stage.fresh();
    const ask = (more: Partial<CompletionRequest>) =>
      anthropic.complete!.complete({ ...request, ...more }, connection, { ...http, fetch: seen });
    await ask({ cache: true });
    await ask({});
    expect(calls.map((c) => c.version)).toEqual(["2026-10-21", "2026-10-21"]);
    expect(calls[0]!.body).toEqual({
      model: "claude-sonnet-5-5",
      max_tokens: 100,
      system: [{ type: "text", text: "Stable.", cache_control: { type: "ephemeral" } }],
      messages: [{ role: "user", content: "About one contact." }],
    });
    expect(calls[1]!.body.system).toEqual([{ type: "text", text: "Stable." }]);
  });

  test("what went into the cache and what came from it are counted apart, and both are part of what was read", async () => {
    const { connection } = stage.fresh();
    const ask = () =>
      anthropic.complete!.complete(
        { ...request, system: "Rule. ".repeat(1000), cache: true },
        connection,
        stage.http(),
      );
    const first = (await ask()) as { usage: Record<string, number> };
    const second = (await ask()) as { usage: Record<string, number> };
    expect(first.usage).toMatchObject({ cached: 0, written: 1500 });
    expect(second.usage).toMatchObject({ cached: 1500, written: 0, input: first.usage.input });
  });

  test("an account without credit breaks the connection", async () => {
    const connection = stage.open({ api_key: `sk-ant-0000${"0".repeat(28)}` });
    expect(await anthropic.complete!.complete(request, connection, stage.http())).toMatchObject({
      outcome: "broken",
      code: "billing_error",
    });
  });
});
