import { z } from "zod";
import type { Ctx } from "../kernel/context.ts";
import { invalidField } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import type { AnyProvider, CompleteCapability, Connection } from "../kernel/provider.ts";
import { toOpenConnection } from "../providers/credentials.ts";
import type { ConnectionRow } from "../providers/schemas.ts";
import { listPrice, type Prices } from "./prices.ts";
import { Alias } from "./routing.ts";

/** Aliases of models: what stands behind each, in which order, at which price. */

const price = z.number().int().min(0).max(10_000_000_000);
const PRICE_NAMES = ["input_micros", "output_micros", "cached_micros", "written_micros"] as const;
const told = "In millionths of a US dollar for a million tokens";

const Given = z.object({
  alias: Alias,
  connection_id: z.uuid(),
  model: z.string().trim().min(1).max(200).describe("The model's name at the provider."),
  is_enabled: z.boolean().default(true),
  input_micros: price.optional().describe(`${told}; the list price unless given.`),
  output_micros: price.optional().describe(`${told}; the list price unless given.`),
  cached_micros: price
    .optional()
    .describe(`${told}: what comes from the provider's cache. As input unless given or listed.`),
  written_micros: price
    .optional()
    .describe(`${told}: what goes into the provider's cache. As input unless given or listed.`),
});

const ModelOut = z
  .object({
    alias: z.string(),
    position: z.number().int().describe("Within the alias: the next one is asked when this one cannot answer."),
    connection_id: z.uuid(),
    connection_name: z.string(),
    connection_status: z.string(),
    provider: z.string(),
    model: z.string(),
    is_enabled: z.boolean(),
    input_micros: z.number().int(),
    output_micros: z.number().int(),
    cached_micros: z.number().int(),
    written_micros: z.number().int(),
  })
  .meta({ id: "Model" });

const Models = z.object({
  data: z.array(ModelOut),
  connections: z
    .array(z.object({ id: z.uuid(), name: z.string(), provider: z.string(), status: z.string() }))
    .describe("The team's connections to providers of language models."),
});

const providerOf = (ctx: Pick<Ctx, "registry">, id: string): AnyProvider | undefined =>
  ctx.registry.providers.find((p) => p.id === id && p.complete !== undefined);

async function readModels(ctx: Ctx): Promise<z.output<typeof Models>> {
  const data = await ctx.db<z.output<typeof ModelOut>[]>`
    select m.alias, m.position, m.connection_id, c.name as connection_name, c.status as connection_status, c.provider, m.model, m.is_enabled,
      m.input_micros::float8 as input_micros, m.output_micros::float8 as output_micros, m.cached_micros::float8 as cached_micros,
      m.written_micros::float8 as written_micros
    from public.models m join public.connections c on c.tenant_id = (select kernel.tenant()) and c.id = m.connection_id
    where m.tenant_id = (select kernel.tenant()) order by m.alias, m.position`;
  const connections = await ctx.db<{ id: string; name: string; provider: string; status: string }[]>`
    select id, name, provider, status from public.connections
    where tenant_id = (select kernel.tenant()) and category = 'llm' order by name`;
  return { data: [...data], connections: [...connections] };
}

export const listModels = defineOperation({
  id: "models.list",
  method: "GET",
  path: "/models",
  summary: "List the language models, their order and their prices",
  permission: "models:read",
  input: z.object({}),
  output: Models,
  handle: (ctx) => readModels(ctx),
});

/** The prices given, else those of the list. */
function pricesOf(given: z.output<typeof Given>, at: string): Prices {
  const list = listPrice(given.model);
  const pick = (name: (typeof PRICE_NAMES)[number], or?: number): number => {
    const value = given[name] ?? list?.[name] ?? or;
    if (value === undefined)
      throw invalidField(
        `${at}/${name}`,
        `is needed: the price of ${given.model} is not known.`,
        "A model that costs nothing has the price 0.",
      );
    return value;
  };
  const input_micros = pick("input_micros");
  // A price of the team's own says nothing of the list's cache.
  const own = given.input_micros === undefined ? undefined : input_micros;
  return {
    input_micros,
    output_micros: pick("output_micros"),
    cached_micros: given.cached_micros ?? own ?? pick("cached_micros", input_micros),
    written_micros: given.written_micros ?? own ?? pick("written_micros", input_micros),
  };
}

