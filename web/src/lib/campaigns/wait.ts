import { plural } from "../format.ts";

export const weekdays = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"] as const;

export type WaitConfig = {
  hours?: number;
  days?: number;
  business_days?: number;
  /** ISO weekday (1 is Monday; null: any day) and HH:MM in the campaign's time zone. */
  until?: { weekday?: number | null; time: string };
};

/** "3 days", "2 business days, then until Mon 09:00": how a wait reads in a sequence. */
export function waitText({ hours, days, business_days, until }: WaitConfig): string {
  const parts = [
    days ? plural(days, "day") : "",
    business_days ? plural(business_days, "business day") : "",
    hours ? (hours < 1 ? plural(Math.max(1, Math.round(hours * 60)), "minute") : plural(hours, "hour")) : "",
  ].filter(Boolean);
  const end = until ? `until ${until.weekday ? `${weekdays[until.weekday - 1]} ` : ""}${until.time}` : "";
  if (parts.length === 0) return end ? `Wait ${end}` : "No wait";
  return `Wait ${parts.join(" and ")}${end ? `, then ${end}` : ""}`;
}
