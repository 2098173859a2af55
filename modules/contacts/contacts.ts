import { z } from "zod";
import type { Ctx } from "../kernel/context.ts";
import { pageOf, pageParams } from "../kernel/operations/cursor.ts";
import { AppError, type FieldError, invalidField } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { contactFilters, countContacts, getContact, isUnfiltered, whereContacts } from "./contact-query.ts";
import { pageOfContacts, sortParams } from "./contact-page.ts";
import { assignments, companyIdOf, resolveCompanies, type WriteRow, writeContacts } from "./contact-write.ts";
import { loadCustomFields } from "./custom-values.ts";
import { type ContactGiven, type FieldFault, readContact } from "./fields.ts";
import { FilterSchema } from "./filter.ts";
import { isStopped } from "./normalize.ts";
import { Contact, contactFields, ContactInput, id, OnDuplicate } from "./schemas.ts";

/** People. */

export const listContacts = defineOperation({
  id: "contacts.list",
  method: "GET",
  path: "/contacts",
  summary: "List contacts",
  permission: "contacts:read",
  input: z.object({ ...contactFilters, ...sortParams, ...pageParams }),
  output: pageOf(Contact),
  handle: async (ctx, input) => await pageOfContacts(ctx, await whereContacts(ctx, input), input),
});

export const selectContacts = defineOperation({
  id: "contacts.select",
  method: "POST",
  path: "/contacts/select",
  summary: "List contacts by filter or by id",
  description: "Like GET /contacts, for filters that are too long for a URL. Changes nothing.",
  permission: "contacts:read",
  input: z.object({
    filter: FilterSchema.optional(),
    ids: z.array(id).min(1).max(1000).optional(),
    ...sortParams,
    ...pageParams,
  }),
  output: pageOf(Contact),
  async handle(ctx, { filter, ids, ...page }) {
    if ((filter === undefined) === (ids === undefined)) throw invalidField("/filter", "Give either a filter or ids.");
    const selected = await whereContacts(ctx, { tree: filter });
    if (ids) selected.where = ctx.db`${selected.where} and c.id = any(${ids}::uuid[])`;
    return await pageOfContacts(ctx, selected, page);
  },
});

export const contactCount = defineOperation({
  id: "contacts.count",
  method: "GET",
  path: "/contacts/count",
  summary: "Count contacts",
  description:
    "With filters, exact up to 10,000; above that a lower bound (exact: false). Without filters, an estimate for tenants with many contacts.",
  permission: "contacts:read",
  input: z.object(contactFilters),
  output: z.object({ count: z.number().int(), exact: z.boolean() }),
  handle: async (ctx, input) => await countContacts(ctx, await whereContacts(ctx, input), isUnfiltered(input)),
});

const fieldErrors = (faults: readonly FieldFault[], prefix = ""): FieldError[] =>
  faults.map((f) => ({ pointer: `${prefix}/${f.field}`, detail: f.detail }));

/** Throws when one of the lists is not the team's. */
async function requireLists(ctx: Ctx, lists: readonly string[]): Promise<void> {
  if (lists.length === 0) return;
  const missing = await missingLists(ctx, lists);
  if (missing.size > 0)
    throw new AppError("invalid", `There is no list ${[...missing][0]}.`, {
      errors: [{ pointer: "/lists", detail: "names a list that does not exist" }],
    });
}

async function missingLists(ctx: Ctx, lists: readonly string[]): Promise<Set<string>> {
  const rows = await ctx.db<{ id: string }[]>`
    select l.id from unnest(${[...new Set(lists)]}::uuid[]) as l(id)
    where not exists (select from public.lists x where x.tenant_id = ${ctx.tenantId} and x.id = l.id)`;
  return new Set(rows.map((r) => r.id));
}

/** Whether anything says who the person is. */
export const isSomebody = (values: WriteRow["values"]): boolean =>
  Boolean(
    values.email ||
    values.linkedin_url ||
    values.phone ||
    values.whatsapp_number ||
    values.first_name ||
    values.last_name,
  );

const NOBODY = "does not identify a person: give an email address, a LinkedIn URL, a phone number or a name";

