import { z } from "zod";
import { uuid7 } from "../kernel/database/ids.ts";
import { AppError } from "../kernel/errors.ts";
import { defineManualOperation } from "../kernel/operations/operation.ts";
import { complete, type FailReason } from "./complete.ts";
import { REASONS } from "./route.ts";
import { Alias, factsOf } from "./routing.ts";

/** A prompt through the router, for whoever sets the models up. */

const CODES = {
  budget: "conflict",
  no_model: "conflict",
  invalid: "upstream",
  length: "upstream",
  declined: "upstream",
  unavailable: "upstream",
  time: "upstream",
} as const satisfies Record<FailReason, "conflict" | "upstream">;

export const tryModel = defineManualOperation({
  id: "models.try",
  method: "POST",
  path: "/models/try",
  summary: "Have a model answer a prompt, as the rules choose it",
  description: "It costs what a call costs and is held against the budgets. Not answered from the cache.",
  permission: "models:write",
  input: z.object({
    prompt: z.string().trim().min(1).max(20_000),
    system: z.string().max(20_000).default(""),
    alias: Alias.optional().describe("This alias instead of the rules'."),
    contact_id: z.uuid().optional().describe("The rules ask for this contact's facts."),
    campaign_id: z.uuid().optional(),
    max_output_tokens: z.number().int().min(1).max(8000).default(500),
  }),
  output: z
    .object({
      run_id: z.uuid(),
      text: z.string(),
      is_cut: z.boolean().describe("Whether the answer was longer than max_output_tokens."),
      alias: z.string(),
      route: z.enum(REASONS),
      provider: z.string(),
      model: z.string(),
      tokens_in: z.number().int(),
      tokens_cached: z.number().int(),
      tokens_out: z.number().int(),
      cost_micros: z.number().int(),
      calls: z.number().int(),
    })
    .meta({ id: "ModelTrial" }),
  async handle(ctx, { prompt, system, alias, contact_id, campaign_id, max_output_tokens }) {
    const run_id = uuid7();
    const facts = await ctx.tx(async (tx) => {
      if (contact_id) {
        const [known] = await tx.db`
          select from public.contacts where tenant_id = (select kernel.tenant()) and id = ${contact_id}`;
        if (!known) throw new AppError("not_found", "There is no such contact.");
      }
      return await factsOf(tx, contact_id ?? null, campaign_id ?? null);
    });
    const done = await complete(ctx, {
      node: "try",
      prompt_version: "",
      run_id,
      contact_id: contact_id ?? null,
      campaign_id: campaign_id ?? null,
      ...(alias ? { alias } : { facts }),
      system,
      messages: [{ role: "user", content: prompt }],
      max_output_tokens,
      fresh: true,
      timeout_ms: 45_000,
    });
    if (!done.ok) throw new AppError(CODES[done.reason], done.detail || "No model answered.");
    const { text, stop, provider, model, tokens, cost_micros, calls, route } = done;
    return {
      run_id,
      text,
      is_cut: stop === "length",
      alias: route.alias,
      route: route.because,
      provider,
      model,
      tokens_in: tokens.input,
      tokens_cached: tokens.cached,
      tokens_out: tokens.output,
      cost_micros,
      calls,
    };
  },
});
