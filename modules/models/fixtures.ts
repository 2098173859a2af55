import { expect } from "vitest";
import type { TestKernel, TestTenant } from "../../tests/support/kernel.ts";
import { type Connected, connect } from "../enrichment/fixtures.ts";
import type { ManualCtx } from "../kernel/context.ts";
import { uuid7 } from "../kernel/database/ids.ts";
import { emulation as anthropic } from "../providers/llm/anthropic/emulation.ts";
import { emulation as openai } from "../providers/llm/openai/emulation.ts";
import type { CompleteInput } from "./complete.ts";

/** What the module's tests share: a team with connected models, and the context of a job that calls them. */

export type Vendors = { openai: Connected; anthropic: Connected };

export const connectVendors = async (
  t: TestKernel,
  team: TestTenant,
  settings: Record<string, unknown> = { tokens_per_minute: 10_000_000 },
): Promise<Vendors> => ({
  openai: await connect(t, team, openai, settings),
  anthropic: await connect(t, team, anthropic, settings),
});

/** One dollar for a million tokens read, two for written ones, a tenth from the cache. */
export const PRICES = {
  input_micros: 1_000_000,
  output_micros: 2_000_000,
  cached_micros: 100_000,
  written_micros: 1_250_000,
};

export type Entry = [alias: string, vendor: keyof Vendors, model: string];

/** `standard` is OpenAI's and then Anthropic's, `premium` Anthropic's. */
export const ORDER: Entry[] = [
  ["standard", "openai", "gpt-4o-mini"],
  ["standard", "anthropic", "claude-haiku-5-5"],
  ["premium", "anthropic", "claude-sonnet-5-5"],
];

export async function setModels(team: TestTenant, vendors: Vendors, entries: readonly Entry[] = ORDER): Promise<void> {
  const { status, body } = await team.api("PUT", "/models", {
    models: entries.map(([alias, vendor, model]) => ({ alias, connection_id: vendors[vendor].id, model, ...PRICES })),
  });
  expect(status, JSON.stringify(body)).toBe(200);
}

/** A team whose models can be asked. */
export async function teamWithModels(t: TestKernel, entries?: readonly Entry[]) {
  const team = await t.tenant();
  const vendors = await connectVendors(t, team);
  await setModels(team, vendors, entries);
  return { team, vendors, ctx: jobOf(t, team) };
}

export const jobOf = (t: TestKernel, team: TestTenant): ManualCtx =>
  t.kernel.manual({ actor: { kind: "job", name: "test" }, tenantId: team.id, action: "test" });

/** A request about this contact's fact. */
export const about = (fact: string, more: Partial<CompleteInput<never>> = {}): CompleteInput<undefined> => ({
  node: "write",
  prompt_version: "write@1",
  run_id: uuid7(),
  system: "You write short emails.",
  messages: [{ role: "user", content: `Write an email.\n[f1] ${fact}` }],
  ...(more as object),
});