export const createContact = defineOperation({
  id: "contacts.create",
  method: "POST",
  path: "/contacts",
  summary: "Add a contact",
  permission: "contacts:write",
  input: ContactInput,
  output: Contact,
  status: 201,
  async handle(ctx, { lists = [], ...given }) {
    const { values, faults } = readContact(given as ContactGiven, {
      custom: await loadCustomFields(ctx.db, ctx.tenantId),
    });
    if (faults.length > 0)
      throw new AppError("invalid", `${faults[0]!.field} ${faults[0]!.detail}`, { errors: fieldErrors(faults) });
    if (!isSomebody(values))
      throw new AppError("invalid", `The contact ${NOBODY}.`, { errors: [{ pointer: "/email", detail: NOBODY }] });
    await requireLists(ctx, lists);
    const [result] = await writeContacts(ctx.db, ctx.tenantId, [{ values, lists }], {
      key: "email",
      on_duplicate: "skip",
    });
    if (result!.outcome !== "created") {
      throw new AppError("conflict", "A contact with this email address exists already.", {
        errors: [{ pointer: "/email", detail: `belongs to contact ${result!.id}` }],
        suggestion: `Change that contact with PATCH /contacts/${result!.id}.`,
      });
    }
    return await getContact(ctx, result!.id!);
  },
});

export const bulkContacts = defineOperation({
  id: "contacts.bulk",
  method: "POST",
  path: "/contacts/bulk",
  summary: "Add or update up to 500 contacts",
  description:
    "The response has one result per item: an invalid item does not stop the others. Existing contacts are recognised by their email address.",
  permission: "contacts:write",
  input: z.object({
    contacts: z
      .array(z.record(z.string(), z.unknown()))
      .min(1)
      .max(500)
      .describe("Objects as for POST /contacts. Each item is validated separately."),
    on_duplicate: OnDuplicate.default("skip"),
  }),
  output: z.object({
    data: z.array(
      z.object({
        index: z.number().int(),
        outcome: z.enum(["created", "updated", "skipped", "rejected"]),
        id: id.optional(),
        errors: z.array(z.object({ pointer: z.string(), detail: z.string() })).optional(),
      }),
    ),
  }),
  async handle(ctx, { contacts, on_duplicate }) {
    const custom = await loadCustomFields(ctx.db, ctx.tenantId);
    const good: { index: number; row: WriteRow }[] = [];
    const rejected: { index: number; outcome: "rejected"; errors: FieldError[] }[] = [];
    for (const [index, item] of contacts.entries()) {
      const { row, errors } = readItem(item, custom, `/contacts/${index}`);
      if (errors.length > 0) rejected.push({ index, outcome: "rejected", errors });
      else good.push({ index, row });
    }
    const missing = await missingLists(
      ctx,
      good.flatMap((g) => g.row.lists ?? []),
    );
    const writable = good.filter(({ index, row }) => {
      if (!row.lists?.some((l) => missing.has(l))) return true;
      rejected.push({
        index,
        outcome: "rejected",
        errors: [{ pointer: `/contacts/${index}/lists`, detail: "names a list that does not exist" }],
      });
      return false;
    });
    const results = await writeContacts(
      ctx.db,
      ctx.tenantId,
      writable.map((g) => g.row),
      { key: "email", on_duplicate },
    );
    const written = results.map((r, n) => {
      const { index } = writable[n]!;
      if (r.outcome !== "rejected") return { index, outcome: r.outcome, id: r.id };
      return { index, outcome: r.outcome, errors: [{ pointer: `/contacts/${index}/${r.field}`, detail: r.detail }] };
    });
    const data = [...written, ...rejected].sort((a, b) => a.index - b.index);
    ctx.audit({
      created: data.filter((d) => d.outcome === "created").length,
      updated: data.filter((d) => d.outcome === "updated").length,
    });
    return { data };
  },
});

