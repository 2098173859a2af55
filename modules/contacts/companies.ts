import { z } from "zod";
import { clean } from "../kernel/text.ts";
import type { Ctx } from "../kernel/context.ts";
import { decodeCursor, pageOf, pageParams, toPage, withoutSortKey } from "../kernel/operations/cursor.ts";
import { AppError, invalidField } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { escapeLike, type Fragment } from "./filter-sql.ts";
import { normaliseCountry, normaliseDomain } from "./normalize.ts";
import { Company, id } from "./schemas.ts";

/** Organisations people work for. */

type CompanyRow = z.input<typeof Company>;

const PEOPLE_MOST = 1000;

/** Companies read in list order before the index is asked. */
const STRIDE = 1000;

const name = z.string().overwrite(clean).min(1).max(200);
const optional = {
  domain: z.string().max(300).nullish().describe("Unique among the companies, e.g. example.com."),
  size: z.string().overwrite(clean).max(60).nullish(),
  industry: z.string().overwrite(clean).max(120).nullish(),
  country: z.string().max(60).nullish(),
};

const columns = (ctx: Ctx) => ctx.db`
  o.id, o.name, o.domain, o.size, o.industry, o.country, o.created_at, o.updated_at,
  least(p.n, ${PEOPLE_MOST}) as contact_count, p.n <= ${PEOPLE_MOST} as contact_count_exact`;

/** Beside the company: its people, counted no further than anybody reads. */
const people = (ctx: Ctx) => ctx.db`
  cross join lateral (
    select count(*)::int as n from (
      select from public.contacts c where c.tenant_id = o.tenant_id and c.company_id = o.id limit ${PEOPLE_MOST + 1}) x) p`;

async function read(ctx: Ctx, companyId: string): Promise<CompanyRow> {
  const [row] = await ctx.db<CompanyRow[]>`
    select ${columns(ctx)} from public.companies o ${people(ctx)} where o.tenant_id = ${ctx.tenantId} and o.id = ${companyId}`;
  if (!row) throw new AppError("not_found", "There is no such company.");
  return { ...row };
}

type Given = {
  domain?: string | null | undefined;
  size?: string | null | undefined;
  industry?: string | null | undefined;
  country?: string | null | undefined;
};

/** Normalised optional columns, only those given. */
function values(given: Given): Record<string, string | null> {
  const out: Record<string, string | null> = {};
  for (const key of ["domain", "size", "industry", "country"] as const) {
    const raw = given[key];
    if (raw === undefined) continue;
    const text = raw === null ? "" : clean(raw);
    if (text === "") out[key] = null;
    else {
      const result =
        key === "domain" ? normaliseDomain(text) : key === "country" ? normaliseCountry(text) : { value: text };
      if ("fault" in result) throw invalidField(`/${key}`, `${key} ${result.fault}`);
      out[key] = result.value;
    }
  }
  return out;
}

async function requireFreeDomain(ctx: Ctx, domain: string | null | undefined, except: string | null): Promise<void> {
  if (!domain) return;
  const [other] = await ctx.db<{ id: string }[]>`
    select id from public.companies where tenant_id = ${ctx.tenantId} and domain = ${domain} and id is distinct from ${except}::uuid`;
  if (other)
    throw new AppError("conflict", "Another company has this domain.", {
      errors: [{ pointer: "/domain", detail: `belongs to company ${other.id}` }],
    });
}

