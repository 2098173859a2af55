import { z } from "zod";
import type { Ctx } from "../kernel/context.ts";
import { invalidField } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";

/**
 * Prompts are files with versions. The stable version is what everybody gets; a team may give another one to a share of its contacts, watch
 * what comes of it, and take it back at once.
 */

export type PromptVersion<V> = {
  /** The same for every contact, so that providers can keep it. */
  system: string;
  /** What is about this one. */
  user(values: V): string;
};

export type Prompt<V> = {
  name: string;
  title: string;
  stable: string;
  /** By name: digits, as in `1`, `2`. A version that was used is never changed, only followed by another. */
  versions: Readonly<Record<string, PromptVersion<V>>>;
};

// deno-lint-ignore no-explicit-any
const registered = new Map<string, Prompt<any>>();

/** Makes a prompt known to GET /models/prompts. Throws for a name that is taken and for a stable version that is none. */
export function definePrompt<V>(prompt: Prompt<V>): Prompt<V> {
  if (registered.has(prompt.name)) throw new Error(`There are two prompts named ${prompt.name}.`);
  if (!prompt.versions[prompt.stable]) throw new Error(`${prompt.name} has no version ${prompt.stable}.`);
  registered.set(prompt.name, prompt);
  return prompt;
}

/** Buckets of a hundredth of a per cent. */
const BUCKETS = 10_000;

/** Where a contact stands in the rollouts of a prompt, 0 to 9,999: always the same place, another one for each prompt. */
export function bucketOf(prompt: string, contactId: string): number {
  // FNV-1a, mixed once more, because ids that differ in a digit must not stand side by side.
  let hash = 0x811c9dc5;
  for (const char of `${prompt}|${contactId.toLowerCase()}`) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) % BUCKETS;
}

type Rollout = { version: string; percent: number };

/**
 * The version for a contact. Shares lie one behind the other in the order of the versions, so that a share that grows keeps the contacts it
 * has. A version that the code no longer has is the stable one.
 */
export function versionFor(prompt: Prompt<never>, rollouts: readonly Rollout[], contactId: string | null): string {
  if (contactId === null) return prompt.stable;
  const bucket = bucketOf(prompt.name, contactId);
  let end = 0;
  for (const { version, percent } of rollouts.toSorted((a, b) => byVersion(a.version, b.version))) {
    end += (percent * BUCKETS) / 100;
    if (bucket < end) return prompt.versions[version] ? version : prompt.stable;
  }
  return prompt.stable;
}

const byVersion = (a: string, b: string) => a.localeCompare(b, "en", { numeric: true });

/** The version that this contact gets; `id` is what calls are noted with, such as `write@2`. */
export async function pickPrompt<V>(
  ctx: Ctx,
  prompt: Prompt<V>,
  contactId: string | null,
): Promise<PromptVersion<V> & { id: string }> {
  const rollouts = await ctx.db<Rollout[]>`
    select version, percent from public.prompt_rollouts where tenant_id = (select kernel.tenant()) and prompt = ${prompt.name}`;
  const version = versionFor(prompt, rollouts, contactId);
  return { ...prompt.versions[version]!, id: `${prompt.name}@${version}` };
}

const PromptOut = z
  .object({
    prompt: z.string(),
    title: z.string(),
    stable: z.string(),
    versions: z.array(
      z.object({
        version: z.string(),
        percent: z.number().int().describe("Share of contacts that get it."),
        calls: z.number().int().describe("In the last 30 days, without those answered from the cache."),
        failed: z.number().int().describe("Answers that did not fit their form, were cut off or declined."),
        cost_micros: z.number().int(),
      }),
    ),
  })
  .meta({ id: "Prompt" });
const Prompts = z.object({ data: z.array(PromptOut) });

async function readPrompts(ctx: Ctx): Promise<z.output<typeof Prompts>> {
  const rollouts = await ctx.db<(Rollout & { prompt: string })[]>`
    select prompt, version, percent from public.prompt_rollouts where tenant_id = (select kernel.tenant())`;
  const stats = await ctx.db<{ prompt_version: string; calls: number; failed: number; cost_micros: number }[]>`
    select m.prompt_version, count(*)::int as calls, count(*) filter (where m.outcome in ('invalid', 'length', 'declined'))::int as failed,
      coalesce(sum(m.cost_micros), 0)::float8 as cost_micros
    from public.model_calls m
    where m.tenant_id = (select kernel.tenant()) and m.at > kernel.now() - interval '30 days' and coalesce(m.outcome, '') <> 'cached'
    group by 1`;
  return {
    data: [...registered.values()].map(({ name, title, stable, versions }) => {
      const own = rollouts.filter((r) => r.prompt === name && versions[r.version]);
      const rest = 100 - own.reduce((n, r) => n + r.percent, 0);
      return {
        prompt: name,
        title,
        stable,
        versions: Object.keys(versions)
          .sort(byVersion)
          .map((version) => {
            const {
              calls = 0,
              failed = 0,
              cost_micros = 0,
            } = stats.find((s) => s.prompt_version === `${name}@${version}`) ?? {};
            const percent = version === stable ? rest : (own.find((r) => r.version === version)?.percent ?? 0);
            return { version, percent, calls, failed, cost_micros };
          }),
      };
    }),
  };
}

export const listPrompts = defineOperation({
  id: "models.prompts",
  method: "GET",
  path: "/models/prompts",
  summary: "List the prompts, their versions and who gets which",
  permission: "models:read",
  input: z.object({}),
  output: Prompts,
  handle: (ctx) => readPrompts(ctx),
});

export const putPrompt = defineOperation({
  id: "models.put_prompt",
  method: "PUT",
  path: "/models/prompts",
  summary: "Give a share of the contacts another version of a prompt, or take it back",
  description:
    "Replaces the shares of one prompt; who is in none gets the stable version. An empty list takes everything back at once. A contact stays in its share as long as the share does not shrink.",
  permission: "models:write",
  input: z.object({
    prompt: z.string().max(40),
    rollout: z.array(z.object({ version: z.string().max(30), percent: z.number().int().min(1).max(100) })).max(20),
  }),
  output: Prompts,
  async handle(ctx, { prompt: name, rollout }) {
    const prompt = registered.get(name);
    if (!prompt) throw invalidField("/prompt", "There is no such prompt.", "GET /models/prompts lists the prompts.");
    for (const [i, { version }] of rollout.entries()) {
      if (!prompt.versions[version]) throw invalidField(`/rollout/${i}/version`, `${name} has no version ${version}.`);
      if (version === prompt.stable)
        throw invalidField(`/rollout/${i}/version`, "is the stable version, which all others get.");
      if (rollout.findIndex((r) => r.version === version) < i)
        throw invalidField(`/rollout/${i}/version`, "stands here twice.");
    }
    if (rollout.reduce((n, r) => n + r.percent, 0) > 100)
      throw invalidField("/rollout", "The shares are more than 100 per cent.");
    await ctx.db`delete from public.prompt_rollouts where tenant_id = (select kernel.tenant()) and prompt = ${name}`;
    if (rollout.length > 0)
      await ctx.db`
        insert into public.prompt_rollouts (tenant_id, prompt, version, percent)
        select ${ctx.tenantId}::uuid, ${name}, r.version, r.percent
        from jsonb_to_recordset(${ctx.db.json(rollout)}) as r(version text, percent int)`;
    ctx.audit({ prompt: name, rollout });
    return await readPrompts(ctx);
  },
});
