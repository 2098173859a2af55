import { QueryClient } from "@tanstack/svelte-query";
import type { ApiError } from "../errors.ts";
import { createLive } from "./refresh.ts";
import { retry, retryDelay } from "./retry.ts";

declare module "@tanstack/svelte-query" {
  interface Register {
    defaultError: ApiError;
  }
}

/** The console's one cache. Switching the workspace reloads the page, so it holds one team's data only. */
export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      retry,
      retryDelay,
      // Observers would otherwise leave out what nobody has read yet, and a condition over two queries reads the second one late.
      notifyOnChangeProps: "all",
      // Announcements keep it fresh; this only spares a second request when two parts of a page ask the same.
      staleTime: 2000,
      // What the browser calls offline may still reach a server on this machine: ask, and show what comes of it.
      networkMode: "always",
      // Both are done by the live updates, which know what changed and what a list costs.
      refetchOnWindowFocus: false,
      refetchOnReconnect: false,
    },
    mutations: { retry: false, networkMode: "always" },
  },
});

/** Announcements in, refreshes out. */
export const live = createLive(queryClient, () => document.visibilityState === "visible");
