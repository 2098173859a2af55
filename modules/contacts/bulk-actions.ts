import { z } from "zod";
import { clean } from "../kernel/text.ts";
import type { Ctx } from "../kernel/context.ts";
import { AppError, invalidField } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { indexed, whereContacts } from "./contact-query.ts";
import { MAX_TAG_LENGTH, MAX_TAGS } from "./fields.ts";
import type { Fragment } from "./filter-sql.ts";
import { FilterSchema } from "./filter.ts";
import { SETTABLE_STATUSES } from "./normalize.ts";
import { id } from "./schemas.ts";

/** One act on many people, in one statement. */

/** A statement over more rows holds its locks too long; narrow the filter and go again. */
export const BULK_MOST = 100_000;

const ACTIONS = ["add_tag", "remove_tag", "add_to_list", "remove_from_list", "delete", "set_status"] as const;
type Action = (typeof ACTIONS)[number];

export const bulkActions = defineOperation({
  id: "contacts.bulk_action",
  method: "POST",
  path: "/contacts/bulk-actions",
  summary: "Tag, list, delete or set the status of many contacts",
  description: `By ids or by filter, at most ${BULK_MOST.toLocaleString("en")} contacts at once; above that nothing is changed. Contacts that opted out or bounced keep their status.`,
  destructive: true,
  permission: "contacts:write",
  input: z.object({
    action: z.enum(ACTIONS),
    value: z.string().max(200).optional().describe("The tag, the id of the list, or the status. Not used by delete."),
    ids: z.array(id).min(1).max(10_000).optional(),
    filter: FilterSchema.optional().describe("Instead of ids. {all: []} selects all contacts."),
  }),
  output: z.object({ affected: z.number().int().describe("Number of contacts that were changed.") }),
  async handle(ctx, { action, value, ids, filter }) {
    if ((ids === undefined) === (filter === undefined))
      throw new AppError("invalid", "Give either ids or a filter.", {
        errors: [{ pointer: "/ids", detail: "either ids or filter is needed" }],
      });
    const wanted = await checkValue(ctx, action, value);
    const { where: everybody } = await indexed(ctx, await whereContacts(ctx, { tree: filter }));
    const where = ids ? ctx.db`${everybody} and c.id = any(${ids}::uuid[])` : everybody;
    const [row] = await statement(ctx, action, wanted, where);
    if (row!.matched > BULK_MOST) {
      throw new AppError(
        "invalid",
        `This selects more than ${BULK_MOST.toLocaleString("en")} contacts. Nothing was changed.`,
        { suggestion: "Use a narrower filter and try again." },
      );
    }
    ctx.audit({ affected: row!.affected });
    return { affected: row!.affected };
  },
});

async function checkValue(ctx: Ctx, action: Action, value: string | undefined): Promise<string> {
  if (action === "delete") {
    if (value !== undefined) throw invalidField("/value", "delete does not take a value");
    return "";
  }
  const text = clean(value ?? "");
  if (text === "") throw invalidField("/value", `${action} needs a value`);
  if (action === "set_status") {
    if (!(SETTABLE_STATUSES as readonly string[]).includes(text))
      throw invalidField("/value", `is not a status that can be set; use one of ${SETTABLE_STATUSES.join(", ")}`);
  } else if (action === "add_tag" || action === "remove_tag") {
    if (text.length > MAX_TAG_LENGTH) throw invalidField("/value", `is longer than ${MAX_TAG_LENGTH} characters`);
  } else {
    if (!id.safeParse(text).success) throw invalidField("/value", "must be the id of a list");
    const [list] = await ctx.db`select 1 from public.lists where tenant_id = (select kernel.tenant()) and id = ${text}`;
    if (!list) throw invalidField("/value", "there is no such list");
  }
  return text;
}

type Counted = { matched: number; affected: number };

/** Picks at most one more than allowed and acts only when that one is not there. */
function statement(ctx: Ctx, action: Action, value: string, where: Fragment) {
  const { db, tenantId } = ctx;
  const target = db`target as materialized (select c.id from public.contacts c where ${where} limit ${BULK_MOST + 1}), allowed as (select count(*) <= ${BULK_MOST} as yes from target)`;
  const acts: Record<Action, Fragment> = {
    add_tag: db`update public.contacts c set tags = c.tags || ${value}::text from target t
      where c.tenant_id = (select kernel.tenant()) and c.id = t.id and (select yes from allowed) and not (c.tags && array[${value}::text]) and cardinality(c.tags) < ${MAX_TAGS}`,
    remove_tag: db`update public.contacts c set tags = array_remove(c.tags, ${value}::text) from target t
      where c.tenant_id = (select kernel.tenant()) and c.id = t.id and (select yes from allowed) and c.tags && array[${value}::text]`,
    add_to_list: db`insert into public.list_contacts (tenant_id, list_id, contact_id) select ${tenantId}::uuid, ${value}::text::uuid, t.id from target t where (select yes from allowed)
      on conflict do nothing`,
    remove_from_list: db`delete from public.list_contacts x using target t
      where x.tenant_id = (select kernel.tenant()) and x.list_id = ${value}::text::uuid and x.contact_id = t.id and (select yes from allowed)`,
    delete: db`delete from public.contacts c using target t where c.tenant_id = (select kernel.tenant()) and c.id = t.id and (select yes from allowed)`,
    set_status: db`update public.contacts c set status = ${value}::text from target t
      where c.tenant_id = (select kernel.tenant()) and c.id = t.id and (select yes from allowed) and c.status <> ${value}::text
        and c.status not in ('bounced', 'unsubscribed', 'suppressed')`,
  };
  return db<Counted[]>`
    with ${target}, acted as (${acts[action]} returning 1)
    select (select count(*)::int from target) as matched, (select count(*)::int from acted) as affected`;
}
