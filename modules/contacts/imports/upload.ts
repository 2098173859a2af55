import { z } from "zod";
import type { Ctx, ManualCtx } from "../../kernel/context.ts";
import { incoming } from "../../kernel/http/body.ts";
import { AppError } from "../../kernel/errors.ts";
import { defineManualOperation, defineOperation } from "../../kernel/operations/operation.ts";
import { loadCustomFields } from "../custom-values.ts";
import { type Detected, id, Import } from "../schemas.ts";
import { type Encoding, ENCODINGS, Evidence, type Guess } from "./encoding.ts";
import { detectCsv, FileWatch, noRows, refuseBinary } from "./detect.ts";
import { suggestMapping } from "./mapping.ts";
import { readImport } from "./rows.ts";
import { clean, plain } from "../../kernel/text.ts";

/** POST /imports: the file goes to the database as it comes, one piece in memory at a time. */

/** Five million rows of a hundred bytes; more is a job for several files. */
export const MAX_FILE_BYTES = 500 * 1024 * 1024;
/** One row in import_chunks: big enough to be few, small enough to be nothing in memory. */
const PIECE_BYTES = 1024 * 1024;
/** How much of the file the detection sees. */
const SAMPLE_BYTES = 256 * 1024;

const MEDIA_TYPES = /^(text\/(csv|plain|comma-separated-values|tab-separated-values)|application\/csv)\s*(;|$)/i;

