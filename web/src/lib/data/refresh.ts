import type { InfiniteData, Query, QueryClient } from "@tanstack/query-core";
import { pathsOf, resourceOf, SOURCES, type ReadPath } from "./sources.ts";

/** Keeps the cache true: what an announced or own change made stale is asked again, as seldom as it may be. */

type Row = Record<string, unknown>;
type Page = { data: Row[]; next_cursor: string | null; has_more: boolean };

/** What tells rows of one list apart. */
export const idOf = (row: object): string => {
  const r = row as Row;
  return String(r["id"] ?? r["user_id"] ?? r["tag"] ?? JSON.stringify(row));
};

/** All rows of a keyset list. A row that moved up between two pages comes twice; the first place is its newer one. */
export function rowsOf<T extends object>(data: InfiniteData<{ data: T[] }>): T[] {
  const rows = new Map<string, T>();
  for (const page of data.pages) for (const row of page.data) if (!rows.has(idOf(row))) rows.set(idOf(row), row);
  return [...rows.values()];
}

/**
 * Puts a fresh first page over a list of several: changed rows in place, new rows on top, rows that left the range of the first
 * page dropped. Asking for all pages again at every announcement would cost a request a page.
 */
export function mergeHead(data: InfiniteData<Page>, head: Page): InfiniteData<Page> {
  if (!head.has_more) return { pages: [head], pageParams: data.pageParams.slice(0, 1) };
  const fresh = new Set(head.data.map(idOf));
  const last = head.data.at(-1);
  const [first, second, ...rest] = data.pages;
  if (!first || !second || !last) return { pages: [head], pageParams: data.pageParams.slice(0, 1) };
  const old = [...first.data, ...second.data];
  const cut = old.findIndex((row) => idOf(row) === idOf(last));
  const kept = (rows: Row[]) => rows.filter((row) => !fresh.has(idOf(row)));
  return {
    pages: [
      head,
      { ...second, data: kept(old.slice(cut + 1)) },
      ...rest.map((page) => ({ ...page, data: kept(page.data) })),
    ],
    pageParams: data.pageParams,
  };
}

const pagesOf = (query: Query): InfiniteData<Page> | null => {
  const data = query.state.data as Partial<InfiniteData<Page>> | undefined;
  return Array.isArray(data?.pages) ? (data as InfiniteData<Page>) : null;
};

/** Lists longer than this are cut to their first page rather than read again page by page. */
const MOST_PAGES = 10;

/** Asks again for every query of a path. `announced`: of a long list only the first page, merged over the rest. */
export function refreshPath(client: QueryClient, path: string, announced: boolean): void {
  for (const query of client.getQueryCache().findAll({ queryKey: [resourceOf(path), path] })) {
    const data = pagesOf(query);
    const long = data !== null && data.pages.length > 1;
    if (long && query.isActive() && announced) {
      void refreshHead(client, query);
      continue;
    }
    if (long && (!query.isActive() || data.pages.length > MOST_PAGES))
      client.setQueryData(query.queryKey, { pages: data.pages.slice(0, 1), pageParams: data.pageParams.slice(0, 1) });
    void client.invalidateQueries({ queryKey: query.queryKey, exact: true });
  }
}

async function refreshHead(client: QueryClient, query: Query): Promise<void> {
  const read = query.options.queryFn;
  if (typeof read !== "function") return;
  try {
    const head = (await read({
      client,
      queryKey: query.queryKey,
      signal: new AbortController().signal,
      pageParam: null,
      direction: "forward",
      meta: query.meta,
    } as never)) as Page;
    const now = pagesOf(query);
    // A next page that set out meanwhile will be put over the list it started from.
    if (now && query.state.fetchStatus === "idle") client.setQueryData(query.queryKey, mergeHead(now, head));
  } catch {
    // The list on screen stays; the next announcement, or a page that opens, asks again.
  }
}

export type Live = {
  /** The database announced a change. */
  changed(table: string): void;
  /** Something may have been missed: all that is on screen is asked again. */
  missed(): void;
  /** A write of this console is done: what shows its tables is asked again at once. */
  wrote(tables: readonly string[]): void;
  /** The page is looked at again: asks for what changed meanwhile. */
  shown(): void;
};

const SOON = 60;

/**
 * Turns announcements into refreshes: each path at most once per its `every` and always once after the last announcement;
 * nothing is asked while nobody looks.
 */
export function createLive(client: QueryClient, visible: () => boolean): Live {
  const timers = new Map<string, ReturnType<typeof setTimeout>>();
  const last = new Map<string, number>();
  const unseen = new Set<string>();

  function fire(path: string): void {
    timers.delete(path);
    if (!visible()) return void unseen.add(path);
    last.set(path, Date.now());
    // An answer on its way may be older than the change, but cancelling it each time would starve a slow one: after it, then.
    if (client.isFetching({ queryKey: [resourceOf(path), path] }) > 0) return schedule(path);
    refreshPath(client, path, true);
  }
  function schedule(path: string): void {
    if (timers.has(path)) return;
    const every = SOURCES[path as ReadPath]?.every ?? 1000;
    const wait = Math.max(SOON, (last.get(path) ?? 0) + every - Date.now());
    timers.set(
      path,
      setTimeout(() => fire(path), wait),
    );
  }
  return {
    changed(table) {
      for (const path of pathsOf(table)) schedule(path);
    },
    missed() {
      for (const path of Object.keys(SOURCES)) schedule(path);
    },
    wrote(tables) {
      const paths = new Set(tables.flatMap(pathsOf));
      for (const path of paths) {
        last.set(path, Date.now());
        refreshPath(client, path, false);
      }
    },
    shown() {
      for (const path of unseen) schedule(path);
      unseen.clear();
    },
  };
}
