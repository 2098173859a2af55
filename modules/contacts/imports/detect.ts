import { parse } from "csv-parse/sync";
import { AppError } from "../../kernel/errors.ts";
import { clean, plain } from "../../kernel/text.ts";
import type { Detected } from "../schemas.ts";
import { damage, type Encoding, Evidence, type Guess } from "./encoding.ts";

/** What kind of file came: refused kinds, encoding, delimiter, headers. Reads bytes; knows no database. */

const startsWith = (bytes: Uint8Array, ...prefix: number[]) => prefix.every((b, i) => bytes[i] === b);

/** A file that there is nothing to import from. */
export const noRows = (detail: string): AppError =>
  new AppError("invalid", detail, {
    suggestion: "Choose a CSV file with column names in its first row and contacts below.",
  });

/** Throws 415 for files that are no text, naming what they seem to be and what to do. */
export function refuseBinary(head: Uint8Array): void {
  const refuse = (what: string, suggestion: string) =>
    new AppError("unsupported_media_type", `This is ${what}, not a CSV file.`, { suggestion });
  if (startsWith(head, 0x50, 0x4b, 0x03, 0x04) || startsWith(head, 0x50, 0x4b, 0x05, 0x06)) {
    throw refuse(
      "a zip archive or an Excel workbook (.xlsx)",
      "Unpack it, or save the sheet as «CSV UTF-8» in your spreadsheet program.",
    );
  }
  if (startsWith(head, 0xd0, 0xcf, 0x11, 0xe0))
    throw refuse("an old Excel workbook (.xls)", "Save the sheet as «CSV UTF-8» in your spreadsheet program.");
  if (startsWith(head, 0x1f, 0x8b)) throw refuse("a gzip archive", "Unpack it first.");
  if (startsWith(head, 0x25, 0x50, 0x44, 0x46)) throw refuse("a PDF document", "Export the data as CSV.");
  if (utf16(head) === null && head.subarray(0, 8192).includes(0))
    throw refuse("a binary file", "Export the data as CSV.");
}

/** UTF-16 by its mark, or by the zero bytes that Latin text leaves in every other place. */
function utf16(head: Uint8Array): "utf-16le" | "utf-16be" | null {
  if (startsWith(head, 0xff, 0xfe)) return "utf-16le";
  if (startsWith(head, 0xfe, 0xff)) return "utf-16be";
  const sample = head.subarray(0, 4096);
  if (sample.length < 4) return null;
  let even = 0;
  let odd = 0;
  for (let i = 0; i < sample.length; i++) {
    if (sample[i] !== 0) continue;
    if (i % 2 === 0) even += 1;
    else odd += 1;
  }
  const most = sample.length / 2;
  if (odd > most * 0.7 && even < most * 0.05) return "utf-16le";
  return even > most * 0.7 && odd < most * 0.05 ? "utf-16be" : null;
}

/**
 * Watches a file go by, piece by piece: whether all of it is UTF-8 (one Latin-1 umlaut in the last row decides), which encoding it
 * seems to have otherwise, and how many rows it has. Rows are line ends outside quotes, so the count is good, not exact.
 */
export class FileWatch {
  #utf8 = new TextDecoder("utf-8", { fatal: true });
  #isUtf8 = true;
  #quoted = false;
  #content = false;
  #previous = 0;
  #rows = 0;
  #head: Uint8Array | null = null;
  #evidence = new Evidence();
  #escapes = false;

