import { z } from "zod";
import { clean } from "../kernel/text.ts";
import type { Ctx } from "../kernel/context.ts";
import { decodeCursor, pageOf, pageParams, toPage } from "../kernel/operations/cursor.ts";
import { AppError, invalidField } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { CUSTOM_TYPES } from "./custom-values.ts";
import { CustomField, id } from "./schemas.ts";

/** Fields a team adds to its people. Key and type never change: values of the old type would be left behind. */

type FieldRow = z.input<typeof CustomField>;

/** Fields are read whole for every write; a team that needs more keeps a database, not a contact. */
export const MAX_CUSTOM_FIELDS = 100;

const label = z.string().overwrite(clean).min(1).max(80);
const options = z.array(z.string().overwrite(clean).min(1).max(80)).max(100);
const columns = (ctx: Ctx) => ctx.db`f.id, f.key, f.label, f.type, f.options, f.created_at, f.updated_at`;

export const listCustomFields = defineOperation({
  id: "custom_fields.list",
  method: "GET",
  path: "/custom-fields",
  summary: "List the custom fields by key",
  permission: "contacts:read",
  input: z.object(pageParams),
  output: pageOf(CustomField),
  async handle(ctx, input) {
    const { db } = ctx;
    const after = decodeCursor(input.cursor, z.tuple([z.string().max(60)]));
    const rows = await db<FieldRow[]>`
      select ${columns(ctx)} from public.custom_fields f
      where f.tenant_id = ${ctx.tenantId} ${after ? db`and f.key > ${after[0]}::text` : db``}
      order by f.key
      limit ${input.limit + 1}`;
    return toPage(
      rows,
      input.limit,
      (r) => [r.key],
      (r) => ({ ...r }),
    );
  },
});

export const createCustomField = defineOperation({
  id: "custom_fields.create",
  method: "POST",
  path: "/custom-fields",
  summary: "Add a custom field",
  permission: "contacts:write",
  input: z.object({
    key: z
      .string()
      .regex(/^[a-z][a-z0-9_]{0,49}$/, "must begin with a letter and use lower case letters, digits and _, at most 50")
      .describe("Cannot be changed later; used as custom.<key>."),
    label,
    type: z.enum(CUSTOM_TYPES).describe("Cannot be changed later."),
    options: options.default([]).describe("The choices of a select; empty for other types."),
  }),
  output: CustomField,
  status: 201,
  async handle(ctx, input) {
    const { db, tenantId } = ctx;
    if ((input.type === "select") !== input.options.length > 0) {
      throw invalidField(
        "/options",
        input.type === "select" ? "A select needs at least one option." : `A ${input.type} field takes no options.`,
      );
    }
    const [row] = await db<FieldRow[]>`
      insert into public.custom_fields as f (tenant_id, key, label, type, options)
      select ${tenantId}::uuid, ${input.key}::text, ${input.label}::text, ${input.type}::text, ${[...new Set(input.options)]}::text[]
      where (select count(*) from public.custom_fields x where x.tenant_id = ${tenantId}) < ${MAX_CUSTOM_FIELDS}
      on conflict (tenant_id, key) do nothing
      returning ${columns(ctx)}`;
    if (row) return { ...row };
    const [taken] = await db`select 1 from public.custom_fields where tenant_id = ${tenantId} and key = ${input.key}`;
    if (taken)
      throw new AppError("conflict", "A custom field with this key exists already.", {
        errors: [{ pointer: "/key", detail: "is taken" }],
      });
    throw new AppError("conflict", `A workspace can have at most ${MAX_CUSTOM_FIELDS} custom fields.`);
  },
});

export const updateCustomField = defineOperation({
  id: "custom_fields.update",
  method: "PATCH",
  path: "/custom-fields/{id}",
  summary: "Change a custom field's label or options",
  permission: "contacts:write",
  input: z.object({
    id,
    label: label.optional(),
    options: options.optional().describe("Contacts keep values that are no longer an option."),
  }),
  output: CustomField,
  async handle(ctx, input) {
    const { db, tenantId } = ctx;
    const [before] = await db<
      { type: string }[]
    >`select type from public.custom_fields where tenant_id = ${tenantId} and id = ${input.id}`;
    if (!before) throw new AppError("not_found", "There is no such custom field.");
    if (input.options && (before.type === "select") !== input.options.length > 0) {
      throw invalidField(
        "/options",
        before.type === "select" ? "A select needs at least one option." : `A ${before.type} field takes no options.`,
      );
    }
    const [row] = await db<FieldRow[]>`
      update public.custom_fields f
      set label = coalesce(${input.label ?? null}::text, f.label), options = coalesce(${input.options ?? null}::text[], f.options)
      where f.tenant_id = ${tenantId} and f.id = ${input.id}
      returning ${columns(ctx)}`;
    return { ...row! };
  },
});

export const deleteCustomField = defineOperation({
  id: "custom_fields.delete",
  method: "DELETE",
  path: "/custom-fields/{id}",
  summary: "Delete a custom field and its values",
  permission: "contacts:delete",
  input: z.object({ id }),
  output: z.null(),
  status: 204,
  async handle(ctx, input) {
    const { db, tenantId } = ctx;
    const [gone] = await db<
      { key: string }[]
    >`delete from public.custom_fields where tenant_id = ${tenantId} and id = ${input.id} returning key`;
    if (!gone) throw new AppError("not_found", "There is no such custom field.");
    await db`update public.contacts set custom = custom - ${gone.key}::text where tenant_id = ${tenantId} and custom ? ${gone.key}::text`;
    return null;
  },
});
