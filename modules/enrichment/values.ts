import { z } from "zod";
import { ENRICHED_COMPANY_COLUMNS, ENRICHED_CONTACT_COLUMNS } from "../contacts/enriched.ts";
import { writeEnrichedCompanies, writeEnrichedContacts } from "../contacts/enriched.ts";
import type { Ctx } from "../kernel/context.ts";
import { AppError } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import type { Field } from "../providers/enrichment/vocabulary.ts";
import { keyOf } from "./confidence.ts";
import { EnrichedValue } from "./schemas.ts";
import { loadSubjects } from "./subjects.ts";

/** What providers said of a contact and its company; a person accepts or rejects what differs from their own entry. */

export const readValues = (ctx: Ctx, contactId: string) => ctx.db<z.input<typeof EnrichedValue>[]>`
  select e.id, e.field, e.value, e.provider, e.confidence, e.state, e.seen_at, e.fetched_at
  from public.contacts c
  join public.enriched_values e on e.tenant_id = (select kernel.tenant()) and (e.contact_id = c.id or e.company_id = c.company_id)
  where c.tenant_id = (select kernel.tenant()) and c.id = ${contactId}
  order by e.company_id is not null, e.field, e.state = 'used' desc, e.confidence desc, e.provider`;

export const contactValues = defineOperation({
  id: "enrichment.values",
  method: "GET",
  path: "/contacts/{id}/enrichment",
  summary: "List what data providers said of a contact and its company",
  permission: "enrichment:read",
  input: z.object({ id: z.uuid() }),
  output: z.object({ data: z.array(EnrichedValue) }),
  async handle(ctx, { id }) {
    const [known] = await ctx.db`select from public.contacts where tenant_id = (select kernel.tenant()) and id = ${id}`;
    if (!known) throw new AppError("not_found", "There is no such contact.");
    return { data: [...(await readValues(ctx, id))] };
  },
});

type Row = {
  id: string;
  contact_id: string | null;
  company_id: string | null;
  field: Field;
  value: string | number | string[];
  state: string;
};

async function valueRow(ctx: Ctx, contactId: string, id: string): Promise<Row> {
  const [row] = await ctx.db<Row[]>`
    select e.id, e.contact_id, e.company_id, e.field, e.value, e.state from public.enriched_values e
    join public.contacts c on c.tenant_id = (select kernel.tenant()) and c.id = ${contactId} and (e.contact_id = c.id or e.company_id = c.company_id)
    where e.tenant_id = (select kernel.tenant()) and e.id = ${id} for update of e`;
  if (!row) throw new AppError("not_found", "There is no such value of this contact.");
  return row;
}

export const acceptValue = defineOperation({
  id: "enrichment.accept",
  method: "POST",
  path: "/contacts/{id}/enrichment/{value_id}/accept",
  summary: "Use a value that a data provider gave",
  description: "Writes it into the contact or company, also over what a person entered.",
  permission: "enrichment:decide",
  input: z.object({ id: z.uuid(), value_id: z.uuid() }),
  output: z.object({ data: z.array(EnrichedValue) }),
  async handle(ctx, { id, value_id }) {
    const row = await valueRow(ctx, id, value_id);
    const [subject] = await loadSubjects(ctx, [id]);
    const standing = subject!.current[row.field];
    const change = (name: string) => ({
      [name]: [standing === undefined ? null : String(standing), String(row.value)] as [string | null, string],
    });
    let written = true;
    if (row.company_id === null && (ENRICHED_CONTACT_COLUMNS as readonly string[]).includes(row.field))
      written =
        (standing !== undefined && keyOf(standing) === keyOf(row.value)) ||
        (await writeEnrichedContacts(ctx.db, [{ id, set: change(row.field) }])).has(id);
    const name = row.field.slice("company_".length);
    if (row.company_id !== null && (ENRICHED_COMPANY_COLUMNS as readonly string[]).includes(name))
      written =
        (standing !== undefined && keyOf(standing) === keyOf(row.value)) ||
        (await writeEnrichedCompanies(ctx.db, [{ id: row.company_id, set: change(name) }])).has(row.company_id);
    if (!written) throw new AppError("conflict", "The value cannot be used: another contact or company has it.");
    // Whoever says the same is right as well; the others are not what stands there.
    await ctx.db`
      update public.enriched_values e set state = case when e.value = ${ctx.db.json(row.value)} then 'used' else 'known' end
      where e.tenant_id = (select kernel.tenant()) and e.field = ${row.field} and e.state <> 'rejected'
        and (e.contact_id = ${row.contact_id}::uuid or e.company_id = ${row.company_id}::uuid)`;
    await ctx.db`update public.enriched_values set state = 'used' where tenant_id = (select kernel.tenant()) and id = ${value_id}`;
    ctx.audit({ field: row.field }, id);
    return { data: [...(await readValues(ctx, id))] };
  },
});

export const rejectValue = defineOperation({
  id: "enrichment.reject",
  method: "POST",
  path: "/contacts/{id}/enrichment/{value_id}/reject",
  summary: "Reject a value that a data provider gave",
  description: "It is not offered again. A value that stands in the contact stays there until somebody changes it.",
  permission: "enrichment:decide",
  input: z.object({ id: z.uuid(), value_id: z.uuid() }),
  output: z.object({ data: z.array(EnrichedValue) }),
  async handle(ctx, { id, value_id }) {
    const row = await valueRow(ctx, id, value_id);
    await ctx.db`update public.enriched_values set state = 'rejected' where tenant_id = (select kernel.tenant()) and id = ${value_id}`;
    ctx.audit({ field: row.field }, id);
    return { data: [...(await readValues(ctx, id))] };
  },
});