export const listCompanies = defineOperation({
  id: "companies.list",
  method: "GET",
  path: "/companies",
  summary: "List companies by name",
  permission: "contacts:read",
  input: z.object({
    search: z.string().max(200).optional().describe("Part of the name, or the domain."),
    ...pageParams,
  }),
  output: pageOf(Company),
  async handle(ctx, input) {
    const { db, tenantId } = ctx;
    const after = decodeCursor(input.cursor, z.tuple([z.string().max(400), id]));
    const search = clean(input.search ?? "");
    const pattern = `%${escapeLike(search)}%`;
    const asDomain = normaliseDomain(search);
    const domain = "value" in asDomain ? asDomain.value : search.toLowerCase();
    const start = after ? db`and (o.name_sort, o.id) > (${after[0]}::text, ${after[1]}::text::uuid)` : db``;
    const wanted = input.limit + 1;
    const pick = async (companies: Fragment) =>
      await db<(CompanyRow & { sort_key: string })[]>`
      select ${columns(ctx)}, o.name_sort as sort_key from ${companies} o ${people(ctx)}
      where o.tenant_id = ${tenantId} ${start}
        ${search ? db`and (kernel.fold(o.name) like kernel.fold(${pattern}::text) or o.domain = ${domain})` : db``}
      order by o.name_sort, o.id limit ${wanted}`;
    // As for people: the beginning of the list holds what many match; the rest is for the index.
    let rows = search
      ? await pick(
          db`(select * from public.companies o where o.tenant_id = ${tenantId} ${start} order by o.name_sort, o.id limit ${STRIDE})`,
        )
      : await pick(db`public.companies`);
    if (search && rows.length < wanted) {
      const [found] = await db<{ ids: string[] }[]>`
        select private.find_companies(${pattern}, ${domain}, ${after?.[0] ?? null}::text, ${after?.[1] ?? null}::text::uuid, ${wanted}) as ids`;
      rows = await pick(
        db`(select * from public.companies o where o.tenant_id = ${tenantId} and o.id = any(${found!.ids}::uuid[]) offset 0)`,
      );
    }
    return toPage(rows, input.limit, (r) => [r.sort_key, r.id], withoutSortKey);
  },
});

export const createCompany = defineOperation({
  id: "companies.create",
  method: "POST",
  path: "/companies",
  summary: "Add a company",
  permission: "contacts:write",
  input: z.object({ name, ...optional }),
  output: Company,
  status: 201,
  async handle(ctx, { name: title, ...given }) {
    const v = values(given);
    await requireFreeDomain(ctx, v.domain, null);
    const [row] = await ctx.db<{ id: string }[]>`
      insert into public.companies (tenant_id, name, domain, size, industry, country)
      values (${ctx.tenantId}, ${title}, ${v.domain ?? null}, ${v.size ?? null}, ${v.industry ?? null}, ${v.country ?? null})
      returning id`;
    return await read(ctx, row!.id);
  },
});

export const readCompany = defineOperation({
  id: "companies.get",
  method: "GET",
  path: "/companies/{id}",
  summary: "Read a company",
  permission: "contacts:read",
  input: z.object({ id }),
  output: Company,
  handle: (ctx, input) => read(ctx, input.id),
});

export const updateCompany = defineOperation({
  id: "companies.update",
  method: "PATCH",
  path: "/companies/{id}",
  summary: "Change a company",
  permission: "contacts:write",
  input: z.object({ id, name: name.optional(), ...optional }),
  output: Company,
  async handle(ctx, { id: companyId, name: title, ...given }) {
    const v: Record<string, string | null> = { ...values(given), ...(title === undefined ? {} : { name: title }) };
    if (Object.keys(v).length === 0) return await read(ctx, companyId);
    await requireFreeDomain(ctx, v.domain, companyId);
    const changed = await ctx.db`
      update public.companies set ${ctx.db(v)} where tenant_id = ${ctx.tenantId} and id = ${companyId} returning id`;
    if (changed.length === 0) throw new AppError("not_found", "There is no such company.");
    return await read(ctx, companyId);
  },
});

export const deleteCompany = defineOperation({
  id: "companies.delete",
  method: "DELETE",
  path: "/companies/{id}",
  summary: "Delete a company",
  description: "Its contacts are kept, without a company.",
  permission: "contacts:delete",
  input: z.object({ id }),
  output: z.null(),
  status: 204,
  async handle(ctx, input) {
    const gone =
      await ctx.db`delete from public.companies where tenant_id = ${ctx.tenantId} and id = ${input.id} returning id`;
    if (gone.length === 0) throw new AppError("not_found", "There is no such company.");
    return null;
  },
});
