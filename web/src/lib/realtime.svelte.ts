import type { RealtimeChannel } from "@supabase/supabase-js";
import { live } from "./data/client.ts";
import { session } from "./session.svelte.ts";

/** How often the page asks while the channel is down, in ms. */
const POLL = 15_000;

/** The team's private channel: one subscription, whose announcements (`{table, op, count, ids}`) refresh the cache. */
class Realtime {
  status = $state<"connecting" | "live" | "offline">("connecting");
  online = $state(typeof navigator === "undefined" ? true : navigator.onLine);
  #channel: RealtimeChannel | null = null;
  #tenant: string | null = null;
  #poll: ReturnType<typeof setInterval> | undefined;

  /** Joins the tenant's channel; joining the same tenant again does nothing. */
  async join(tenantId: string): Promise<void> {
    if (this.#tenant === tenantId) return;
    await this.leave();
    this.#tenant = tenantId;
    this.status = "connecting";
    this.#poll = setInterval(() => {
      if (this.status !== "live" && this.online) live.missed();
    }, POLL);
    await session.supabase.realtime.setAuth();
    this.#channel = session.supabase
      .channel(`tenant:${tenantId}`, { config: { private: true } })
      .on("broadcast", { event: "*" }, (message) => {
        const { table } = (message.payload ?? {}) as { table?: string };
        live.changed(table ?? message.event);
      })
      .subscribe((state) => {
        this.status = state === "SUBSCRIBED" ? "live" : "offline";
        // What was announced before, or while the channel was down, is not repeated.
        if (state === "SUBSCRIBED") live.missed();
      });
  }

  async leave(): Promise<void> {
    const channel = this.#channel;
    this.#channel = null;
    this.#tenant = null;
    clearInterval(this.#poll);
    if (channel) await session.supabase.removeChannel(channel);
  }
}

export const realtime = new Realtime();

if (typeof window !== "undefined") {
  addEventListener("online", () => {
    realtime.online = true;
    live.missed();
  });
  addEventListener("offline", () => (realtime.online = false));
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && live.shown());
}
