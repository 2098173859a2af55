import { stringify } from "csv-stringify/sync";

/** CSV answers as streams: a page per pull, so a million rows need the memory of one page. */

export type CsvCell = string | number | boolean | null;

export type CsvSource = {
  fileName: string;
  header: readonly string[];
  delimiter?: string;
  /** The next rows; `last` ends the file. */
  page(): Promise<{ rows: readonly (readonly CsvCell[])[]; last: boolean }>;
};

/**
 * What begins a formula, at the beginning and behind what a spreadsheet of another locale takes for the end of the cell before; with the
 * apostrophes that stand there already, so that taking one off gives what was written.
 */
const FORMULA = /(?:^|(?<=[;,|\t\r\n]))([ "]*)('*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])/g;
const GUARDED = /(?:^|(?<=[;,|\t\r\n]))([ "]*)'('*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])/g;
const CONTROL = /^('*)(?=[\t\r])/;
const GUARDED_CONTROL = /^'('*)(?=[\t\r])/;

const withGuards = (cell: string): string => cell.replace(FORMULA, "$1'$2").replace(CONTROL, "'$1");

/** The cell as people wrote it: without the apostrophes that `csvLines` puts before what would be a formula. */
export const withoutGuards = (cell: string): string => cell.replace(GUARDED_CONTROL, "$1").replace(GUARDED, "$1$2");

/**
 * Lines of CSV. What a spreadsheet would run as a formula (= + - @ tab) gets an apostrophe in front, at the beginning of a cell and
 * behind every separator inside: a spreadsheet that splits at semicolons cuts our cells there, and quotes do not hold it back.
 * The import takes the apostrophes off again.
 */
export const csvLines = (rows: readonly (readonly CsvCell[])[], delimiter = ","): string =>
  stringify(
    // Everything as text: a number cell would slip past the formula guard, and booleans would become 1 and nothing.
    rows.map((row) => row.map((cell) => (cell === null ? "" : withGuards(String(cell))))),
    // A bare line feed is no record delimiter here, but readers take it for one.
    { delimiter, quoted_match: /[\r\n]/, record_delimiter: "\r\n" },
  );

/** A streamed download. The first page is fetched before the answer begins, so that its errors are still proper problems. */
export async function csvResponse(source: CsvSource): Promise<Response> {
  const encoder = new TextEncoder();
  const first = await source.page();
  let pending: { rows: readonly (readonly CsvCell[])[]; last: boolean } | null = first;
  // Excel takes a file without the mark for Windows-1252.
  let prefix = `\ufeff${csvLines([source.header], source.delimiter)}`;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const current = pending ?? (await source.page());
      pending = null;
      const text = prefix + csvLines(current.rows, source.delimiter);
      prefix = "";
      if (text !== "") controller.enqueue(encoder.encode(text));
      if (current.last) controller.close();
    },
  });
  return new Response(body, {
    headers: {
      "content-type": "text/csv; charset=utf-8",
      "content-disposition": `attachment; filename="${source.fileName.replace(/[^\w.-]+/g, "_")}"; filename*=UTF-8''${encodeURIComponent(source.fileName)}`,
      "x-content-type-options": "nosniff",
    },
  });
}
