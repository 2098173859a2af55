import type { Connection } from "../kernel/provider.ts";

/** Calls a second on a connection: the provider's documented rate, unless the connection's setting says otherwise (a bigger plan). */
export function ratePerSecond({ settings }: Pick<Connection<unknown>, "settings">, documented: number): number {
  const own = Number(settings.per_second);
  return Number.isFinite(own) && own > 0 ? own : documented;
}
