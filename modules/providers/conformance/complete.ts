import { describe, expect, test } from "vitest";
import type { z } from "zod";
import type { CompletionOutcome, CompletionRequest } from "../../kernel/provider.ts";
import type { Stage } from "./stage.ts";

/** What every provider of a language model must keep. */
export type CompleteSpec = {
  /** A model that the emulation has, and one that it has not. */
  model: string;
  unknownModel: string;
  /** What 5xx means here: by default the question was not answered and not charged. */
  serverError?: CompletionOutcome["outcome"];
};

const SCHEMA = {
  type: "object",
  properties: {
    subject: { type: "string", minLength: 3, maxLength: 60 },
    score: { type: "integer", minimum: 1, maximum: 10 },
    sources: { type: "array", items: { type: "string" }, minItems: 1, maxItems: 5 },
    tone: { type: "string", enum: ["warm", "formal"] },
  },
  required: ["subject", "score", "sources", "tone"],
};

export function completeConformance<C extends z.ZodObject, Content>(
  stage: Stage<C, Content>,
  spec: CompleteSpec,
  bad: z.infer<C>[],
): void {
  const { provider } = stage;
  const capability = provider.complete!;

  describe("complete", () => {
    const request: CompletionRequest = {
      model: spec.model,
      system: "You write short emails.",
      messages: [{ role: "user", content: "Write an email.\n[f1] Acme hired 12 engineers in May." }],
      max_output_tokens: 800,
    };
    const ask = (change: Partial<CompletionRequest> = {}, connection = stage.fresh().connection) =>
      capability.complete({ ...request, ...change }, connection, stage.http()) as Promise<CompletionOutcome>;
    const done = async (...args: Parameters<typeof ask>) => {
      const outcome = await ask(...args);
      if (outcome.outcome !== "completed") throw new Error(JSON.stringify(outcome));
      return outcome;
    };
    const fault = (key: string, body: object) => stage.control("/faults", { account: key, ...body });
    const charges = (key: string) =>
      stage.control<{ units: number; total: number }>(`/charges?account=${encodeURIComponent(key)}`);

    test("an answer comes with the tokens that the provider charges", async () => {
      const { connection, key } = stage.fresh();
      const { text, stop, usage, model } = await done({}, connection);
      expect(text).toContain("Acme hired 12 engineers in May.");
      expect({ stop, model }).toEqual({ stop: "end", model: spec.model });
      expect(usage).toMatchObject({ cached: 0, written: 0 });
      expect((await charges(key)).units).toBe(usage.input + usage.output);
    });

    test("the same request has the same answer, another one another", async () => {
      expect((await done()).text).toBe((await done()).text);
      const other = [{ role: "user" as const, content: "Write an email.\n[f1] Acme moved to Bonn." }];
      expect((await done({ messages: other })).text).not.toBe((await done()).text);
    });

    test("a schema's limits that the vendor does not know are told and not sent, and the answer keeps them", async () => {
      const { text } = await done({ schema: { name: "draft", schema: SCHEMA } });
      const value = JSON.parse(text);
      expect(Object.keys(value).sort()).toEqual(["score", "sources", "subject", "tone"]);
      expect(value.score).toBeGreaterThanOrEqual(1);
      expect(value.score).toBeLessThanOrEqual(10);
      expect(value.sources).toEqual(["f1"]);
      expect(["warm", "formal"]).toContain(value.tone);
    });

    test("properties that need not be there are taken as well", async () => {
      const { text } = await done({ schema: { name: "draft", schema: { ...SCHEMA, required: ["subject"] } } });
      expect(JSON.parse(text)).toHaveProperty("subject");
    });

    test("a stable beginning is read from the provider's cache the second time, and its tokens are told", async () => {
      const { connection } = stage.fresh();
      const system = "Rules of the house. ".repeat(400);
      const first = await done({ system, cache: true }, connection);
      const second = await done(
        { system, cache: true, messages: [{ role: "user", content: "Another email." }] },
        connection,
      );
      expect(first.usage.cached).toBe(0);
      expect(second.usage.cached).toBeGreaterThanOrEqual(1024);
      expect(second.usage.cached + second.usage.written).toBeLessThanOrEqual(second.usage.input);
    });

    test("an answer that may not be longer says so", async () => {
      const { text, stop, usage } = await done({ max_output_tokens: 5 });
      expect(stop).toBe("length");
      expect(usage.output).toBeLessThanOrEqual(5);
      expect(text.length).toBeGreaterThan(0);
    });

    test("a model that does not want to answer is no error, and is charged", async () => {
      const { stop, usage } = await done({ model: "sandbox-decline" });
      expect(stop).toBe("declined");
      expect(usage.input).toBeGreaterThan(0);
    });

    test("a model that does not exist is refused, with the reason", async () => {
      expect(await ask({ model: spec.unknownModel })).toMatchObject({
        outcome: "refused",
        detail: expect.stringContaining(spec.unknownModel),
      });
    });

    test("too fast is a retry that nothing was charged for, with the time to wait", async () => {
      const { connection, key } = stage.fresh();
      await done({}, connection);
      const before = await charges(key);
      await fault(key, { kind: "rate_limit", retry_after: 7 });
      expect(await ask({}, connection)).toMatchObject({ outcome: "retry", after_seconds: 7 });
      // The SDK does not ask again by itself.
      expect(await charges(key)).toEqual(before);
    });

    test("a server error is what the provider means by it", async () => {
      const { connection, key } = stage.fresh();
      await done({}, connection);
      await fault(key, { kind: "server_error" });
      expect(await ask({}, connection)).toMatchObject({ outcome: spec.serverError ?? "retry" });
      await done({}, connection);
    });

    test("an answer that never comes, or a connection that breaks, may have been charged", async () => {
      const { connection, key } = stage.fresh();
      await done({}, connection);
      await fault(key, { kind: "timeout_after_accept" });
      expect(await ask({}, connection)).toMatchObject({ outcome: "unknown" });
      await fault(key, { kind: "reset", accepted: true });
      expect(await ask({}, connection)).toMatchObject({ outcome: "unknown" });
      expect((await charges(key)).total).toBe(3);
    });

    test("a server that is not there was not asked", async () => {
      expect(["retry", "broken"]).toContain((await ask({}, stage.gone())).outcome);
    });

    test.runIf(bad.length > 0)("bad credentials break the connection, not the question", async () => {
      for (const credentials of bad)
        expect(await ask({}, stage.open(credentials))).toMatchObject({ outcome: "broken" });
    });
  });
}
