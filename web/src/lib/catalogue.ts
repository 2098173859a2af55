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

/** Time zones to choose from, and the one that is set, which may have a former name. */
export function zoneOptions(
  catalogue: Catalogue,
  current: string | null | undefined,
): { value: string; label: string }[] {
  const options = catalogue.options("time_zone", "current");
  if (!current || options.some((o) => o.value === current)) return options;
  return [{ value: current, label: catalogue.entry("time_zone", current).label }, ...options];
}

/** The browser's own time zone where the server takes it, else UTC. */
export function ownZone(catalogue: Catalogue): string {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return catalogue.list("time_zone").some((e) => e.value === zone) ? zone : "UTC";
}

/** Set by the layout once the catalogue is there; pages below read it without waiting. */
export const [useCatalogue, provideCatalogue] = createContext<Catalogue>();
