import { z } from "zod";
import { readContact } from "../contacts/fields.ts";
import { writeContacts } from "../contacts/contact-write.ts";
import type { Ctx, ManualCtx } from "../kernel/context.ts";
import { uuid7 } from "../kernel/database/ids.ts";
import { AppError, invalidField } from "../kernel/errors.ts";
import { defineManualOperation } from "../kernel/operations/operation.ts";
import type { Round } from "./question.ts";
import { EnrichedValue, Fields, micros } from "./schemas.ts";
import { MISS_DAYS, readSettings } from "./settings.ts";
import { fieldsOf, requireSources } from "./sources.ts";
import { loadSubjects } from "./subjects.ts";
import { readValues } from "./values.ts";
import { CONTACT_MS, type Item, itemOf, outcomeOf, pour } from "./waterfall.ts";

const Given = z.object({
  email: z.string().max(320).optional(),
  first_name: z.string().max(200).optional(),
  last_name: z.string().max(200).optional(),
  linkedin_url: z.string().max(500).optional(),
  company_name: z.string().max(400).optional(),
  company_domain: z.string().max(300).optional(),
  country: z.string().max(60).optional(),
});

const Call = z.object({
  provider: z.string(),
  kind: z.string(),
  status: z.string().describe("found, miss, refused, retry, later, unknown, broken, budget, stopped or busy."),
  cached: z.boolean(),
  micros: z.number().int(),
  ms: z.number().int(),
  detail: z.string(),
});

const Result = z
  .object({
    contact_id: z.uuid(),
    run_id: z.uuid().describe("The rows of the cost ledger carry it."),
    outcome: z.enum(["complete", "partial", "nothing"]),
    reason: z.string().nullable().describe("Why not everything was asked: budget, contact_cap, time or provider."),
    filled: z.array(z.string()),
    missing: z.array(z.string()),
    cost_micros: z.number().int(),
    saved_micros: z.number().int(),
    calls: z.array(Call),
    values: z.array(EnrichedValue),
  })
  .meta({ id: "EnrichmentResult" });

/** The contact of the request: named by id, or found by its address, or made. */
async function contactOf(
  ctx: Ctx,
  { contact_id, contact }: { contact_id?: string | undefined; contact?: z.output<typeof Given> | undefined },
): Promise<string> {
  if ((contact_id === undefined) === (contact === undefined))
    throw invalidField("/contact_id", "Give either contact_id or contact.");
  if (contact_id !== undefined) {
    const [row] =
      await ctx.db`select from public.contacts where tenant_id = (select kernel.tenant()) and id = ${contact_id}`;
    if (!row) throw new AppError("not_found", "There is no such contact.");
    return contact_id;
  }
  const { values, faults } = readContact(contact!, { custom: new Map() });
  if (faults.length > 0)
    throw new AppError("invalid", `contact/${faults[0]!.field}: ${faults[0]!.detail}`, {
      errors: faults.map((f) => ({ pointer: `/contact/${f.field}`, detail: f.detail })),
    });
  if (!values.email && !values.linkedin_url && !(values.last_name && (values.company_domain || values.company_name)))
    throw invalidField("/contact", "Give an email, a linkedin_url, or names with a company.");
  const key = values.email ? "email" : "linkedin_url";
  const on_duplicate = values[key] ? "skip" : "create_new";
  const [written] = await writeContacts(ctx.db, ctx.tenantId, [{ values }], { key, on_duplicate });
  if (!written?.id)
    throw new AppError("conflict", written && "detail" in written ? written.detail : "The contact could not be saved.");
  return written.id;
}

export const enrichLead = defineManualOperation({
  id: "enrichment.enrich",
  method: "POST",
  path: "/leads/enrich",
  summary: "Enrich one contact now",
  description: `Answers within ${CONTACT_MS / 1000} seconds: what is found by then. A contact that the workspace does not have yet is added.`,
  permission: "enrichment:run",
  input: z.object({
    contact_id: z.uuid().optional(),
    contact: Given.optional().describe(
      "Instead of contact_id: a contact with this email or LinkedIn profile is used, or one is made.",
    ),
    fields: Fields.optional().describe("Wanted fields; all that the providers give unless set."),
    refresh: z.boolean().default(false).describe("Ask again for what is known, and past the cache."),
    cap_micros: micros
      .optional()
      .describe("The most that it may cost, in millionths of a US dollar; the team's setting unless given."),
  }),
  output: Result,
  async handle(ctx, input) {
    const begun = performance.now();
    const { subject, sources, settings } = await ctx.tx(async (tx) => {
      const sources = await requireSources(tx);
      const id = await contactOf(tx, input);
      const [subject] = await loadSubjects(tx, [id]);
      return { subject: subject!, sources, settings: await readSettings(tx) };
    });
    const limits = { contact_cap_micros: input.cap_micros ?? settings.contact_cap_micros, refresh: input.refresh };
    const item = itemOf(subject, input.fields ?? fieldsOf(sources), limits);
    const run_id = uuid7();
    const round: Round = {
      run_id,
      campaign_id: null,
      concurrency: 10,
      since: input.refresh ? new Date() : null,
      deadline: begun + CONTACT_MS,
      patience: 2,
      cache_days: settings.cache_days,
      miss_days: Math.min(MISS_DAYS, settings.cache_days),
      goesOn: () => Promise.resolve(true),
    };
    await withinTime(ctx, begun + CONTACT_MS, (inTime) => pour(inTime, sources, [item], round, limits));
    return await ctx.tx(async (tx) => ({
      ...resultOf(item),
      run_id,
      values: await readValues(tx, subject.contact_id),
    }));
  },
});

/** Calls end when the time is over: a provider that hangs takes no more than what is left. */
async function withinTime(ctx: ManualCtx, end: number, work: (ctx: ManualCtx) => Promise<void>): Promise<void> {
  const totalMs = () => Math.max(1, Math.ceil(end - performance.now()));
  const http = ctx.http;
  await work({
    ...ctx,
    http: {
      ...http,
      request: (r) => http.request({ ...r, timeoutMs: Math.min(r.timeoutMs ?? 15_000, totalMs()) }),
      json: (r) => http.json({ ...r, timeoutMs: Math.min(r.timeoutMs ?? 15_000, totalMs()) }),
    },
  });
}

const resultOf = (item: Item) => ({
  contact_id: item.subject.contact_id,
  outcome: outcomeOf(item),
  reason: item.missing.size === 0 ? null : item.reason === "interrupted" ? "time" : item.reason,
  filled: [...item.filled],
  missing: [...item.missing],
  cost_micros: item.cost_micros,
  saved_micros: item.saved_micros,
  calls: item.trace,
});