export const putModels = defineOperation({
  id: "models.put",
  method: "PUT",
  path: "/models",
  summary: "Set the language models, their order and their prices",
  description:
    "Replaces all. Several entries of one alias are asked in the order given, each when the one before cannot answer. Prices of well-known models may be left out.",
  permission: "models:write",
  input: z.object({ models: z.array(Given).max(100) }),
  output: Models,
  async handle(ctx, { models }) {
    const { connections } = await readModels(ctx);
    const places = new Map<string, number>();
    const rows = models.map((given, i) => {
      const at = `/models/${i}`;
      const connection = connections.find((c) => c.id === given.connection_id);
      if (!connection || !providerOf(ctx, connection.provider))
        throw invalidField(
          `${at}/connection_id`,
          "There is no such connection to a provider of language models.",
          "GET /models lists the connections.",
        );
      const same = (o: typeof given) =>
        o.alias === given.alias && o.connection_id === given.connection_id && o.model === given.model;
      if (models.findIndex(same) < i) throw invalidField(at, `${given.model} stands under ${given.alias} already.`);
      const position = (places.get(given.alias) ?? 0) + 1;
      places.set(given.alias, position);
      return { ...given, position, ...pricesOf(given, at) };
    });
    await ctx.db`delete from public.models where tenant_id = (select kernel.tenant())`;
    if (rows.length > 0)
      await ctx.db`
        insert into public.models (tenant_id, alias, position, connection_id, model, is_enabled, input_micros, output_micros, cached_micros,
          written_micros)
        select ${ctx.tenantId}::uuid, r.alias, r.position, r.connection_id, r.model, r.is_enabled, r.input_micros, r.output_micros,
          r.cached_micros, r.written_micros
        from jsonb_to_recordset(${ctx.db.json(rows)}) as r(alias text, position int, connection_id uuid, model text, is_enabled boolean,
          input_micros bigint, output_micros bigint, cached_micros bigint, written_micros bigint)`;
    ctx.audit({ models: rows.length });
    return await readModels(ctx);
  },
});

/** A model that can be asked now. */
export type Candidate = {
  alias: string;
  model: string;
  prices: Prices;
  provider: AnyProvider;
  connection: Connection<Record<string, unknown>>;
  complete: CompleteCapability<Record<string, unknown>>;
};

/** The models of these aliases in their order, with credentials opened: enabled, connected and not resting. */
export async function openCandidates(ctx: Ctx, aliases: readonly string[]): Promise<Candidate[]> {
  const rows = await ctx.db<
    (Pick<ConnectionRow, "id" | "provider" | "credentials" | "settings" | "base_url"> & {
      alias: string;
      model: string;
    } & Prices)[]
  >`
    select m.alias, m.model, m.input_micros::float8 as input_micros, m.output_micros::float8 as output_micros,
      m.cached_micros::float8 as cached_micros, m.written_micros::float8 as written_micros, c.id, c.provider, c.credentials, c.settings, c.base_url
    from public.models m join public.connections c on c.tenant_id = (select kernel.tenant()) and c.id = m.connection_id
    where m.tenant_id = (select kernel.tenant()) and m.alias = any(${aliases as string[]}::text[]) and m.is_enabled and c.status = 'active'
      and coalesce(c.circuit_open_until, '-infinity') <= kernel.now()
    order by m.alias, m.position`;
  const candidates: Candidate[] = [];
  for (const row of rows) {
    const provider = providerOf(ctx, row.provider);
    if (!provider?.complete) continue;
    const { alias, model, input_micros, output_micros, cached_micros, written_micros } = row;
    candidates.push({
      alias,
      model,
      prices: { input_micros, output_micros, cached_micros, written_micros },
      provider,
      connection: await toOpenConnection(ctx, ctx.tenantId, provider, row),
      complete: provider.complete,
    });
  }
  return candidates;
}
