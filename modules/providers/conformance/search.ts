import { describe, expect, test } from "vitest";
import type { z } from "zod";
import type { LookupOutcome, SearchHit } from "../../kernel/provider.ts";
import type { Stage } from "./stage.ts";

/** What every provider that searches the web must keep. */
export type SearchSpec = {
  /** Texts that the emulation finds something for, and nothing. */
  known: string;
  unknown: string;
  units: { found: number; miss: number };
};

export function searchConformance<C extends z.ZodObject, Content>(
  stage: Stage<C, Content>,
  { known, unknown, units }: SearchSpec,
  bad: z.infer<C>[],
): void {
  const capability = stage.provider.search!;

  describe.each(["web", "news"] as const)("%s search", (kind) => {
    const ask = (text: string, connection = stage.fresh().connection, limit = 10) =>
      capability.search({ text, kind, limit, days: 90 }, connection, stage.http());
    const fault = (key: string, body: object) => stage.control("/faults", { account: key, ...body });
    const charges = (key: string) =>
      stage.control<{ units: number; total: number }>(`/charges?account=${encodeURIComponent(key)}`);

    test("hits have a title, an address and words without markup, no more than asked for, and cost what the provider charges", async () => {
      const { connection, key } = stage.fresh();
      const outcome = await ask(known, connection);
      expect(outcome).toMatchObject({ outcome: "found", units: units.found });
      const { found } = outcome as { found: readonly SearchHit[] };
      for (const hit of found) {
        expect(hit.title).toMatch(/\w/);
        expect(hit.url).toMatch(/^https?:/);
        expect(`${hit.title}${hit.snippet}`).not.toMatch(/<\/?[a-z]/i);
        if (hit.published_at !== null) expect(new Date(hit.published_at).toISOString()).toBe(hit.published_at);
      }
      expect((await charges(key)).units).toBe(units.found);
      expect(units.found).toBeLessThanOrEqual(capability.units);
      expect(await ask(known, connection, 1)).toMatchObject({ found: { length: 1 } });
    });

    test("no hit is a miss, not an error", async () => {
      expect(await ask(unknown)).toEqual({ outcome: "miss", units: units.miss });
    });

    test("too fast is a retry after the time the provider names; a server error was not answered", async () => {
      const { connection, key } = stage.fresh();
      await ask(unknown, connection);
      const before = await charges(key);
      await fault(key, { kind: "rate_limit", retry_after: 7 });
      expect(await ask(known, connection)).toMatchObject({ outcome: "retry", after_seconds: 7 });
      await fault(key, { kind: "server_error" });
      expect(await ask(known, connection)).toMatchObject({ outcome: "retry" });
      expect(await charges(key)).toEqual(before);
    });

    test("an answer that never comes may have been charged; a server that is not there was not asked", async () => {
      const { connection, key } = stage.fresh();
      await ask(unknown, connection);
      await fault(key, { kind: "reset", accepted: true });
      expect(await ask(known, connection)).toMatchObject({ outcome: "unknown" });
      expect(["retry", "broken"]).toContain(((await ask(known, stage.gone())) as LookupOutcome<never>).outcome);
    });

    test.runIf(bad.length > 0)("bad credentials break the connection, not the query", async () => {
      for (const credentials of bad)
        expect(await ask(known, stage.open(credentials))).toMatchObject({ outcome: "broken" });
    });
  });
}
