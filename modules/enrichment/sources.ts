import { z } from "zod";
import type { Ctx } from "../kernel/context.ts";
import { AppError, invalidField } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import type { AnyProvider } from "../kernel/provider.ts";
import { toOpenConnection } from "../providers/credentials.ts";
import type { ConnectionRow } from "../providers/schemas.ts";
import { type Field, FIELDS, type Kind, KINDS } from "../providers/enrichment/vocabulary.ts";
import type { Source } from "./question.ts";

/** The waterfall's order: which connections are asked, in which order, for which fields and at which price. */

const FieldName = z.enum(FIELDS);
const Given = z.object({
  connection_id: z.uuid(),
  is_enabled: z.boolean().default(true),
  fields: z
    .array(FieldName)
    .min(1)
    .max(FIELDS.length)
    .nullable()
    .default(null)
    .describe("The fields that are taken from this provider; null: all that it gives."),
  unit_micros: z
    .number()
    .int()
    .min(0)
    .max(1_000_000_000)
    .nullable()
    .default(null)
    .describe("What the team pays for a unit, in millionths of a US dollar; null: the provider's list price."),
});

const SourceOut = z
  .object({
    kind: z
      .enum(KINDS)
      .describe("What is asked: a person's data, a company's data, or whether an e-mail address takes messages."),
    position: z.number().int(),
    connection_id: z.uuid(),
    connection_name: z.string(),
    connection_status: z.string(),
    provider: z.string(),
    is_enabled: z.boolean(),
    fields: z.array(FieldName).nullable(),
    gives: z.array(FieldName).describe("All fields that the provider gives."),
    unit_micros: z.number().int().nullable(),
    list_unit_micros: z.number().int().describe("The provider's list price of a unit, in millionths of a US dollar."),
    units: z.number().describe("The most units that one question is charged."),
  })
  .meta({ id: "EnrichmentSource" });

const Sources = z.object({
  data: z.array(SourceOut),
  unused: z
    .array(
      z.object({ kind: z.enum(KINDS), connection_id: z.uuid(), connection_name: z.string(), provider: z.string() }),
    )
    .describe("Connections that could be asked and are in no order yet."),
});

type Row = {
  id: string;
  kind: Kind;
  position: number;
  connection_id: string;
  connection_name: string;
  connection_status: string;
  provider: string;
  is_enabled: boolean;
  fields: Field[] | null;
  unit_micros: number | null;
};

const providerOf = (ctx: Pick<Ctx, "registry">, id: string): AnyProvider | undefined =>
  ctx.registry.providers.find((p) => p.id === id && p.lookup !== undefined);

export async function readSources(ctx: Ctx): Promise<z.output<typeof Sources>> {
  const rows = await ctx.db<Row[]>`
    select s.id, s.kind, s.position, s.connection_id, c.name as connection_name, c.status as connection_status, c.provider, s.is_enabled, s.fields,
      s.unit_micros::int as unit_micros
    from public.enrichment_sources s
    join public.connections c on c.tenant_id = (select kernel.tenant()) and c.id = s.connection_id
    where s.tenant_id = (select kernel.tenant()) order by s.kind desc, s.position`;
  const connections = await ctx.db<{ id: string; name: string; provider: string }[]>`
    select id, name, provider from public.connections
    where tenant_id = (select kernel.tenant()) and category = 'enrichment' order by name`;
  return {
    data: rows.flatMap(({ id: _, ...row }) => {
      const lookup = providerOf(ctx, row.provider)?.lookup;
      const kind = lookup?.kinds[row.kind];
      return kind
        ? [{ ...row, gives: kind.gives as Field[], list_unit_micros: lookup.unit_micros, units: kind.units }]
        : [];
    }),
    unused: connections.flatMap((c) =>
      KINDS.flatMap((kind) =>
        providerOf(ctx, c.provider)?.lookup?.kinds[kind] &&
        !rows.some((r) => r.kind === kind && r.connection_id === c.id)
          ? [{ kind, connection_id: c.id, connection_name: c.name, provider: c.provider }]
          : [],
      ),
    ),
  };
}

export const listSources = defineOperation({
  id: "enrichment.sources",
  method: "GET",
  path: "/enrichment/sources",
  summary: "Read the order in which data providers are asked",
  permission: "enrichment:read",
  input: z.object({}),
  output: Sources,
  handle: (ctx) => readSources(ctx),
});

const List = z.array(Given).max(30).optional();
const Order = z.object({ person: List, company: List, email: List });

/** Replaces the order of the kinds that are named, in one transaction. */
async function putOrder(ctx: Ctx, given: z.output<typeof Order>): Promise<void> {
  const order = Object.entries(given).filter(([, list]) => list !== undefined) as [Kind, z.output<typeof Given>[]][];
  const known = await ctx.db<{ id: string; provider: string }[]>`
    select id, provider from public.connections where tenant_id = (select kernel.tenant()) and category = 'enrichment'`;
  const providers = new Map(known.map((c) => [c.id, providerOf(ctx, c.provider)]));
  const rows: Record<string, unknown>[] = [];
  for (const [kind, list] of order)
    for (const [i, given] of list.entries()) {
      const at = `/order/${kind}/${i}`;
      const provider = providers.get(given.connection_id);
      if (!provider)
        throw invalidField(
          `${at}/connection_id`,
          "There is no such connection to a data provider.",
          "GET /enrichment/sources lists those that can be asked.",
        );
      const gives = provider.lookup!.kinds[kind]?.gives;
      if (!gives)
        throw invalidField(`${at}/connection_id`, `${provider.label} does not answer questions of the kind ${kind}.`);
      const foreign = given.fields?.find((f) => !gives.includes(f));
      if (foreign) throw invalidField(`${at}/fields`, `${provider.label} does not give ${foreign}.`);
      if (list.findIndex((o) => o.connection_id === given.connection_id) < i)
        throw invalidField(`${at}/connection_id`, "This connection stands in the order already.");
      rows.push({ kind, position: i + 1, ...given });
    }
  const kinds = order.map(([kind]) => kind);
  await ctx.db`delete from public.enrichment_sources where tenant_id = (select kernel.tenant()) and kind = any(${kinds}::text[])`;
  if (rows.length > 0)
    await ctx.db`
      insert into public.enrichment_sources (tenant_id, kind, connection_id, position, is_enabled, fields, unit_micros)
      select ${ctx.tenantId}::uuid, r.kind, r.connection_id, r.position, r.is_enabled, r.fields, r.unit_micros
      from jsonb_to_recordset(${ctx.db.json(rows as never)}) as r(kind text, connection_id uuid, position int, is_enabled boolean, fields text[],
        unit_micros bigint)`;
  ctx.audit({ kinds });
}

