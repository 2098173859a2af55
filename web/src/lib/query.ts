import { goto } from "$app/navigation";
import { page } from "$app/state";

/** Reads a value out of the query string; reactive inside effects and templates. */
export const param = (name: string): string => page.url.searchParams.get(name) ?? "";

/** Writes values into the query string, so that a reload, a link or Back gives the same view. Empty removes. */
export function setParams(values: Record<string, string | null | undefined>, options: { push?: boolean } = {}): void {
  const url = new URL(page.url.href);
  for (const [name, value] of Object.entries(values)) {
    if (value) url.searchParams.set(name, value);
    else url.searchParams.delete(name);
  }
  if (url.search === page.url.search) return;
  void goto(`${url.pathname}${url.search}`, { replace: !options.push, reset: false });
}
