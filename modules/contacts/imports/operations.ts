import { z } from "zod";
import {
  cursorTime,
  decodeCursor,
  pageOf,
  pageParams,
  toPage,
  withoutSortKey,
} from "../../kernel/operations/cursor.ts";
import { AppError, invalidField } from "../../kernel/errors.ts";
import { defineManualOperation, defineOperation } from "../../kernel/operations/operation.ts";
import { csvResponse } from "../csv.ts";
import { loadCustomFields } from "../custom-values.ts";
import { MAX_CUSTOM_FIELDS } from "../custom-fields.ts";
import { type Detected, id, Import, ImportIssue, ImportOptions } from "../schemas.ts";
import { checkMapping } from "./mapping.ts";
import { importColumns, type ImportRow, readImport } from "./rows.ts";
import { contactsImport } from "./run.ts";
import { plain } from "../../kernel/text.ts";

/** Imports after the upload: mapping, start, cancel, and the rows that were refused. */

export const listImports = defineOperation({
  id: "imports.list",
  method: "GET",
  path: "/imports",
  summary: "List imports, newest first",
  permission: "contacts:read",
  input: z.object(pageParams),
  output: pageOf(Import),
  async handle(ctx, input) {
    const { db } = ctx;
    const after = decodeCursor(input.cursor, z.tuple([cursorTime, id]));
    const rows = await db<(ImportRow & { sort_key: string })[]>`
      select ${importColumns(db)}, m.created_at::text as sort_key
      from public.imports m
      where m.tenant_id = ${ctx.tenantId} ${after ? db`and (m.created_at, m.id) < (${after[0]}::text::timestamptz, ${after[1]}::text::uuid)` : db``}
      order by m.created_at desc, m.id desc
      limit ${input.limit + 1}`;
    return toPage(rows, input.limit, (r) => [r.sort_key, r.id], withoutSortKey);
  },
});

export const getImport = defineOperation({
  id: "imports.get",
  method: "GET",
  path: "/imports/{id}",
  summary: "Read an import and its progress",
  permission: "contacts:read",
  input: z.object({ id }),
  output: Import,
  handle: (ctx, input) => readImport(ctx, input.id),
});

export const setMapping = defineOperation({
  id: "imports.set_mapping",
  method: "PUT",
  path: "/imports/{id}/mapping",
  summary: "Map the columns of an import to fields",
  permission: "contacts:write",
  input: z.object({
    id,
    mapping: z
      .record(z.string().max(220), z.string().max(60).nullable())
      .describe("Header → field, custom.<key>, full_name, tags, or null to leave the column out."),
    options: ImportOptions.default(() => ImportOptions.parse({})),
  }),
  output: Import,
  async handle(ctx, { id: importId, mapping, options }) {
    const { db, tenantId } = ctx;
    const current = await readImport(ctx, importId);
    if (current.status !== "uploaded" && current.status !== "ready") {
      throw new AppError("conflict", `The import is ${current.status}: its mapping can no longer change.`, {
        suggestion: "Upload the file again for another mapping.",
      });
    }
    const { headers } = current.detected as Detected;
    const custom = await loadCustomFields(db, tenantId);
    const missing = checkMapping(mapping, headers, custom, options);
    if (custom.size + missing.length > MAX_CUSTOM_FIELDS)
      throw invalidField("/mapping", `A workspace can have at most ${MAX_CUSTOM_FIELDS} custom fields.`);
    if (options.list_id) {
      const [list] = await db`select 1 from public.lists where tenant_id = ${tenantId} and id = ${options.list_id}`;
      if (!list) throw invalidField("/options/list_id", "There is no such list.");
    }
    if (missing.length > 0) {
      const fields = JSON.stringify(missing.map(({ header, key }) => ({ key, label: plain(header, 80) })));
      await db`
        insert into public.custom_fields (tenant_id, key, label, type)
        select ${tenantId}::uuid, f.key, f.label, 'text' from jsonb_to_recordset(${fields}::text::jsonb) as f(key text, label text)
        on conflict (tenant_id, key) do nothing`;
    }
    await db`
      update public.imports set mapping = ${db.json(mapping)}, options = ${db.json(options)}, status = 'ready'
      where tenant_id = ${tenantId} and id = ${importId}`;
    return await readImport(ctx, importId);
  },
});

export const startImport = defineOperation({
  id: "imports.start",
  method: "POST",
  path: "/imports/{id}/start",
  summary: "Import the rows",
  description: "Runs in the background. A failed or cancelled import continues where it stopped.",
  permission: "contacts:write",
  input: z.object({ id }),
  output: Import,
  status: 202,
  async handle(ctx, input) {
    const { db, tenantId } = ctx;
    // The condition in the update decides a double click: one of the two starts it.
    const [started] = await db`
      update public.imports m set status = 'running', error = null, finished_at = null, started_at = coalesce(m.started_at, kernel.now())
      where m.tenant_id = ${tenantId} and m.id = ${input.id} and m.status in ('ready', 'failed', 'cancelled') and m.mapping <> '{}'
        and exists (select from public.import_chunks k where k.tenant_id = ${tenantId} and k.import_id = m.id)
      returning m.id`;
    if (!started) {
      const current = await readImport(ctx, input.id);
      if (current.status === "running") throw new AppError("conflict", "The import is running already.");
      if (current.status === "done")
        throw new AppError("conflict", "The import is done.", {
          suggestion: "Upload the file again to import it again.",
        });
      if (current.status === "uploaded" || Object.keys(current.mapping).length === 0) {
        throw new AppError("conflict", "The import has no mapping yet.", {
          suggestion: `Set it with PUT /imports/${input.id}/mapping.`,
        });
      }
      throw new AppError("gone", "The file of this import was deleted.", { suggestion: "Upload it again." });
    }
    await ctx.enqueue(contactsImport, { tenant_id: tenantId, import_id: input.id });
    return await readImport(ctx, input.id);
  },
});