export const putSources = defineOperation({
  id: "enrichment.put_sources",
  method: "PUT",
  path: "/enrichment/sources",
  summary: "Set the order in which data providers are asked",
  description: "Replaces the whole order of each kind that is named; kinds that are not named stay as they are.",
  permission: "enrichment:configure",
  input: z.object({ order: Order }),
  output: Sources,
  async handle(ctx, { order }) {
    await putOrder(ctx, order);
    return await readSources(ctx);
  },
});

/** Orders by provider. `lowest_cost` asks cheap sources first; `most_found` those that know most. */
export const PRESETS = {
  lowest_cost: ["people_data_labs", "clearbit", "enrich_layer", "website"],
  most_found: ["apollo", "clearbit", "zoominfo", "hunter"],
} as const;

export const applyPreset = defineOperation({
  id: "enrichment.apply_preset",
  method: "POST",
  path: "/enrichment/sources/preset",
  summary: "Set the order of data providers to one of the presets",
  description:
    "The team's connections to the providers of the preset, in its order, then all others as they stood. Says which providers of the preset are not connected.",
  permission: "enrichment:configure",
  input: z.object({ preset: z.enum(["lowest_cost", "most_found"]) }),
  output: Sources.extend({ not_connected: z.array(z.string()) }),
  async handle(ctx, { preset }) {
    const now = await readSources(ctx);
    const wanted: readonly string[] = PRESETS[preset];
    const rank = (provider: string) => (wanted.includes(provider) ? wanted.indexOf(provider) : wanted.length);
    const order = Object.fromEntries(
      KINDS.map((kind) => {
        const used = now.data.filter((s) => s.kind === kind);
        const added = now.unused.filter((u) => u.kind === kind && wanted.includes(u.provider));
        const all = [
          ...used.map(({ connection_id, provider, is_enabled, fields, unit_micros }) => ({
            provider,
            given: { connection_id, is_enabled: is_enabled || wanted.includes(provider), fields, unit_micros },
          })),
          ...added.map(({ connection_id, provider }) => ({
            provider,
            given: { connection_id, is_enabled: true, fields: null, unit_micros: null },
          })),
        ];
        return [kind, all.sort((a, b) => rank(a.provider) - rank(b.provider)).map((a) => a.given)];
      }),
    ) as z.output<typeof Order>;
    await putOrder(ctx, order);
    const connected = new Set([...now.data, ...now.unused].map((s) => s.provider));
    return {
      ...(await readSources(ctx)),
      not_connected: wanted.filter((id) => !connected.has(id)).map((id) => providerOf(ctx, id)?.label ?? id),
    };
  },
});

/** The sources that are asked now, in their order, with credentials opened: enabled, connected and not resting. */
export async function openSources(ctx: Ctx): Promise<Source[]> {
  const rows = await ctx.db<
    (Pick<ConnectionRow, "id" | "provider" | "credentials" | "settings" | "base_url"> & {
      source_id: string;
      kind: Kind;
      fields: Field[] | null;
      unit_micros: string | null;
    })[]
  >`
    select s.id as source_id, s.kind, s.fields, s.unit_micros, c.id, c.provider, c.credentials, c.settings, c.base_url
    from public.enrichment_sources s
    join public.connections c on c.tenant_id = (select kernel.tenant()) and c.id = s.connection_id
    where s.tenant_id = (select kernel.tenant()) and s.is_enabled and c.status = 'active'
      and coalesce(c.circuit_open_until, '-infinity') <= kernel.now()
    order by s.kind, s.position`;
  const sources: Source[] = [];
  for (const row of rows) {
    const provider = providerOf(ctx, row.provider);
    const kind = provider?.lookup?.kinds[row.kind];
    if (!provider?.lookup || !kind) continue;
    sources.push({
      id: row.source_id,
      kind: row.kind,
      provider,
      connection: await toOpenConnection(ctx, ctx.tenantId, provider, row),
      lookup: provider.lookup,
      fields: new Set(row.fields ?? (kind.gives as Field[])),
      unit_micros: row.unit_micros === null ? provider.lookup.unit_micros : Number(row.unit_micros),
    });
  }
  return sources;
}

/** Everything that the sources give. */
export const fieldsOf = (sources: readonly Source[]): Field[] =>
  FIELDS.filter((f) => sources.some((s) => s.fields.has(f)));

/** The sources, or a refusal that says what to do. */
export async function requireSources(ctx: Ctx): Promise<Source[]> {
  const sources = await openSources(ctx);
  if (sources.length > 0) return sources;
  throw new AppError("conflict", "No data provider can be asked.", {
    suggestion: "Connect a provider of category enrichment, activate it, and add it with PUT /enrichment/sources.",
  });
}
