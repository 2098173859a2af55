import { createContext } from "svelte";
import { read } from "./data/queries.ts";
import type { Catalogue as Answer, CatalogueEntry } from "./api/types.ts";
import { humanise } from "./format.ts";
import type { FormSchema } from "./forms.ts";

/** The words for every choice, from the server: statuses, fields, operators, variables, roles, pages. */
export const catalogueQuery = () => ({
  ...read("/catalogue"),
  // It changes with a deployment only. The browser keeps it too, and asks by its ETag.
  staleTime: 10 * 60_000,
});

export type Catalogue = {
  readonly pages: Answer["pages"];
  /** A list's entries, with a trait where one is named; empty while its module is off. */
  list(name: string, trait?: string): readonly CatalogueEntry[];
  /** A form as JSON Schema: `step.<kind>`, `sender.<channel>`, `options.<channel>`; undefined while its module is off. */
  form(name: string): FormSchema | undefined;
  /** The same for a select. */
  options(name: string, trait?: string): { value: string; label: string }[];
  /** What is said of a value. One the catalogue lacks is shown as it is, readably. */
  entry(name: string, value: string): CatalogueEntry;
};

export function catalogueOf(answer: () => Answer): Catalogue {
  const list = (name: string, trait?: string) => {
    const entries = answer().lists[name] ?? [];
    return trait ? entries.filter((e) => e.traits?.includes(trait)) : entries;
  };
  return {
    get pages() {
      return answer().pages;
    },
    list,
    form: (name) => answer().forms[name] as FormSchema | undefined,
    options: (name, trait) => list(name, trait).map(({ value, label }) => ({ value, label })),
    entry: (name, value) => list(name).find((e) => e.value === value) ?? { value, label: humanise(value) },
  };
}

/** Set by the layout once the catalogue is there; pages below read it without waiting. */
export const [useCatalogue, provideCatalogue] = createContext<Catalogue>();