function readItem(
  item: unknown,
  custom: Awaited<ReturnType<typeof loadCustomFields>>,
  prefix: string,
): { row: WriteRow; errors: FieldError[] } {
  const parsed = z.strictObject(ContactInput.shape).safeParse(item);
  if (!parsed.success) {
    const errors = parsed.error.issues.map((i) => ({
      pointer: [prefix, ...i.path.map(String)].join("/"),
      detail: i.message,
    }));
    return { row: { values: {} }, errors };
  }
  const { lists, ...given } = parsed.data;
  const { values, faults } = readContact(given as ContactGiven, { custom });
  const errors = fieldErrors(faults, prefix);
  if (errors.length === 0 && !isSomebody(values)) errors.push({ pointer: prefix, detail: NOBODY });
  return { row: { values, ...(lists ? { lists } : {}) }, errors };
}

export const readOneContact = defineOperation({
  id: "contacts.get",
  method: "GET",
  path: "/contacts/{id}",
  summary: "Read a contact",
  permission: "contacts:read",
  input: z.object({ id }),
  output: Contact,
  handle: (ctx, input) => getContact(ctx, input.id),
});

export const updateContact = defineOperation({
  id: "contacts.update",
  method: "PATCH",
  path: "/contacts/{id}",
  summary: "Change a contact",
  description:
    "Only the given fields are changed; null clears a field. `tags` replaces all tags; `custom` merges key by key.",
  permission: "contacts:write",
  input: z.object({ id, ...contactFields }),
  output: Contact,
  async handle(ctx, { id: contactId, ...given }) {
    const { db, tenantId } = ctx;
    const before = await getContact(ctx, contactId);
    const hint = given.country === undefined ? before.country : null;
    const { values, faults } = readContact(given as ContactGiven, {
      custom: await loadCustomFields(db, tenantId),
      defaultCountry: hint,
    });
    if (faults.length > 0)
      throw new AppError("invalid", `${faults[0]!.field} ${faults[0]!.detail}`, { errors: fieldErrors(faults) });
    if (values.status && isStopped(before.status))
      throw invalidField(
        "/status",
        `cannot be set: the contact is ${before.status}. Remove the suppression or record the consent that says so, and the status follows`,
      );
    const { company_name: _n, company_domain: _d, ...columns } = values;
    const companyId = companyIdOf(await resolveCompanies(db, tenantId, [values]), values);
    const json = JSON.stringify({ ...columns, ...(companyId === undefined ? {} : { company_id: companyId }) });
    if (values.email) {
      const [other] = await db<{ id: string }[]>`
        select id from public.contacts where tenant_id = ${tenantId} and email = ${values.email} and id <> ${contactId}`;
      if (other)
        throw new AppError("conflict", "Another contact has this email address.", {
          errors: [{ pointer: "/email", detail: `belongs to contact ${other.id}` }],
        });
    }
    await db`
      update public.contacts c set
        ${assignments(db)},
        email = case when n.d ? 'email' then n.email else c.email end,
        status = coalesce(n.status, c.status),
        tags = coalesce(n.tags, c.tags),
        consent_source = case when n.d ? 'consent_source' then n.consent_source else c.consent_source end,
        lawful_basis = case when n.d ? 'lawful_basis' then n.lawful_basis else c.lawful_basis end
      from (select e.d, r.* from (select ${json}::text::jsonb) as e(d), jsonb_populate_record(null::public.contacts, e.d) as r) n
      where c.tenant_id = ${tenantId} and c.id = ${contactId}`;
    if (values.status && values.status !== before.status)
      ctx.audit({ status: { from: before.status, to: values.status } });
    return await getContact(ctx, contactId);
  },
});

export const deleteContact = defineOperation({
  id: "contacts.delete",
  method: "DELETE",
  path: "/contacts/{id}",
  summary: "Delete a contact",
  description:
    "Messages already sent are kept, without the contact. Suppressed addresses stay suppressed; if the contact had opted out, its addresses are suppressed too.",
  permission: "contacts:delete",
  input: z.object({ id }),
  output: z.null(),
  status: 204,
  async handle(ctx, input) {
    const gone =
      await ctx.db`delete from public.contacts where tenant_id = ${ctx.tenantId} and id = ${input.id} returning id`;
    if (gone.length === 0) throw new AppError("not_found", "There is no such contact.");
    return null;
  },
});