/** Pieces of exactly `size` bytes (the last may be shorter) out of whatever the network delivers. */
export async function* pieces(body: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Uint8Array> {
  let buffer = new Uint8Array(size);
  let filled = 0;
  for await (const chunk of body) {
    let offset = 0;
    while (offset < chunk.byteLength) {
      const n = Math.min(size - filled, chunk.byteLength - offset);
      buffer.set(chunk.subarray(offset, offset + n), filled);
      filled += n;
      offset += n;
      if (filled === size) {
        yield buffer;
        buffer = new Uint8Array(size);
        filled = 0;
      }
    }
  }
  if (filled > 0) yield buffer.subarray(0, filled);
}

export const createImport = defineManualOperation({
  id: "imports.create",
  method: "POST",
  path: "/imports",
  summary: "Upload a CSV file",
  description: `The body is the file itself, at most ${MAX_FILE_BYTES / 1024 / 1024} MB, as text/csv or text/plain. Delimiter, encoding and columns are detected; nothing is imported yet. Where \`detected.encoding_warning\` says that the text may be read wrongly, choose an encoding with PUT /imports/{id}/encoding.`,
  permission: "contacts:write",
  input: z.object({
    file_name: z.string().max(255).default("import.csv"),
    encoding: z.enum(ENCODINGS).optional().describe("Encoding of the file; detected when it is not given."),
  }),
  output: Import,
  status: 201,
  body: "binary",
  mediaType: "text/csv",
  async handle(ctx, input, request) {
    const mediaType = request.headers.get("content-type") ?? "";
    if (!MEDIA_TYPES.test(mediaType)) {
      throw new AppError(
        "unsupported_media_type",
        `The file must be sent as text/csv or text/plain${mediaType ? `, not ${mediaType.slice(0, 80)}` : ""}.`,
        {
          suggestion: "Set the header Content-Type: text/csv and send the file itself as the body.",
        },
      );
    }
    const tooLarge = () =>
      new AppError("too_large", `The file may have at most ${MAX_FILE_BYTES / 1024 / 1024} MB.`, {
        suggestion: "Split the file and import the parts one after the other.",
      });
    if (Number(request.headers.get("content-length") ?? 0) > MAX_FILE_BYTES) throw tooLarge();
    if (!request.body) throw noRows("The file is empty.");

    const name = plain(clean(input.file_name.replaceAll("\\", "/").split("/").at(-1) ?? ""), 255) || "import.csv";
    const watch = new FileWatch();
    let importId: string | null = null;
    let sample: Uint8Array | null = null;
    let bytes = 0;
    let seq = 0;
    try {
      const body = incoming(request, { maxBytes: Infinity, idleMs: ctx.config.bodyTimeoutMs });
      for await (const piece of pieces(body, PIECE_BYTES)) {
        if (sample === null) {
          refuseBinary(piece);
          sample = piece.slice(0, SAMPLE_BYTES);
          importId = await begin(ctx, name);
        }
        bytes += piece.byteLength;
        if (bytes > MAX_FILE_BYTES) throw tooLarge();
        watch.add(piece);
        await keepPiece(ctx, importId!, seq++, piece);
      }
      if (sample === null || importId === null) throw noRows("The file is empty.");
      return await finish(ctx, importId, bytes, sample, watch, input.encoding);
    } catch (error) {
      // Half a file is no import; its pieces go with it.
      if (importId !== null)
        await ctx.tx(
          async ({ db, tenantId }) =>
            void (await db`delete from public.imports where tenant_id = ${tenantId} and id = ${importId}`),
        );
      throw error;
    }
  },
});

const begin = (ctx: ManualCtx, fileName: string): Promise<string> =>
  ctx.tx(async ({ db, tenantId, actor }) => {
    const by = actor.kind === "user" ? actor.email : actor.kind;
    const [row] = await db<{ id: string }[]>`
      insert into public.imports (tenant_id, file_name, created_by) values (${tenantId}, ${fileName}, ${by}) returning id`;
    return row!.id;
  });

const keepPiece = (ctx: ManualCtx, importId: string, seq: number, piece: Uint8Array): Promise<void> =>
  ctx.tx(async ({ db, tenantId }) => {
    await db`insert into public.import_chunks (tenant_id, import_id, seq, bytes) values (${tenantId}, ${importId}, ${seq}, ${piece})`;
  });

const finish = (
  ctx: ManualCtx,
  importId: string,
  bytes: number,
  sample: Uint8Array,
  watch: FileWatch,
  chosen: Encoding | undefined,
) =>
  ctx.tx(async (inner) => {
    const { db, tenantId } = inner;
    const { rows, evidence, ...guess } = watch.finish();
    const reading = chosen ? { ...guess, encoding: chosen, warning: evidence.doubt(chosen) } : guess;
    const detected = await detectedOf(inner, sample, reading, bytes > sample.byteLength);
    await db`
      update public.imports
      set status = 'uploaded', file_bytes = ${bytes}, rows_total = ${Math.max(0, rows - detected.preamble_rows - (detected.has_header ? 1 : 0))},
          detected = ${db.json(detected)}
      where tenant_id = ${tenantId} and id = ${importId}`;
    return await readImport(inner, importId);
  });

/** What a file seems to be under an encoding, with the mapping to start from. */
async function detectedOf(
  { db, tenantId }: Pick<Ctx, "db" | "tenantId">,
  sample: Uint8Array,
  { encoding, examples, warning }: Guess,
  cut: boolean,
): Promise<Detected> {
  const detected = detectCsv(sample, encoding, cut);
  const suggested_mapping = suggestMapping(
    detected.headers,
    detected.preview_rows,
    await loadCustomFields(db, tenantId),
  );
  return {
    ...detected,
    suggested_mapping,
    encoding_warning: detected.encoding_warning ?? warning,
    encoding_examples: examples,
  };
}

export const setEncoding = defineOperation({
  id: "imports.set_encoding",
  method: "PUT",
  path: "/imports/{id}/encoding",
  summary: "Choose the encoding of an import's file",
  description:
    "The file is looked at again: the answer has the headers and first rows as this encoding reads them, and the mapping starts anew. The choice stays with the import, also when it is stopped and continued.",
  permission: "contacts:write",
  input: z.object({ id, encoding: z.enum(ENCODINGS) }),
  output: Import,
  async handle(ctx, { id: importId, encoding }) {
    const { db, tenantId } = ctx;
    const current = await readImport(ctx, importId);
    if (current.status !== "uploaded" && current.status !== "ready") {
      throw new AppError("conflict", `The import is ${current.status}: its encoding can no longer change.`, {
        suggestion: "Upload the file again to read it in another encoding.",
      });
    }
    const [first] = await db<{ bytes: Uint8Array }[]>`
      select bytes from public.import_chunks where tenant_id = ${tenantId} and import_id = ${importId} and seq = 0`;
    if (!first) throw new AppError("gone", "The file of this import was deleted.", { suggestion: "Upload it again." });
    const evidence = new Evidence();
    evidence.add(first.bytes, true);
    const examples = (current.detected as Detected).encoding_examples ?? [];
    const sample = first.bytes.subarray(0, SAMPLE_BYTES);
    const reading = { encoding, examples, warning: evidence.doubt(encoding) };
    const detected = await detectedOf(ctx, sample, reading, current.file_bytes > sample.byteLength);
    await db`
      update public.imports set status = 'uploaded', mapping = '{}', detected = ${db.json(detected)}
      where tenant_id = ${tenantId} and id = ${importId}`;
    return await readImport(ctx, importId);
  },
});
