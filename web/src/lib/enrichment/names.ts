import { createQuery } from "@tanstack/svelte-query";
import { read } from "../data/queries.ts";
import { humanise } from "../format.ts";
import { session } from "../session.svelte.ts";

/** What a data provider is called, by its id. Call it while a component is made. */
export function providerNames(): (id: string) => string {
  const providers = createQuery(() => ({
    ...read("/providers"),
    staleTime: Infinity,
    enabled: session.can("providers:read"),
  }));
  return (id) => providers.data?.data.find((p) => p.id === id)?.label ?? humanise(id);
}