  add(piece: Uint8Array): void {
    this.#head ??= piece.subarray(0, 4096);
    this.#evidence.add(piece);
    this.#escapes ||= escapesToJapanese(piece);
    if (this.#isUtf8) {
      try {
        this.#utf8.decode(piece, { stream: true });
      } catch {
        this.#isUtf8 = false;
      }
    }
    let previous = this.#previous;
    for (const byte of piece) {
      if (byte === 0) continue;
      if (byte === 0x22) this.#quoted = !this.#quoted;
      if ((byte === 0x0a || (previous === 0x0d && byte !== 0x0a)) && !this.#quoted) this.#endRow();
      if (byte !== 0x0a && byte !== 0x0d && byte !== 0x20 && byte !== 0xff && byte !== 0xfe) this.#content = true;
      previous = byte;
    }
    this.#previous = previous;
  }

  #endRow(): void {
    if (this.#content) this.#rows += 1;
    this.#content = false;
  }

  /** Call once, after the last piece. */
  finish(): Guess & { rows: number; evidence: Evidence } {
    if (this.#isUtf8) {
      try {
        this.#utf8.decode();
      } catch {
        this.#isUtf8 = false;
      }
    }
    this.#endRow();
    this.#evidence.add(new Uint8Array(), true);
    const sure: Encoding | null =
      utf16(this.#head ?? new Uint8Array()) ?? (this.#escapes ? "iso-2022-jp" : this.#isUtf8 ? "utf-8" : null);
    const guess: Guess = sure ? { encoding: sure, examples: [], warning: null } : this.#evidence.guess();
    return { ...guess, rows: this.#rows, evidence: this.#evidence };
  }
}

/** ISO-2022-JP is ASCII with escapes, so it passes for UTF-8. */
const escapesToJapanese = (piece: Uint8Array): boolean => {
  for (let at = piece.indexOf(0x1b); at >= 0; at = piece.indexOf(0x1b, at + 1))
    if (piece[at + 1] === 0x24 && (piece[at + 2] === 0x42 || piece[at + 2] === 0x40)) return true;
  return false;
};

export const DELIMITERS = [",", ";", "\t", "|"] as const;

/** How our CSV reading differs from the strict one: real files have ragged rows and stray quotes. */
export const lenient = {
  bom: true,
  relax_column_count: true,
  relax_quotes: true,
  max_record_size: 1_000_000,
  // Files glued together mix their line ends; taking the first one for all would merge rows.
  record_delimiter: ["\r\n", "\n", "\r"],
};

function sampleRows(text: string, delimiter: string, most: number): string[][] | null {
  try {
    return (parse(text, { ...lenient, delimiter, to: most, skip_empty_lines: true }) as string[][]).filter((row) =>
      row.some((cell) => clean(cell) !== ""),
    );
  } catch {
    return null;
  }
}

/** The delimiter under which the first rows agree best about their number of columns. */
export function detectDelimiter(text: string): string {
  let best: { delimiter: string; score: number } = { delimiter: ",", score: 0 };
  for (const delimiter of DELIMITERS) {
    const rows = sampleRows(text, delimiter, 50);
    if (!rows || rows.length === 0) continue;
    const width = rows[0]!.length;
    if (width < 2) continue;
    const agreeing = rows.filter((r) => r.length === width).length / rows.length;
    const score = agreeing * 100 + Math.min(width, 50) / 10;
    if (score > best.score) best = { delimiter, score };
  }
  return best.delimiter;
}

const looksLikeData = (cell: string): boolean =>
  /^[^\s@]+@[^\s@]+\.[a-z]{2,}$/i.test(clean(cell)) || /^https?:\/\//i.test(clean(cell));

/** Unique, never empty: a mapping needs to name every column. */
export function headerNames(cells: readonly string[]): string[] {
  const names = cells.map((cell, i) => plain(clean(cell), 200) || `Column ${i + 1}`);
  const taken = new Set(names);
  const given = new Set<string>();
  return names.map((name) => {
    let unique = name;
    // Not a name that another column has by itself.
    for (let n = 2; given.has(unique); n++) if (!taken.has(`${name} (${n})`)) unique = `${name} (${n})`;
    given.add(unique);
    taken.add(unique);
    return unique;
  });
}

/** What Excel reads as "the delimiter of this file", and writes nowhere else. */
const SEPARATOR_HINT = /^\ufeff?"?sep=(.)"?[;,\t|]*\r?\n/i;
const MAX_PREAMBLE = 10;

/**
 * Rows before the header: the hint at the delimiter, and titles and notes, which have one cell where most rows have several. At most ten;
 * a file of one column has none.
 */
function preambleOf(rows: readonly string[][], hinted: boolean): number {
  const filled = (row: readonly string[]) => row.filter((cell) => clean(cell) !== "").length;
  const from = hinted ? 1 : 0;
  const width =
    rows
      .slice(from)
      .map((row) => filled(row))
      .toSorted((a, b) => a - b)[Math.floor((rows.length - from) / 2)] ?? 0;
  let n = from;
  if (width < 2) return n;
  while (n < rows.length && n < from + MAX_PREAMBLE && filled(rows[n]!) < 2 && !rows[n]!.some(looksLikeData)) n++;
  return n < rows.length ? n : from;
}

const PREVIEW_ROWS = 10;
const MAX_COLUMNS = 500;

/** Looks at the beginning of a file. `cut` says that the sample ends somewhere inside a row. */
export function detectCsv(
  sample: Uint8Array,
  encoding: Encoding,
  cut: boolean,
): Omit<Detected, "suggested_mapping" | "encoding_examples"> {
  let text = new TextDecoder(encoding).decode(sample, { stream: cut });
  // A row cut in half would count as a ragged one, and an open quote would swallow the rest.
  if (cut) text = text.slice(0, Math.max(text.lastIndexOf("\n"), text.lastIndexOf("\r")) + 1) || text;
  const hint = SEPARATOR_HINT.exec(text)?.[1];
  const delimiter =
    DELIMITERS.find((d) => d === hint) ?? detectDelimiter(hint ? text.slice(text.search(/[\r\n]/)) : text);
  const all = sampleRows(text, delimiter, PREVIEW_ROWS + 1 + MAX_PREAMBLE);
  if (!all)
    throw new AppError(
      "invalid",
      "The beginning of this file cannot be read as CSV: a quotation mark is probably not closed.",
    );
  const preamble_rows = preambleOf(all, hint !== undefined);
  const rows = all.slice(preamble_rows);
  const [first] = rows;
  if (!first) throw noRows("The file has no rows.");
  if (first.length > MAX_COLUMNS)
    throw new AppError("invalid", `The file has ${first.length} columns; at most ${MAX_COLUMNS} are allowed.`);
  const has_header = !first.some(looksLikeData);
  const headers = headerNames(has_header ? first : first.map(() => ""));
  const body = (has_header ? rows.slice(1) : rows).slice(0, PREVIEW_ROWS);
  if (body.length === 0) throw noRows("The file has a header but no rows.");
  return {
    delimiter,
    encoding,
    encoding_warning: damage(text),
    preamble_rows,
    has_header,
    headers,
    preview_rows: body.map((row) => row.map((cell) => plain(clean(cell), 500))),
  };
}
