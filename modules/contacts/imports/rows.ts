import { Readable, pipeline } from "node:stream";
import { parse } from "csv-parse";
import type { z } from "zod";
import type { Ctx, ManualCtx } from "../../kernel/context.ts";
import { AppError } from "../../kernel/errors.ts";
import type { Detected, Import } from "../schemas.ts";
import { lenient } from "./detect.ts";

/** Reading imports and the records of their files back. */

export type ImportRow = z.input<typeof Import>;

export const importColumns = (db: Ctx["db"]) => db`
  m.id, m.file_name, m.file_bytes, m.status, m.rows_total, m.rows_done, m.created, m.updated, m.skipped, m.rejected, m.warnings, m.error,
  m.detected, m.mapping, m.options, m.created_at, m.started_at, m.finished_at`;

export async function readImport(ctx: Pick<Ctx, "db" | "tenantId">, importId: string): Promise<ImportRow> {
  const [row] = await ctx.db<
    ImportRow[]
  >`select ${importColumns(ctx.db)} from public.imports m where m.tenant_id = ${ctx.tenantId} and m.id = ${importId}`;
  if (!row) throw new AppError("not_found", "There is no such import.");
  return { ...row };
}

/** The file's text, a piece per transaction. */
async function* fileText(ctx: Pick<ManualCtx, "tx">, importId: string, encoding: string): AsyncGenerator<string> {
  const decoder = new TextDecoder(encoding);
  for (let seq = 0; ; seq++) {
    const bytes = await ctx.tx(async ({ db, tenantId }) => {
      const [row] = await db<{ bytes: Uint8Array }[]>`
        select bytes from public.import_chunks where tenant_id = ${tenantId} and import_id = ${importId} and seq = ${seq}`;
      return row?.bytes ?? null;
    });
    if (bytes === null) break;
    yield decoder.decode(bytes, { stream: true });
  }
  yield decoder.decode();
}

/**
 * Every record of the file, header and blank ones included, so that their ordinal is a resume point. Node's streams,
 * because csv-parse's web stream buffers a thousand pieces ahead and its Node stream one.
 */
export function fileRecords(
  ctx: Pick<ManualCtx, "tx">,
  importId: string,
  detected: Pick<Detected, "delimiter" | "encoding">,
): AsyncIterable<string[]> {
  const parser = parse({ ...lenient, delimiter: detected.delimiter });
  // Errors arrive through the parser's own iteration; the callback only keeps them from being thrown twice.
  pipeline(Readable.from(fileText(ctx, importId, detected.encoding)), parser, () => {});
  return parser as AsyncIterable<string[]>;
}
