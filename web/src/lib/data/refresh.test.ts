import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { InfiniteQueryObserver, QueryClient, QueryObserver } from "@tanstack/query-core";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ApiError } from "../errors.ts";
import { createLive, mergeHead, rowsOf } from "./refresh.ts";
import { retry, retryDelay } from "./retry.ts";
import { ANNOUNCED, keyOf, pathsOf, SOURCES, type ReadPath } from "./sources.ts";

const root = join(import.meta.dirname, "../../../..");
const filesBelow = (folder: string, end: RegExp): string[] =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => end.test(name))
    .map((name) => readFileSync(join(folder, name), "utf8"));

describe("the map from tables to reads", () => {
  test("every table it waits for is one that the database announces", () => {
    const sql = filesBelow(join(root, "migrations"), /\.sql$/).join("\n");
    const announced = [...sql.matchAll(/kernel\.protect\('public\.(\w+)'([^;]*)\)/g)]
      .filter(([, , options]) => !/broadcast\s*=>\s*false/.test(options!))
      .map(([, table]) => table!);
    expect(ANNOUNCED.filter((table) => !announced.includes(table))).toEqual([]);
    // What is announced and shown nowhere would be a screen that goes stale; these have no screen.
    const unseen = announced.filter((table) => pathsOf(table).length === 0);
    expect(unseen).toEqual([]);
  });

  test("every list and thing that a page reads is refreshed by something, or is known not to change", () => {
    // What is a person's own (sessions, second factor) has no tenant to announce it; those pages ask again after what they change.
    const own = ["/auth/second-factor", "/auth/sessions"];
    const still = [
      "/auth/claim",
      "/auth/invitation",
      "/catalogue",
      "/providers",
      "/schedules",
      "/service-level",
      ...own,
    ];
    const used = new Set(
      filesBelow(join(root, "web/src"), /\.(svelte|ts)$/).flatMap((text) =>
        [...text.matchAll(/\b(?:read|pages|ask)\("(\/[^"]+)"/g)].map(([, path]) => path!),
      ),
    );
    expect(used.size).toBeGreaterThan(25);
    expect([...used].filter((path) => !(path in SOURCES) && !still.includes(path))).toEqual([]);
  });

  test("a filter that is not set and one that is empty are one question", () => {
    expect(keyOf("/contacts", { query: { search: "", status: undefined, limit: 50 } })).toEqual(
      keyOf("/contacts", { query: { limit: 50 } }),
    );
  });
});

describe("a list of several pages", () => {
  const page = (ids: number[], more = true) => ({
    data: ids.map((id) => ({ id, text: `row ${id}` })),
    next_cursor: more ? String(ids.at(-1)) : null,
    has_more: more,
  });
  const three = { pages: [page([9, 8, 7]), page([6, 5, 4]), page([3, 2, 1], false)], pageParams: [null, "7", "4"] };
  const idsOf = (data: typeof three) => rowsOf(data as never).map((row) => (row as { id: number }).id);

  test("takes new and changed rows from a fresh first page and keeps the rest", () => {
    const merged = mergeHead(three as never, page([11, 9, 8])) as unknown as typeof three;
    expect(idsOf(merged)).toEqual([11, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
    expect(merged.pages.at(-1)!.next_cursor).toBeNull();
  });
  test("drops a row that is gone from the range of the first page, and one that moved up from further down", () => {
    expect(idsOf(mergeHead(three as never, page([2, 9, 7])) as never)).toEqual([2, 9, 7, 6, 5, 4, 3, 1]);
  });
  test("is the first page alone once that holds everything", () => {
    expect(idsOf(mergeHead(three as never, page([9, 1], false)) as never)).toEqual([9, 1]);
  });
  test("shows a row once that moved between two pages", () => {
    expect(idsOf({ ...three, pages: [page([4, 9]), page([8, 4])] })).toEqual([4, 9, 8]);
  });
});

describe("live updates", () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  function watched(path: ReadPath, read = vi.fn(async () => ({}))) {
    const client = new QueryClient({ defaultOptions: { queries: { retry: false } } });
    const observer = new QueryObserver(client, { queryKey: keyOf(path), queryFn: read, staleTime: Infinity });
    observer.subscribe(() => undefined);
    return { client, read };
  }
  const settle = (ms: number) => vi.advanceTimersByTimeAsync(ms);

  test("a change asks for exactly the reads made from its table, and a table nobody shows for none", async () => {
    const { client, read } = watched("/contacts");
    const other = vi.fn(async () => ({}));
    new QueryObserver(client, { queryKey: keyOf("/senders"), queryFn: other }).subscribe(() => undefined);
    await settle(0);
    const live = createLive(client, () => true);
    live.changed("contacts");
    live.changed("no_such_table");
    await settle(5000);
    expect(read).toHaveBeenCalledTimes(2);
    expect(other).toHaveBeenCalledTimes(1);
  });

  test("a storm of changes is one refresh an interval, and the last change is never missed", async () => {
    const { client, read } = watched("/dashboard");
    await settle(0);
    const live = createLive(client, () => true);
    for (let i = 0; i < 100; i++) {
      live.changed("messages");
      await settle(30);
    }
    const during = read.mock.calls.length;
    expect(during).toBeLessThanOrEqual(4);
    await settle(3000);
    expect(read.mock.calls.length).toBe(during + 1);
    await settle(10_000);
    expect(read.mock.calls.length).toBe(during + 1);
  });

  test("nothing is asked while nobody looks; what changed meanwhile is asked once on return", async () => {
    const { client, read } = watched("/contacts");
    await settle(0);
    let visible = false;
    const live = createLive(client, () => visible);
    live.changed("contacts");
    await settle(5000);
    expect(read).toHaveBeenCalledTimes(1);
    visible = true;
    live.shown();
    live.shown();
    await settle(5000);
    expect(read).toHaveBeenCalledTimes(2);
  });

  test("a slow answer is not cancelled over and over: it arrives, and is asked again after", async () => {
    let started = 0;
    const signals: AbortSignal[] = [];
    const read = vi.fn(async ({ signal }: { signal: AbortSignal }) => {
      signals.push(signal);
      started += 1;
      await new Promise((done) => setTimeout(done, 4000));
      return { started };
    });
    const { client } = watched("/contacts", read as never);
    const live = createLive(client, () => true);
    for (let i = 0; i < 6; i++) {
      live.changed("contacts");
      await settle(500);
    }
    await settle(1500);
    expect(client.getQueryData(keyOf("/contacts"))).toEqual({ started: 1 });
    expect(signals[0]!.aborted).toBe(false);
    await settle(5000);
    expect(started).toBe(2);
  });

  test("a write and a reconnect ask again for all that may be stale", async () => {
    const { client, read } = watched("/contacts");
    await settle(0);
    const live = createLive(client, () => true);
    live.wrote(["contacts"]);
    await settle(0);
    expect(read).toHaveBeenCalledTimes(2);
    live.missed();
    await settle(2000);
    expect(read).toHaveBeenCalledTimes(3);
  });

  test("of a list of several pages an announcement asks for the first one only", async () => {
    const client = new QueryClient();
    const asked: unknown[] = [];
    const observer = new InfiniteQueryObserver(client, {
      queryKey: [...keyOf("/activity"), "pages"],
      queryFn: async ({ pageParam }: { pageParam: unknown }) => {
        asked.push(pageParam);
        const from = pageParam === null ? 0 : Number(pageParam);
        return { data: [{ id: from }], next_cursor: String(from + 1), has_more: true };
      },
      initialPageParam: null as unknown,
      getNextPageParam: (last) => last.next_cursor,
      staleTime: Infinity,
    });
    observer.subscribe(() => undefined);
    await settle(0);
    await observer.fetchNextPage();
    await observer.fetchNextPage();
    asked.length = 0;
    createLive(client, () => true).changed("message_events");
    await settle(2000);
    expect(asked).toEqual([null]);
    expect(observer.getCurrentResult().data?.pages).toHaveLength(3);
  });
});

describe("asking again", () => {
  const error = (status: number, after: number | null = null) => new ApiError(status, {}, after);
  test.each([
    ["nobody answered", error(0), true],
    ["the server failed", error(503), true],
    ["too many requests", error(429, 3), true],
    ["a pause too long to wait out", error(429, 60), false],
    ["refused", error(403), false],
    ["not found", error(404), false],
    ["in conflict", error(409), false],
    ["a fault of this page", error(-1), false],
  ])("%s", (_, thrown, again) => expect(retry(0, thrown)).toBe(again));
  test("twice at most, after the time the server named or a growing one", () => {
    expect(retry(2, error(503))).toBe(false);
    expect(retryDelay(0, error(429, 3))).toBe(3000);
    expect(retryDelay(1, error(503))).toBeGreaterThan(700);
    expect(retryDelay(1, error(503))).toBeLessThan(1300);
  });
});
