import type { Filter } from "../api/types.ts";

/** What narrows the table of contacts; each lives in the address under its own name. */
export const filterNames = ["search", "status", "tag", "list_id", "segment_id", "company_id"] as const;
export type ContactFilters = Record<(typeof filterNames)[number], string>;

const searched = ["first_name", "last_name", "email", "title"];

/**
 * "Everything that matches" in the filter language, selecting exactly whom the table's own query selects.
 * Null when the language cannot say it: a company by id, or a segment not loaded yet.
 */
export function matchingFilter(filters: ContactFilters, segment: Filter | null): Filter | null {
  if (filters.company_id || (filters.segment_id && !segment)) return null;
  // As the search does it: eight words at most, and one or two letters match only the beginning of a word.
  const words = filters.search.split(/\s+/).filter(Boolean).slice(0, 8);
  const anywhere = (value: string): Filter => ({
    any: searched.map((field) => ({ field, op: "contains", value })),
  });
  const beginning = (value: string): Filter => ({
    any: searched.flatMap((field) => [
      { field, op: "starts_with", value },
      { field, op: "contains", value: ` ${value}` },
    ]),
  });
  return {
    all: [
      ...words.map((word) => (word.length < 3 ? beginning(word) : anywhere(word))),
      ...(filters.status ? [{ field: "status", op: "eq", value: filters.status } as const] : []),
      ...(filters.tag ? [{ field: "tag", op: "eq", value: filters.tag } as const] : []),
      ...(filters.list_id ? [{ field: "list", op: "eq", value: filters.list_id } as const] : []),
      ...(segment ? [segment] : []),
    ],
  };
}
