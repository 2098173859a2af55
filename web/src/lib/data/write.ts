import { createMutation, type CreateMutationResult, type InfiniteData } from "@tanstack/svelte-query";
import type { PathsWith } from "../api.ts";
import type { Answer, Operation } from "../api/types.ts";
import { toApiError, type ApiError } from "../errors.ts";
import { toasts } from "../toasts.svelte.ts";
import { live, queryClient } from "./client.ts";
import type { ListPath } from "./queries.ts";
import { resourceOf, type Table } from "./sources.ts";

type RowOf<P> = Answer<Operation<P, "get">> extends { data: (infer T)[] } ? T : never;

/** Changes what is cached before the server has answered. */
export type Edit = {
  /** Every cached answer of a read. */
  one<P extends PathsWith<"get">>(
    path: P,
    change: (data: Answer<Operation<P, "get">>) => Answer<Operation<P, "get">>,
  ): void;
  /** Every cached row of a list; null takes the row out. */
  rows<P extends ListPath>(path: P, change: (row: RowOf<P>) => RowOf<P> | null): void;
};

type Snapshot = [key: readonly unknown[], data: unknown][];
type Options<V, T> = {
  /** Tables the write changes: all that shows them is asked again, whether it worked or not. */
  changes: readonly Table[];
  /** Said when it worked. */
  done?: string | ((result: T, input: V) => string);
  /** False where a form shows the error itself. */
  toast?: boolean;
  /** Shows the outcome at once; taken back when the write fails. `touches` names what it edits. */
  optimistic?: { touches: readonly PathsWith<"get">[]; edit: (edit: Edit, input: V) => void };
};

type ListData = InfiniteData<{ data: unknown[] }> | { data: unknown[] };

function editor(before: Snapshot): Edit {
  const each = (path: string, change: (data: never) => unknown) => {
    for (const query of queryClient.getQueryCache().findAll({ queryKey: [resourceOf(path), path] })) {
      if (query.state.data === undefined) continue;
      before.push([query.queryKey, query.state.data]);
      queryClient.setQueryData(query.queryKey, change(query.state.data as never));
    }
  };
  return {
    one: (path, change) => each(path, change),
    rows: (path, change) => {
      const changed = (rows: unknown[]) => rows.map((row) => change(row as never)).filter((row) => row !== null);
      each(path, (data: ListData) =>
        "pages" in data
          ? { ...data, pages: data.pages.map((page) => ({ ...page, data: changed(page.data) })) }
          : { ...data, data: changed(data.data) },
      );
    },
  };
}

/**
 * createMutation for one write a person starts, with what every write needs: the idempotency key, the toasts, and the refresh of
 * what it changed. The key outlives a failed try, so that pressing the button again after a timeout cannot act twice; a double
 * click is one call. Call it while a component is made.
 */
export function createWrite<V = void, T = unknown>(
  act: (key: string, input: V) => Promise<T>,
  options: Options<V, T>,
): CreateMutationResult<T, ApiError, V, Snapshot> {
  let key = crypto.randomUUID();
  let body: string | undefined;
  let flight: Promise<T> | null = null;

  function send(input: V): Promise<T> {
    const text = JSON.stringify(input) ?? "";
    if (flight && text === body) return flight;
    // Another input is another intent: the API refuses a key that comes back with a different body.
    if (text !== body) key = crypto.randomUUID();
    body = text;
    const call = act(key, input)
      .catch((thrown: unknown) => {
        throw toApiError(thrown);
      })
      .finally(() => {
        if (flight === call) flight = null;
      });
    return (flight = call);
  }
  return createMutation<T, ApiError, V, Snapshot>(() => ({
    mutationFn: send,
    onMutate: async (input) => {
      const before: Snapshot = [];
      const { optimistic } = options;
      if (optimistic) {
        await Promise.all(
          optimistic.touches.map((path) => queryClient.cancelQueries({ queryKey: [resourceOf(path), path] })),
        );
        optimistic.edit(editor(before), input);
      }
      return before;
    },
    onSuccess: (result, input) => {
      key = crypto.randomUUID();
      const { done } = options;
      if (done) toasts.good(typeof done === "function" ? done(result, input) : done);
    },
    onError: (error, _input, before) => {
      for (const [queryKey, data] of [...(before ?? [])].reverse()) queryClient.setQueryData(queryKey, data);
      // Refused for good, or answered: the next try is another intent.
      if (error.status >= 400 && error.status < 500) key = crypto.randomUUID();
      if (options.toast !== false) toasts.bad(error);
    },
    onSettled: () => live.wrote(options.changes),
  }));
}
