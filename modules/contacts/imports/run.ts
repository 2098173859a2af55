import { CsvError } from "csv-parse";
import { z } from "zod";
import { defineManualConsumer, done, type Outcome } from "../../kernel/queues/consumer.ts";
import type { ManualCtx } from "../../kernel/context.ts";
import { isSomebody } from "../contacts.ts";
import { type WriteRow, writeContacts } from "../contact-write.ts";
import { type CustomDef, loadCustomFields } from "../custom-values.ts";
import { type ContactGiven, type FieldFault, readContact } from "../fields.ts";
import { type Detected, ImportOptions } from "../schemas.ts";
import { columnsOf, type Mapping, rowToContact } from "./mapping.ts";
import { fileRecords } from "./rows.ts";
import { shown, STATUSES } from "../normalize.ts";
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

/** What is wrong with a row or one value of it. `rule` says it without field and value, so that equal faults can be counted. */
type Issue = { field: string; value: string; rule: string; reason: string };
/** `row` is null when it was refused; then the issues say why, else which values were left out. */
type FileRecord = { row_number: number; raw: string[]; row: WriteRow | null; issues: Issue[] };

const ofRow = (reason: string): Issue => ({ field: "", value: "", rule: reason, reason });

/** One record as a row to write, or with the reasons why not. */
function readRecord(
  cells: string[],
  ordinal: number,
  columns: { index: number; field: string }[],
  job: Job,
): FileRecord {
  const { options, detected } = job;
  const refuse = (issues: Issue[]): FileRecord => ({ row_number: ordinal, raw: cells, row: null, issues });
  const extra = cells.slice(detected.headers.length).some((cell) => cell.trim() !== "");
  if (extra)
    return refuse([
      ofRow(
        `has ${cells.length} columns, the header has ${detected.headers.length}; put text that contains the delimiter in quotes`,
      ),
    ]);

  const given = rowToContact(cells, columns, options.tags, job.awkward);
  const { values, faults } = readContact(given, {
    custom: job.custom,
    statuses: STATUSES,
    defaultCountry: options.default_country ?? null,
  });
  const issues = faults.map((fault) => issueOf(fault, given));
  if (options.invalid_values === "reject" ? faults.length > 0 : faults.some((f) => f.field === options.duplicate_key))
    return refuse(issues);
  if (!isSomebody(values))
    return refuse([...issues, ofRow("has no email address, LinkedIn URL, phone number or name")]);
  if (values.country && !/^[A-Z]{2}$/.test(values.country))
    issues.push(
      issueOf({ field: "country", detail: "is not a country that is known; it is kept as it is written" }, given),
    );
  return {
    row_number: ordinal,
    raw: cells,
    issues,
    row: {
      values,
      lists: options.list_id ? [options.list_id] : [],
      consent_default: { consent_source: options.consent_source, lawful_basis: options.lawful_basis },
    },
  };
}

function issueOf({ field, detail }: FieldFault, given: ContactGiven): Issue {
  const [name = "", key] = field.split("/");
  const found = key === undefined ? given[name as keyof ContactGiven] : given.custom?.[key];
  const value = Array.isArray(found) ? found.join(", ") : typeof found === "string" ? found : "";
  const dotted = field.replaceAll("/", ".");
  // Sentences about a value begin with it, in one of these forms.
  const forms = [shown(value), `'${value}'`, plain(JSON.stringify(value), 60)];
  const said = forms.find((form) => detail.startsWith(`${form} `));
  const rule = said === undefined ? detail.replace(/^'[^…]*…' /u, "") : detail.slice(said.length + 1);
  return { field: dotted, value, rule, reason: `${dotted}: ${detail}` };
}

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
      return await writeBatch(ctx, importId, job, {
        ...batch,
        records: [{ ...record, row: null, issues: [ofRow(reason)] }],
      });
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

    // Copies: should this transaction fail, the batch is written again row by row.
    const records = batch.records.map((record) => ({ ...record }));
    const writable = records.filter((r) => r.row !== null);
    const outcomes = await writeContacts(
      db,
      tenantId,
      writable.map((r) => r.row!),
      { key: options.duplicate_key, on_duplicate: options.on_duplicate },
    );
    const count = { created: 0, updated: 0, skipped: 0, rejected: 0 };
    for (const [i, outcome] of outcomes.entries()) {
      count[outcome.outcome] += 1;
      const record = writable[i]!;
      if (outcome.outcome === "rejected") {
        record.issues = [issueOf(outcome, record.row!.values as ContactGiven)];
        record.row = null;
      }
      // Of a row that changed nothing no value was left out.
      if (outcome.outcome === "skipped") record.issues = [];
    }
    count.rejected = records.filter((r) => r.row === null).length;
    const issues = records.flatMap(({ row_number, row, raw, issues: found }) =>
      found.map((issue, n) => ({
        row_number,
        n,
        rejected: row === null,
        field: issue.field,
        value: plain(issue.value, 200),
        rule: plain(issue.rule, 500),
        reason: plain(issue.reason, 2000),
        raw: row === null && n === 0 ? raw.map((cell) => plain(cell, cell.length)) : null,
      })),
    );
    const warnings = issues.filter((issue) => !issue.rejected).length;
    const errors = JSON.stringify(issues);
    await db`
      with faults as (
        insert into public.import_errors (tenant_id, import_id, row_number, n, rejected, field, value, rule, reason, raw)
        select ${tenantId}::uuid, ${importId}::uuid, e.row_number, e.n, e.rejected, e.field, e.value, e.rule, e.reason, e.raw
        from jsonb_to_recordset(${errors}::text::jsonb) as e(row_number int, n int, rejected boolean, field text, value text, rule text,
          reason text, raw jsonb)
      )
      update public.imports set
        position = ${batch.to}, rows_done = rows_done + ${batch.records.length},
        created = created + ${count.created}, updated = updated + ${count.updated},
        skipped = skipped + ${count.skipped}, rejected = rejected + ${count.rejected}, warnings = warnings + ${warnings},
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
