import { CsvError } from "csv-parse";
import { z } from "zod";
import { defineManualConsumer, done, type Outcome } from "../../kernel/queues/consumer.ts";
import type { ManualCtx } from "../../kernel/context.ts";
import { isSomebody } from "../contacts.ts";
import { type WriteRow, writeContacts } from "../contact-write.ts";
import { type CustomDef, loadCustomFields } from "../custom-values.ts";
import { type FieldFault, readContact } from "../fields.ts";
import { type Detected, ImportOptions } from "../schemas.ts";
import { columnsOf, type Mapping, rowToContact } from "./mapping.ts";
import { fileRecords } from "./rows.ts";
import { STATUSES } from "../normalize.ts";
import type { AwkwardTags } from "../tag-cell.ts";
import { loadAwkwardTags } from "../tags.ts";
import { plain } from "../../kernel/text.ts";

/** The import itself: reads the file as a stream and writes it batch by batch. */

const Payload = z.object({ tenant_id: z.uuid(), import_id: z.uuid() });
type Payload = z.output<typeof Payload>;

/** Rows per transaction: large enough that statements cost little per row, small enough that progress shows. */
const BATCH_ROWS = 1000;
/** A run ends after this and queues the next, so that many imports share the workers. Reading up to the resume point is not counted. */
const BUDGET_MS = 20_000;

export const contactsImport = defineManualConsumer<Payload>({
  queue: "contacts_import",
  payload: Payload,
  // Fifteen budgets: finding the resume point of a 500 MB file takes a while.
  visibilitySeconds: 300,
  // A batch that failed for the database's reasons is tried again from where it stood.
  maxAttempts: 8,
  batch: 1,
  concurrency: 2,
  handle: (ctx, payload) => runImport(ctx, payload),
});

type Job = {
  position: number;
  detected: Detected;
  mapping: Mapping;
  options: ImportOptions;
  custom: Map<string, CustomDef>;
  awkward: AwkwardTags;
};

/** One run of an import. Does nothing for one that is not running: cancelled, done, or taken further by another run. */
export async function runImport(
  ctx: ManualCtx,
  { tenant_id, import_id }: Payload,
  limits = { budgetMs: BUDGET_MS, batchRows: BATCH_ROWS },
): Promise<Outcome> {
  const job = await ctx.tx(async ({ db, tenantId }): Promise<Job | null> => {
    const [row] = await db<
      { status: string; position: number; detected: Detected; mapping: Mapping; options: unknown }[]
    >`
      select status, position, detected, mapping, options from public.imports where tenant_id = ${tenantId} and id = ${import_id}`;
    if (row?.status !== "running") return null;
    return {
      ...row,
      options: ImportOptions.parse(row.options),
      custom: await loadCustomFields(db, tenantId),
      awkward: await loadAwkwardTags(db, tenantId),
    };
  });
  if (!job) return done();

  try {
    const ended = await importRecords(ctx, import_id, job, limits);
    if (ended === "chain") await ctx.enqueue(contactsImport, { tenant_id, import_id });
    return done();
  } catch (error) {
    const reason = finalReason(error);
    if (reason === null) throw error;
    await ctx.tx(async ({ db, tenantId }) => {
      await db`
        update public.imports set status = 'failed', error = ${reason}, finished_at = kernel.now()
        where tenant_id = ${tenantId} and id = ${import_id} and status = 'running'`;
    });
    ctx.log.warn("an import failed", { import_id, reason });
    return done();
  }
}

async function importRecords(
  ctx: ManualCtx,
  importId: string,
  job: Job,
  limits: { budgetMs: number; batchRows: number },
): Promise<"end" | "stopped" | "chain"> {
  const columns = columnsOf(job.mapping, job.detected.headers);
  /** Records with content before the first row: what stands before the header, and the header. */
  const before = (job.detected.preamble_rows ?? 0) + (job.detected.has_header ? 1 : 0);
  let position = job.position;
  let ordinal = 0;
  let seen = 0;
  let batch: FileRecord[] = [];
  let started: number | null = null;

  const flush = async (last: boolean): Promise<boolean> => {
    const ok = await writeSurely(ctx, importId, job, { from: position, to: ordinal, records: batch, last });
    position = ordinal;
    batch = [];
    return ok;
  };

  for await (const cells of fileRecords(ctx, importId, job.detected)) {
    ordinal += 1;
    const blank = cells.every((cell) => cell.trim() === "");
    const isBefore = !blank && seen < before;
    if (!blank) seen += 1;
    if (ordinal <= position) continue;
    started ??= performance.now();
    if (!blank && !isBefore) batch.push(readRecord(cells, ordinal, columns, job));
    if (batch.length < limits.batchRows) continue;
    if (!(await flush(false))) return "stopped";
    if (performance.now() - started > limits.budgetMs || ctx.signal.aborted) return "chain";
  }
  return (await flush(true)) ? "end" : "stopped";
}

type FileRecord = { row_number: number; raw: string[]; row: WriteRow | null; reason: string };