export const cancelImport = defineOperation({
  id: "imports.cancel",
  method: "POST",
  path: "/imports/{id}/cancel",
  summary: "Stop an import",
  description: "Takes effect after the batch that is being written; rows already imported are kept.",
  permission: "contacts:write",
  input: z.object({ id }),
  output: Import,
  async handle(ctx, input) {
    const { db, tenantId } = ctx;
    const [stopped] = await db`
      update public.imports set status = 'cancelled', finished_at = kernel.now()
      where tenant_id = ${tenantId} and id = ${input.id} and status in ('uploaded', 'ready', 'running') returning id`;
    const current = await readImport(ctx, input.id);
    if (!stopped && current.status !== "cancelled")
      throw new AppError("conflict", `The import is ${current.status}: there is nothing to stop.`);
    return current;
  },
});

/** Groups of issues at most; a file with more kinds of faults shows the commonest. */
const MAX_ISSUES = 100;

export const importIssues = defineOperation({
  id: "imports.issues",
  method: "GET",
  path: "/imports/{id}/issues",
  summary: "What an import could not read, grouped by reason",
  description: `Rows that were rejected and values that were left out, most frequent first, at most ${MAX_ISSUES} groups.`,
  permission: "contacts:read",
  input: z.object({ id }),
  output: z.object({ data: z.array(ImportIssue) }),
  async handle(ctx, input) {
    const { db, tenantId } = ctx;
    await readImport(ctx, input.id);
    const rows = await db<z.output<typeof ImportIssue>[]>`
      with groups as (
        select rejected, field, rule, count(*)::int as n from public.import_errors
        where tenant_id = ${tenantId} and import_id = ${input.id}
        group by 1, 2, 3 order by rejected desc, n desc, field, rule limit ${MAX_ISSUES}
      )
      select g.rejected, g.field, g.rule as reason, g.n as count, x.examples
      from groups g cross join lateral (
        select jsonb_agg(jsonb_build_object('row', e.row_number, 'value', e.value) order by e.row_number) as examples
        from (select row_number, value from public.import_errors e
          where e.tenant_id = ${tenantId} and e.import_id = ${input.id} and e.rejected = g.rejected and e.field = g.field and e.rule = g.rule
          order by row_number limit 3) e
      ) x
      order by g.rejected desc, g.n desc, g.field, g.rule`;
    return { data: rows.map((r) => ({ ...r })) };
  },
});

const ERRORS_PER_PAGE = 1000;

export const importErrors = defineManualOperation({
  id: "imports.errors",
  method: "GET",
  path: "/imports/{id}/errors.csv",
  summary: "Download the rejected rows with their reasons",
  description:
    "The rows as they were uploaded, with two columns before them: row number and reason. Correct the rows and upload the file again.",
  permission: "contacts:write",
  input: z.object({ id }),
  output: z.string(),
  mediaType: "text/csv",
  async handle(ctx, input) {
    const current = await ctx.tx((inner) => readImport(inner, input.id));
    const detected = current.detected as Partial<Detected>;
    let after = -1;
    return await csvResponse({
      fileName: `${current.file_name.replace(/\.\w+$/, "")}-errors.csv`,
      header: ["row", "reason", ...(detected.headers ?? [])],
      delimiter: detected.delimiter ?? ",",
      async page() {
        const rows = await ctx.tx(
          ({ db, tenantId }) => db<{ row_number: number; reason: string; raw: string[] }[]>`
          select e.row_number, e.raw, (
            select string_agg(o.reason, '; ' order by o.n) from public.import_errors o
            where o.tenant_id = e.tenant_id and o.import_id = e.import_id and o.row_number = e.row_number) as reason
          from public.import_errors e
          where e.tenant_id = ${tenantId} and e.import_id = ${input.id} and e.row_number > ${after} and e.rejected and e.n = 0
          order by e.row_number limit ${ERRORS_PER_PAGE}`,
        );
        after = rows.at(-1)?.row_number ?? after;
        return { rows: rows.map((r) => [r.row_number, r.reason, ...r.raw]), last: rows.length < ERRORS_PER_PAGE };
      },
    });
  },
});

export const importWarnings = defineManualOperation({
  id: "imports.warnings",
  method: "GET",
  path: "/imports/{id}/warnings.csv",
  summary: "Download the values that were left out",
  description:
    "One line per value: row, field, value as it was uploaded, reason. The contacts were imported without these values.",
  permission: "contacts:write",
  input: z.object({ id }),
  output: z.string(),
  mediaType: "text/csv",
  async handle(ctx, input) {
    const current = await ctx.tx((inner) => readImport(inner, input.id));
    let after = { row_number: -1, n: 0 };
    return await csvResponse({
      fileName: `${current.file_name.replace(/\.\w+$/, "")}-warnings.csv`,
      header: ["row", "field", "value", "reason"],
      async page() {
        const rows = await ctx.tx(
          ({ db, tenantId }) => db<{ row_number: number; n: number; field: string; value: string; rule: string }[]>`
          select row_number, n, field, value, rule from public.import_errors
          where tenant_id = ${tenantId} and import_id = ${input.id} and not rejected
            and (row_number, n) > (${after.row_number}, ${after.n})
          order by row_number, n limit ${ERRORS_PER_PAGE}`,
        );
        after = rows.at(-1) ?? after;
        return { rows: rows.map((r) => [r.row_number, r.field, r.value, r.rule]), last: rows.length < ERRORS_PER_PAGE };
      },
    });
  },
});
