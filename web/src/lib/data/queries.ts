import { infiniteQueryOptions, queryOptions, type InfiniteData } from "@tanstack/svelte-query";
import { api, type Options, type PathsWith } from "../api.ts";
import type { Answer, Operation, Path } from "../api/types.ts";
import { rowsOf } from "./refresh.ts";
import { keyOf, type ReadPath } from "./sources.ts";

/** Options for createQuery and createInfiniteQuery, made from the API document: path, parameters and answer are checked. */

type Get<P> = Operation<P, "get">;
type Asked<O> = Omit<Options<O>, "signal" | "idempotencyKey">;
type Rest<O> = [Path<O>] extends [never] ? [asked?: Asked<O>] : [asked: Asked<O>];
type RowOf<P> = Answer<Get<P>> extends { data: (infer T extends object)[] } ? T : never;
/** Reads that answer in pages. */
export type ListPath = {
  [P in PathsWith<"get">]: Answer<Get<P>> extends { data: object[]; next_cursor: string | null } ? P : never;
}[PathsWith<"get">];

type PageOf<P> = { data: RowOf<P>[]; next_cursor: string | null; has_more: boolean };
type Call = (path: string, options: object) => Promise<never>;
type Previous = { queryKey: readonly unknown[] } | undefined;

// While other filters load, what was there stays on screen; another thing's data never stands in for this one's.
const sameThing =
  (key: readonly unknown[]) =>
  <T>(data: T | undefined, query: Previous): T | undefined =>
    JSON.stringify((query?.queryKey[2] as { path: object } | undefined)?.path) ===
    JSON.stringify((key[2] as { path: object }).path)
      ? data
      : undefined;

/** One answer: `createQuery(() => read("/campaigns/{id}", { path: { id } }))`. */
export function read<P extends PathsWith<"get">>(path: P, ...[asked]: Rest<Get<P>>) {
  const queryKey = keyOf(path, asked);
  return queryOptions({
    queryKey,
    queryFn: ({ signal }): Promise<Answer<Get<P>>> => (api.get as Call)(path, { ...asked, signal }),
    placeholderData: sameThing(queryKey) as never,
  });
}

/** A question that is too long for an address and changes nothing: `ask("/segments/preview", { body: { filter } })`. */
export function ask<P extends PathsWith<"post"> & ReadPath>(path: P, asked: Asked<Operation<P, "post">>) {
  const queryKey = keyOf(path, asked);
  return queryOptions({
    queryKey,
    queryFn: ({ signal }): Promise<Answer<Operation<P, "post">>> => (api.post as Call)(path, { ...asked, signal }),
    placeholderData: sameThing(queryKey) as never,
  });
}

/** A keyset list; `data` is all its rows so far: `createInfiniteQuery(() => pages("/lists"))`. */
export function pages<P extends ListPath>(path: P, ...[asked]: Rest<Get<P>>) {
  // Marked, because a read of the same path keeps one page where this keeps several.
  const queryKey = [...keyOf(path, asked), "pages"] as const;
  return infiniteQueryOptions({
    queryKey,
    queryFn: ({ pageParam, signal }): Promise<PageOf<P>> =>
      (api.get as Call)(path, { ...asked, query: { ...asked?.query, cursor: pageParam }, signal }),
    initialPageParam: null as string | null,
    getNextPageParam: (last: PageOf<P>) => (last.has_more ? last.next_cursor : undefined),
    select: rowsOf as (data: InfiniteData<PageOf<P>, string | null>) => RowOf<P>[],
    placeholderData: sameThing(queryKey) as never,
  });
}
