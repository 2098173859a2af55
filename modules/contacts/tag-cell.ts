import { MAX_TAGS } from "./fields.ts";

/** Several tags in one cell of a CSV file: how the export writes them and the import reads them. */

/** What separates tags, in the files of any program. */
const SEPARATORS = ",;|";
const END = /\s*(?:[,;|]|$)/y;
/** A tag in quotes, as CSV writes a cell: `"Berlin, Mitte"`, a quote inside doubled. */
const QUOTED = /"((?:[^"]|"")*)"\s*(?:[,;|]|$)/y;

/** Tags in use that contain a separator, by what stands before it: read whole where a cell has them without quotes. */
export type AwkwardTags = ReadonlyMap<string, readonly string[]>;

const beforeSeparator = (text: string): string => text.split(/[,;|]/, 1)[0]!.trim();

export function awkwardTags(tags: readonly string[]): AwkwardTags {
  const groups = Map.groupBy(tags, beforeSeparator);
  for (const group of groups.values()) group.sort((a, b) => b.length - a.length);
  return groups;
}

/**
 * The tags of a cell, trimmed, without empty ones. Separated by comma, semicolon or bar outside of quotes. Stops behind the first that is
 * one too many: such a cell is refused, and comparing each of a million with a team's tags would hold everybody up.
 */
export function readTagCell(cell: string, awkward: AwkwardTags = new Map()): string[] {
  const tags: string[] = [];
  let at = 0;
  while (at < cell.length && tags.length <= MAX_TAGS) {
    if (SEPARATORS.includes(cell[at]!) || cell[at]!.trim() === "") {
      at += 1;
      continue;
    }
    QUOTED.lastIndex = at;
    const quoted = QUOTED.exec(cell);
    if (quoted) {
      tags.push(quoted[1]!.replaceAll('""', '"'));
      at = QUOTED.lastIndex;
      continue;
    }
    let end = at;
    while (end < cell.length && !SEPARATORS.includes(cell[end]!)) end += 1;
    const first = cell.slice(at, end).trim();
    const whole = awkward.get(first)?.find((tag) => {
      END.lastIndex = at + tag.length;
      return cell.startsWith(tag, at) && END.test(cell);
    });
    tags.push(whole ?? first);
    at = whole === undefined ? end : at + whole.length;
  }
  return tags.map((tag) => tag.trim()).filter((tag) => tag !== "");
}

/** `a, b`; all of them in quotes where this team's import, or another's, would read something else. */
export function writeTagCell(tags: readonly string[], awkward: AwkwardTags): string {
  const plain = tags.join(", ");
  const isRead = (read: readonly string[]) => read.length === tags.length && read.every((tag, i) => tag === tags[i]);
  if (isRead(readTagCell(plain)) && isRead(readTagCell(plain, awkward))) return plain;
  return tags.map((tag) => `"${tag.replaceAll('"', '""')}"`).join(", ");
}
