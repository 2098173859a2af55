import { z } from "zod";
import { defineStep } from "../../kernel/step.ts";

const Clock = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, "must be a time of day, e.g. 09:00");

/** Waits: for a time, or until a weekday and time. Counted from when the person came to this step, in the campaign's time zone. */
export const waitStep = defineStep({
  kind: "wait",
  label: "Wait",
  description: "Waits for hours or days, or until a weekday and time.",
  action: null,
  config: z.object({
    hours: z.number().min(0).max(8760).optional().meta({ title: "Hours" }),
    days: z.number().int().min(0).max(365).optional().meta({ title: "Days" }),
    business_days: z.number().int().min(0).max(260).optional().meta({
      title: "Business days",
      description: "Monday to Friday.",
    }),
    until: z
      .strictObject({ weekday: z.number().int().min(1).max(7).nullable().default(null), time: Clock })
      .optional()
      .meta({
        title: "Until",
        description:
          "ISO weekday (1 is Monday; null: any day) and time of day, counted after the other parts of the wait.",
      }),
  }),
  branches: () => ["next"],
  check: (config) =>
    [config.hours, config.days, config.business_days, config.until].every((v) => v === undefined)
      ? [
          {
            field: "hours",
            level: "error",
            id: "wait_empty",
            detail: "Give the length of the wait: hours, days, business_days or until.",
          },
        ]
      : [],
  plan: (runs, ctx) =>
    Promise.resolve(
      runs.map(({ config, entered_at, time_zone }) => {
        const until = waitUntil(config, entered_at, time_zone);
        return until.getTime() > ctx.now.getTime() ? { do: "wait" as const, until } : { do: "next" as const };
      }),
    ),
});

export type WaitConfig = {
  hours?: number | undefined;
  days?: number | undefined;
  business_days?: number | undefined;
  until?: { weekday: number | null; time: string } | undefined;
};

/** When a wait that began at `from` is over. Days keep the time of day on the zone's clock, also over a change of it. */
export function waitUntil(config: WaitConfig, from: Date, zone: string): Date {
  let at = new Date(from.getTime() + (config.hours ?? 0) * 3_600_000);
  const days = config.days ?? 0;
  const business = config.business_days ?? 0;
  if (days > 0 || business > 0) {
    const local = localTime(at, zone);
    let day = addDays(local.day, days);
    for (let left = business; left > 0;) {
      day = addDays(day, 1);
      if (weekdayOf(day) <= 5) left--;
    }
    at = instant(day, local.clock, zone);
  }
  if (config.until) {
    const local = localTime(at, zone);
    for (let i = 0; i <= 7; i++) {
      const day = addDays(local.day, i);
      if (config.until.weekday !== null && weekdayOf(day) !== config.until.weekday) continue;
      const candidate = instant(day, `${config.until.time}:00.000`, zone);
      if (candidate.getTime() >= at.getTime()) return candidate;
    }
  }
  return at;
}

/** Calendar days as YYYY-MM-DD, counted in UTC where none is missing. */
const addDays = (day: string, n: number): string =>
  new Date(Date.parse(`${day}T00:00:00Z`) + n * 86_400_000).toISOString().slice(0, 10);
const weekdayOf = (day: string): number => ((new Date(`${day}T00:00:00Z`).getUTCDay() + 6) % 7) + 1;

const formats = new Map<string, Intl.DateTimeFormat>();
function localTime(at: Date, zone: string): { day: string; clock: string } {
  let format = formats.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat("en-CA", {
      timeZone: zone,
      hourCycle: "h23",
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
      fractionalSecondDigits: 3,
    });
    formats.set(zone, format);
  }
  const part = Object.fromEntries(format.formatToParts(at).map((p) => [p.type, p.value]));
  return {
    day: `${part.year}-${part.month}-${part.day}`,
    clock: `${part.hour}:${part.minute}:${part.second}.${part.fractionalSecond}`,
  };
}

/** The moment at which the zone's clock shows this. A time that the clock leaves out (spring) is the same time before the change. */
function instant(day: string, clock: string, zone: string): Date {
  const wanted = Date.parse(`${day}T${clock}Z`);
  let guess = wanted;
  // Twice: the offset at the first guess may be that of the other side of a change.
  for (let i = 0; i < 2; i++) {
    const shown = localTime(new Date(guess), zone);
    guess += wanted - Date.parse(`${shown.day}T${shown.clock}Z`);
  }
  return new Date(guess);
}
