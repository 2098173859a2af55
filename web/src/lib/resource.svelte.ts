import { untrack } from "svelte";
import type { Page } from "./api/types.ts";
import { toApiError, type ApiError } from "./errors.ts";
import { realtime } from "./realtime.svelte.ts";

type Options = {
  /** Tables whose changes refresh this. */
  tables?: readonly string[];
  /** Shortest time between two such refreshes, in ms. */
  every?: number;
  /** Refresh on a clock too, in ms, for what no table announces. */
  interval?: number;
};

const aborted = (thrown: unknown) => thrown instanceof DOMException && thrown.name === "AbortError";

/** "Load, error, retry, refresh on realtime" for one thing. Old data stays on screen while new data comes. */
export class Resource<T> {
  data = $state.raw<T | undefined>(undefined);
  error = $state.raw<ApiError | null>(null);
  loading = $state(true);
  #load: (signal: AbortSignal) => Promise<T>;
  #controller: AbortController | null = null;

  constructor(load: (signal: AbortSignal) => Promise<T>) {
    this.#load = load;
  }

  run(): void {
    this.#controller?.abort();
    const controller = (this.#controller = new AbortController());
    untrack(() => (this.loading = true));
    this.#load(controller.signal).then(
      (data) => {
        if (controller.signal.aborted) return;
        this.data = data;
        this.error = null;
        this.loading = false;
      },
      (thrown: unknown) => {
        if (controller.signal.aborted || aborted(thrown)) return;
        this.error = toApiError(thrown);
        this.loading = false;
      },
    );
  }
  /** Loads again with the same inputs. */
  refresh = (): void => untrack(() => this.run());
  /** Puts a value in place that a mutation already returned. */
  set(data: T): void {
    this.data = data;
    this.error = null;
  }
  stop(): void {
    this.#controller?.abort();
  }
}

/**
 * Makes a Resource bound to the calling component: it loads at once, again whenever a reactive value that `load`
 * reads before its first await changes, and on realtime changes of `tables`.
 */
export function resource<T>(load: (signal: AbortSignal) => Promise<T>, options: Options = {}): Resource<T> {
  const it = new Resource(load);
  $effect(() => {
    it.run();
    return () => it.stop();
  });
  watch(it.refresh, options);
  return it;
}

/** A keyset list: pages append, a refresh merges the newest page over what is already there. */
export class ListResource<T> {
  items = $state.raw<T[]>([]);
  error = $state.raw<ApiError | null>(null);
  loading = $state(true);
  loadingMore = $state(false);
  hasMore = $state(false);
  loaded = $state(false);
  #cursor: string | null = null;
  #load: (cursor: string | null, signal: AbortSignal) => Promise<Page<T>>;
  #idOf: (item: T) => string;
  #controller: AbortController | null = null;
  #pages = 0;

  constructor(load: (cursor: string | null, signal: AbortSignal) => Promise<Page<T>>, idOf: (item: T) => string) {
    this.#load = load;
    this.#idOf = idOf;
  }

  /** Starts over from the first page. */
  run(): void {
    this.#controller?.abort();
    const controller = (this.#controller = new AbortController());
    untrack(() => (this.loading = true));
    this.#load(null, controller.signal).then(
      (page) => {
        if (controller.signal.aborted) return;
        this.items = page.data;
        this.#take(page);
        this.#pages = 1;
        this.loaded = true;
      },
      (thrown: unknown) => this.#fail(thrown, controller),
    );
  }
  reload = (): void => untrack(() => this.run());

  /** Merges the first page: changed rows in place, new rows on top, rows that left the first page's range dropped. */
  refresh = (): void => {
    if (!this.loaded || this.#pages <= 1) return this.reload();
    const controller = this.#controller ?? new AbortController();
    this.#load(null, controller.signal).then(
      (page) => {
        if (controller.signal.aborted) return;
        const fresh = new Set(page.data.map(this.#idOf));
        const lastFresh = page.data.at(-1);
        const cut = lastFresh ? this.items.findIndex((i) => this.#idOf(i) === this.#idOf(lastFresh)) : -1;
        const tail = (cut >= 0 ? this.items.slice(cut + 1) : this.items).filter((i) => !fresh.has(this.#idOf(i)));
        this.items = [...page.data, ...tail];
        this.error = null;
      },
      () => undefined,
    );
  };

  more = (): void => {
    if (!this.hasMore || this.loadingMore || this.loading) return;
    const controller = this.#controller ?? new AbortController();
    this.loadingMore = true;
    this.#load(this.#cursor, controller.signal).then(
      (page) => {
        if (controller.signal.aborted) return;
        const known = new Set(this.items.map(this.#idOf));
        this.items = [...this.items, ...page.data.filter((i) => !known.has(this.#idOf(i)))];
        this.#take(page);
        this.#pages += 1;
      },
      (thrown: unknown) => this.#fail(thrown, controller),
    );
  };
  stop(): void {
    this.#controller?.abort();
  }

  #take(page: Page<T>): void {
    this.#cursor = page.next_cursor ?? null;
    this.hasMore = Boolean(page.has_more && page.next_cursor);
    this.error = null;
    this.loading = false;
    this.loadingMore = false;
  }
  #fail(thrown: unknown, controller: AbortController): void {
    if (controller.signal.aborted || aborted(thrown)) return;
    this.error = toApiError(thrown);
    this.loading = false;
    this.loadingMore = false;
  }
}

/** Like resource(), for keyset lists. */
export function list<T>(
  load: (cursor: string | null, signal: AbortSignal) => Promise<Page<T>>,
  options: Options & { id?: (item: T) => string } = {},
): ListResource<T> {
  const it = new ListResource(load, options.id ?? ((item) => (item as { id: string }).id));
  $effect(() => {
    it.run();
    return () => it.stop();
  });
  watch(it.refresh, options);
  return it;
}

function watch(refresh: () => void, { tables = [], every = 1000, interval }: Options): void {
  $effect(() => {
    const off = tables.length ? realtime.on(tables, refresh, every) : undefined;
    const timer = interval
      ? setInterval(() => document.visibilityState === "visible" && refresh(), interval)
      : undefined;
    return () => {
      off?.();
      if (timer) clearInterval(timer);
    };
  });
}
