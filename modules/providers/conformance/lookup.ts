import { describe, expect, test } from "vitest";
import type { z } from "zod";
import type { LookupOutcome } from "../../kernel/provider.ts";
import { FIELDS, type Field, type Found, type Question } from "../enrichment/vocabulary.ts";
import type { Stage } from "./stage.ts";

/** What every provider that answers questions must keep, for each kind it answers. */
export type LookupSpec = Record<
  string,
  {
    /** A question the emulation knows the answer to, with some values that must come back. */
    known: Question;
    expects: Partial<Record<Field, unknown>>;
    /** What the answer is charged, and what a miss is. */
    units: { found: number; miss: number };
    /** A question that has no answer. */
    unknown: Question;
    /** A question the provider refuses as it stands, where there is one. */
    refused?: Question;
    /** What 5xx means here: by default the question was not answered and not charged. */
    serverError?: LookupOutcome<Found>["outcome"];
  }
>;

export function lookupConformance<C extends z.ZodObject, Content>(
  stage: Stage<C, Content>,
  spec: LookupSpec,
  bad: z.infer<C>[],
): void {
  const { provider } = stage;
  const capability = provider.lookup!;

  test("every kind it answers is tested, and every field it says it gives is one of the vocabulary", () => {
    expect(Object.keys(spec).sort()).toEqual(Object.keys(capability.kinds).sort());
    for (const kind of Object.values(capability.kinds)) {
      expect(kind.needs.length).toBeGreaterThan(0);
      for (const field of kind.gives) expect(FIELDS).toContain(field);
    }
  });

  describe.each(Object.entries(spec))(
    "%s",
    (kind, { known, expects, units, unknown, refused, serverError = "retry" }) => {
      const ask = (questions: readonly Question[], connection = stage.fresh().connection) =>
        capability.lookup(kind, questions, connection, stage.http()) as Promise<LookupOutcome<Found>[]>;
      const fault = (key: string, body: object) => stage.control("/faults", { account: key, ...body });
      const charges = (key: string) =>
        stage.control<{ units: number; total: number }>(`/charges?account=${encodeURIComponent(key)}`);

      test("what is known is found with its values, a confidence between 0 and 1, and the units that the provider charges", async () => {
        const { connection, key } = stage.fresh();
        const [outcome] = await ask([known], connection);
        expect(outcome).toMatchObject({ outcome: "found", units: units.found, found: { values: expects } });
        const { confidence, values } = (outcome as { found: Found }).found;
        expect(confidence).toBeGreaterThan(0);
        expect(confidence).toBeLessThanOrEqual(1);
        const given = Object.entries(values).flatMap(([field, value]) =>
          value === null || value === undefined ? [] : [field],
        );
        for (const field of given) expect(capability.kinds[kind]!.gives, `gives ${field}`).toContain(field);
        expect((await charges(key)).units).toBe(units.found);
        // Reserved before the call is the most that it can cost.
        expect(units.found).toBeLessThanOrEqual(capability.kinds[kind]!.units);
      });

      test("a miss is a miss, not an error", async () => {
        const { connection, key } = stage.fresh();
        expect(await ask([unknown], connection)).toEqual([{ outcome: "miss", units: units.miss }]);
        expect((await charges(key)).units).toBe(units.miss);
      });

      if (capability.kinds[kind]!.batch > 1)
        test("a batch is one call, answered in order", async () => {
          const outcomes = await ask([unknown, known, unknown]);
          expect(outcomes.map((o) => o.outcome)).toEqual(["miss", "found", "miss"]);
        });

      if (refused)
        test("a question that can never be answered is refused, with the reason", async () => {
          const outcomes = await ask([refused]);
          expect(outcomes).toEqual([
            expect.objectContaining({ outcome: "refused", detail: expect.stringMatching(/\w/) }),
          ]);
        });

      test("too fast is a retry that nothing was charged for", async () => {
        const { connection, key } = stage.fresh();
        await ask([unknown], connection);
        const before = await charges(key);
        await fault(key, { kind: "rate_limit", retry_after: 7 });
        expect(await ask([known], connection)).toEqual([expect.objectContaining({ outcome: "retry" })]);
        expect(await charges(key)).toEqual(before);
      });

      test("a server error is what the provider means by it", async () => {
        const { connection, key } = stage.fresh();
        await ask([unknown], connection);
        await fault(key, { kind: "server_error" });
        expect(await ask([known], connection)).toEqual([expect.objectContaining({ outcome: serverError })]);
      });

      test("an answer that never comes, or a connection that breaks, may have been charged", async () => {
        const { connection, key } = stage.fresh();
        await ask([unknown], connection);
        await fault(key, { kind: "timeout_after_accept" });
        expect(await ask([known], connection)).toEqual([expect.objectContaining({ outcome: "unknown" })]);
        await fault(key, { kind: "reset", accepted: true });
        expect(await ask([known], connection)).toEqual([expect.objectContaining({ outcome: "unknown" })]);
      });

      test("a server that is not there was not asked", async () => {
        const [{ outcome }] = (await ask([known], stage.gone())) as [LookupOutcome<Found>];
        expect(["retry", "broken"]).toContain(outcome);
      });

      // A provider without credentials has no bad ones.
      if (bad.length > 0)
        test("bad credentials break the connection, not the question", async () => {
          for (const credentials of bad)
            expect(await ask([known], stage.open(credentials))).toEqual([
              expect.objectContaining({ outcome: "broken" }),
            ]);
        });
    },
  );
}
