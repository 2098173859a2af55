import type { RealtimeChannel } from "@supabase/supabase-js";
import { session } from "./session.svelte.ts";

/** What the database announces: which table changed, how, and up to 100 ids. */
export type Change = { table: string; op: "insert" | "update" | "delete"; count: number; ids: string[] };
type Listener = (change: Change | null) => void;

/** The tenant's private channel: one subscription for the whole page, fanned out by table. */
class Realtime {
  status = $state<"connecting" | "live" | "offline">("connecting");
  online = $state(typeof navigator === "undefined" ? true : navigator.onLine);
  #listeners = new Map<string, Set<Listener>>();
  #channel: RealtimeChannel | null = null;
  #tenant: string | null = null;

  /** Joins the tenant's channel; joining the same tenant again does nothing. */
  async join(tenantId: string): Promise<void> {
    if (this.#tenant === tenantId) return;
    await this.leave();
    this.#tenant = tenantId;
    this.status = "connecting";
    await session.supabase.realtime.setAuth();
    let wasLive = false;
    this.#channel = session.supabase
      .channel(`tenant:${tenantId}`, { config: { private: true } })
      .on("broadcast", { event: "*" }, (message) => {
        const payload = (message.payload ?? {}) as Partial<Change>;
        const table = payload.table ?? message.event;
        this.#emit(table, { table, op: payload.op ?? "update", count: payload.count ?? 1, ids: payload.ids ?? [] });
      })
      .subscribe((state) => {
        this.status = state === "SUBSCRIBED" ? "live" : "offline";
        // What happened while we were away was not replayed: ask for everything once.
        if (state === "SUBSCRIBED" && wasLive)
          for (const set of this.#listeners.values()) for (const fn of set) fn(null);
        if (state === "SUBSCRIBED") wasLive = true;
      });
  }

  async leave(): Promise<void> {
    const channel = this.#channel;
    this.#channel = null;
    this.#tenant = null;
    if (channel) await session.supabase.removeChannel(channel);
  }

  /**
   * Calls `fn` after changes to any of `tables`, at most once per `every` ms and always once after the last one.
   * While the channel is down it polls instead. Returns the unsubscribe function.
   */
  on(tables: readonly string[], fn: () => void, every = 1000, pollEvery = 15_000): () => void {
    let last = 0;
    let timer: ReturnType<typeof setTimeout> | null = null;
    const fire = () => {
      timer = null;
      last = Date.now();
      if (document.visibilityState === "visible") fn();
      else pending = true;
    };
    let pending = false;
    const changed: Listener = () => {
      timer ??= setTimeout(fire, Math.max(60, last + every - Date.now()));
    };
    const shown = () => {
      if (document.visibilityState !== "visible" || !pending) return;
      pending = false;
      fire();
    };
    for (const table of tables) {
      const set = this.#listeners.get(table) ?? new Set();
      this.#listeners.set(table, set.add(changed));
    }
    document.addEventListener("visibilitychange", shown);
    const poll = setInterval(() => this.status !== "live" && this.online && changed(null), pollEvery);
    return () => {
      for (const table of tables) this.#listeners.get(table)?.delete(changed);
      document.removeEventListener("visibilitychange", shown);
      clearInterval(poll);
      if (timer) clearTimeout(timer);
    };
  }

  #emit(table: string, change: Change): void {
    for (const fn of this.#listeners.get(table) ?? []) fn(change);
  }
}

export const realtime = new Realtime();

if (typeof window !== "undefined") {
  addEventListener("online", () => (realtime.online = true));
  addEventListener("offline", () => (realtime.online = false));
}
