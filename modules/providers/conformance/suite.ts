import { describe, expect, test } from "vitest";
import type { z } from "zod";
import type { ProviderDef } from "../../kernel/provider.ts";
import type { Emulation } from "../../sandbox/emulation.ts";
import { checkConformance, type CheckSpec } from "./check.ts";
import { completeConformance, type CompleteSpec } from "./complete.ts";
import { findConformance } from "./find.ts";
import { lookupConformance, type LookupSpec } from "./lookup.ts";
import { inboundConformance, type InboundSpec } from "./inbound.ts";
import { searchConformance, type SearchSpec } from "./search.ts";
import { sendConformance, type SendSpec } from "./send.ts";
import { setStage } from "./stage.ts";
import { webhookConformance, type WebhookSpec } from "./webhook.ts";

/** Recorded data of one provider, a part per capability. */
export type ConformanceSpec<C extends z.ZodObject, Content> = {
  /** Settings of the connections the suite makes. */
  settings?: Record<string, unknown>;
  check: CheckSpec<C>;
  send?: SendSpec<Content>;
  webhook?: WebhookSpec<C>;
  inbound?: InboundSpec;
  lookup?: LookupSpec;
  complete?: CompleteSpec;
  search?: SearchSpec;
};

/** What every adapter must keep, capability by capability. Differences between providers are data of the spec. */
export function conformance<C extends z.ZodObject, Content>(
  provider: ProviderDef<C, Content>,
  emulation: Emulation,
  spec: ConformanceSpec<C, Content>,
): void {
  describe(`${provider.id} conformance`, () => {
    const stage = setStage(provider, emulation, spec.settings);
    test("every capability the adapter has is tested, and none that it has not", () => {
      expect(emulation.id).toBe(provider.id);
      for (const capability of ["send", "webhook", "inbound", "lookup", "complete", "search"] as const)
        expect(spec[capability] !== undefined, capability).toBe(provider[capability] !== undefined);
    });
    checkConformance(stage, spec.check, spec.send?.example);
    if (spec.send) sendConformance(stage, spec.send);
    if (spec.send && provider.send?.find) findConformance(stage, spec.send);
    if (spec.webhook) webhookConformance(stage, spec.webhook);
    if (spec.lookup) lookupConformance(stage, spec.lookup, spec.check.bad);
    if (spec.complete) completeConformance(stage, spec.complete, spec.check.bad);
    if (spec.search) searchConformance(stage, spec.search, spec.check.bad);
    if (spec.inbound) inboundConformance(stage, spec.inbound);
  });
}