/** One record as a row to write, or with the reasons why not. */
function readRecord(
  cells: string[],
  ordinal: number,
  columns: { index: number; field: string }[],
  job: Job,
): FileRecord {
  const { options, detected } = job;
  const refuse = (reason: string): FileRecord => ({ row_number: ordinal, raw: cells, row: null, reason });
  const extra = cells.slice(detected.headers.length).some((cell) => cell.trim() !== "");
  if (extra)
    return refuse(
      `has ${cells.length} columns, the header has ${detected.headers.length}; put text that contains the delimiter in quotes`,
    );

  const { values, faults } = readContact(rowToContact(cells, columns, options.tags, job.awkward), {
    custom: job.custom,
    statuses: STATUSES,
    defaultCountry: options.default_country ?? null,
  });
  const serious = faults.filter((f) => options.invalid_values === "reject" || f.field === options.duplicate_key);
  if (serious.length > 0) return refuse(serious.map(say).join("; "));
  if (!isSomebody(values)) return refuse("has no email address, LinkedIn URL, phone number or name");
  return {
    row_number: ordinal,
    raw: cells,
    reason: "",
    row: {
      values,
      lists: options.list_id ? [options.list_id] : [],
      consent_default: { consent_source: options.consent_source, lawful_basis: options.lawful_basis },
    },
  };
}

const say = (fault: FieldFault): string => `${fault.field.replaceAll("/", ".")}: ${fault.detail}`;

type Batch = { from: number; to: number; records: FileRecord[]; last: boolean };

/** Writes a batch. Where a value cannot be stored, row by row: that row is refused, with the reason, and the others are kept. */
async function writeSurely(ctx: ManualCtx, importId: string, job: Job, batch: Batch): Promise<boolean> {
  try {
    return await writeBatch(ctx, importId, job, batch);
  } catch (error) {
    const reason = finalReason(error);
    if (reason === null || !isAboutValues(error)) throw error;
    if (batch.records.length === 1) {
      const [record] = batch.records as [FileRecord];
      if (record.row === null) throw error;
      ctx.log.warn("a row of an import could not be saved", { import_id: importId, row: record.row_number, error });
      return await writeBatch(ctx, importId, job, { ...batch, records: [{ ...record, row: null, reason }] });
    }
    let { from } = batch;
    for (const [i, record] of batch.records.entries()) {
      const last = i === batch.records.length - 1;
      const to = last ? batch.to : record.row_number;
      if (!(await writeSurely(ctx, importId, job, { from, to, records: [record], last: last && batch.last })))
        return false;
      from = to;
    }
    return true;
  }
}

/** 22: a value Postgres cannot store; 23: a rule of a table, except that what a row refers to is gone (23503). */
const isAboutValues = (error: unknown): boolean =>
  /^2[23](?!503)/.test(String((error as { code?: unknown } | null)?.code));

/** Writes rows, error rows and counters in one transaction, so a batch counts exactly once whatever crashes. False: stop. */
async function writeBatch(ctx: ManualCtx, importId: string, job: Job, batch: Batch): Promise<boolean> {
  const { options } = job;
  return await ctx.tx(async ({ db, tenantId }) => {
    // The lock makes two runs of the same message take turns; the second finds the position moved and stops.
    const [now] = await db<{ status: string; position: number }[]>`
      select status, position from public.imports where tenant_id = ${tenantId} and id = ${importId} for update`;
    if (now?.status !== "running" || now.position !== batch.from) return false;

    const writable = batch.records.filter((r) => r.row !== null);
    const outcomes = await writeContacts(
      db,
      tenantId,
      writable.map((r) => r.row!),
      { key: options.duplicate_key, on_duplicate: options.on_duplicate },
    );
    const count = { created: 0, updated: 0, skipped: 0, rejected: 0 };
    for (const [i, outcome] of outcomes.entries()) {
      count[outcome.outcome] += 1;
      if (outcome.outcome === "rejected") writable[i]!.reason = `${outcome.field}: ${outcome.detail}`;
    }
    const refused = batch.records.filter((r) => r.reason !== "");
    count.rejected = refused.length;
    const errors = JSON.stringify(
      refused.map((r) => ({
        row_number: r.row_number,
        raw: r.raw.map((cell) => plain(cell, cell.length)),
        reason: plain(r.reason, 2000),
      })),
    );
    await db`
      with faults as (
        insert into public.import_errors (tenant_id, import_id, row_number, raw, reason)
        select ${tenantId}::uuid, ${importId}::uuid, e.row_number, e.raw, e.reason
        from jsonb_to_recordset(${errors}::text::jsonb) as e(row_number int, raw jsonb, reason text)
      )
      update public.imports set
        position = ${batch.to}, rows_done = rows_done + ${batch.records.length},
        created = created + ${count.created}, updated = updated + ${count.updated},
        skipped = skipped + ${count.skipped}, rejected = rejected + ${count.rejected},
        rows_total = case when ${batch.last} then rows_done + ${batch.records.length} else greatest(rows_total, rows_done + ${batch.records.length}) end,
        status = case when ${batch.last} then 'done' else status end,
        finished_at = case when ${batch.last} then kernel.now() end
      where tenant_id = ${tenantId} and id = ${importId}`;
    return true;
  });
}

/** Why trying again cannot help; null when it may. */
function finalReason(error: unknown): string | null {
  if (error instanceof CsvError) {
    if (error.code === "CSV_QUOTE_NOT_CLOSED" || error.code === "CSV_MAX_RECORD_SIZE") {
      return `A quotation mark opened near line ${Number((error as { lines?: number }).lines ?? 0) || "?"} is never closed. The rows before it are imported; correct the file and import it again.`;
    }
    return `The file cannot be read as CSV: ${error.message}`;
  }
  const { code: sqlstate, constraint_name = "" } = (error ?? {}) as { code?: unknown; constraint_name?: string };
  if (sqlstate === "23503") {
    // Another reference can only have lost a race with a deletion; the next try looks again.
    return constraint_name.includes("list_id") ? "The list of this import was deleted while it ran." : null;
  }
  // The same rows fail again and again.
  if (isAboutValues(error)) return `A row could not be saved (${sqlstate}: ${(error as Error).message}).`;
  return null;
}
