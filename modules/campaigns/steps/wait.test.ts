import { describe, expect, it } from "vitest";
import { waitStep, waitUntil } from "./wait.ts";

const BERLIN = "Europe/Berlin";
const until = (config: Parameters<typeof waitUntil>[0], from: string, zone = BERLIN) =>
  waitUntil(config, new Date(from), zone).toISOString();

describe("a wait of hours", () => {
  it("is time that passes, whatever the clock does", () => {
    expect(until({ hours: 24 }, "2026-03-28T11:00:00Z")).toBe("2026-03-29T11:00:00.000Z");
    expect(until({ hours: 24 }, "2026-10-24T10:00:00Z")).toBe("2026-10-25T10:00:00.000Z");
    expect(until({ hours: 0.5 }, "2026-06-01T10:00:00Z")).toBe("2026-06-01T10:30:00.000Z");
  });
});

describe("a wait of days", () => {
  it("keeps the time of day on the zone's clock over a change of it, both ways", () => {
    // 12:00 on Saturday to 12:00 on Sunday: 23 hours in spring, 25 in autumn.
    expect(until({ days: 1 }, "2026-03-28T11:00:00Z")).toBe("2026-03-29T10:00:00.000Z");
    expect(until({ days: 1 }, "2026-10-24T10:00:00Z")).toBe("2026-10-25T11:00:00.000Z");
    expect(until({ days: 7 }, "2026-03-25T11:00:00Z")).toBe("2026-04-01T10:00:00.000Z");
  });

  it("that ends at a time the clock leaves out ends at that time as counted before the change", () => {
    // 02:30 does not exist on 29 March: counted in winter time it is 03:30 in summer time.
    expect(until({ days: 1 }, "2026-03-28T01:30:00Z")).toBe("2026-03-29T01:30:00.000Z");
  });

  it("that ends at a time the clock shows twice ends at one of the two, and not before it began", () => {
    const end = until({ days: 1 }, "2026-10-24T00:30:00Z"); // 02:30 in summer time
    expect(["2026-10-25T00:30:00.000Z", "2026-10-25T01:30:00.000Z"]).toContain(end);
  });

  it("keeps seconds and their fractions", () => {
    expect(until({ days: 2 }, "2026-06-01T10:11:12.345Z")).toBe("2026-06-03T10:11:12.345Z");
  });
});

describe("a wait of business days", () => {
  it("counts Monday to Friday, from whichever day it begins", () => {
    // 5 June 2026 is a Friday.
    expect(until({ business_days: 1 }, "2026-06-05T13:00:00Z")).toBe("2026-06-08T13:00:00.000Z");
    expect(until({ business_days: 1 }, "2026-06-06T13:00:00Z")).toBe("2026-06-08T13:00:00.000Z");
    expect(until({ business_days: 1 }, "2026-06-07T13:00:00Z")).toBe("2026-06-08T13:00:00.000Z");
    expect(until({ business_days: 5 }, "2026-06-03T13:00:00Z")).toBe("2026-06-10T13:00:00.000Z");
    expect(until({ business_days: 10 }, "2026-06-03T13:00:00Z")).toBe("2026-06-17T13:00:00.000Z");
  });

  it("means the day of the campaign's zone, not of UTC", () => {
    // Friday 23:30 in UTC is Saturday 01:30 in Berlin: the next business day is Monday, at 01:30 there.
    expect(until({ business_days: 1 }, "2026-06-05T23:30:00Z")).toBe("2026-06-07T23:30:00.000Z");
    expect(until({ business_days: 1 }, "2026-06-05T23:30:00Z", "UTC")).toBe("2026-06-08T23:30:00.000Z");
  });

  it("keeps the time of day over a change of the clock", () => {
    // Friday 27 March 10:00 winter time to Monday 10:00 summer time, and back in October.
    expect(until({ business_days: 1 }, "2026-03-27T09:00:00Z")).toBe("2026-03-30T08:00:00.000Z");
    expect(until({ business_days: 1 }, "2026-10-23T08:00:00Z")).toBe("2026-10-26T09:00:00.000Z");
  });
});

describe("a wait until a weekday and time", () => {
  const monday9 = { until: { weekday: 1, time: "09:00" } };

  it("ends at the next such moment: also the same day, and at once when it is that moment", () => {
    expect(until(monday9, "2026-06-03T10:00:00Z")).toBe("2026-06-08T07:00:00.000Z");
    expect(until(monday9, "2026-06-08T06:59:59.999Z")).toBe("2026-06-08T07:00:00.000Z");
    expect(until(monday9, "2026-06-08T07:00:00Z")).toBe("2026-06-08T07:00:00.000Z");
    expect(until(monday9, "2026-06-08T07:00:00.001Z")).toBe("2026-06-15T07:00:00.000Z");
  });

  it("without a weekday means the next such time of any day", () => {
    const nine = { until: { weekday: null, time: "09:00" } };
    expect(until(nine, "2026-06-03T06:00:00Z")).toBe("2026-06-03T07:00:00.000Z");
    expect(until(nine, "2026-06-03T08:00:00Z")).toBe("2026-06-04T07:00:00.000Z");
  });

  it("follows the rest of the wait", () => {
    expect(until({ days: 3, ...monday9 }, "2026-06-05T10:00:00Z")).toBe("2026-06-15T07:00:00.000Z");
    expect(until({ hours: 48, until: { weekday: 3, time: "08:00" } }, "2026-06-01T10:00:00Z")).toBe(
      "2026-06-10T06:00:00.000Z",
    );
  });

  it("is the time on the clock after a change of it, both ways", () => {
    expect(until(monday9, "2026-03-27T11:00:00Z")).toBe("2026-03-30T07:00:00.000Z");
    expect(until(monday9, "2026-10-23T11:00:00Z")).toBe("2026-10-26T08:00:00.000Z");
    // Sunday 02:30, which is left out in spring and shown twice in autumn.
    const sunday = { until: { weekday: 7, time: "02:30" } };
    expect(until(sunday, "2026-03-27T11:00:00Z")).toBe("2026-03-29T01:30:00.000Z");
    expect(["2026-10-25T00:30:00.000Z", "2026-10-25T01:30:00.000Z"]).toContain(until(sunday, "2026-10-23T11:00:00Z"));
  });
});

it("no wait ends before it begins, and days and until end at the time of day they name, all year round in every kind of zone", () => {
  let shifted = 0;
  for (const zone of [
    BERLIN,
    "America/New_York",
    "Asia/Kolkata",
    "Africa/Cairo",
    "Australia/Lord_Howe",
    "Pacific/Apia",
  ]) {
    const format = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", minute: "2-digit" });
    for (let n = 0; n < 300; n++) {
      const from = new Date(Date.UTC(2026, 0, 1, 0, 10) + n * 29 * 3_600_000);
      const label = `${zone} ${from.toISOString()}`;
      const days = waitUntil({ days: (n % 9) + 1 }, from, zone);
      const nine = waitUntil({ until: { weekday: (n % 7) + 1, time: "09:00" } }, from, zone);
      for (const end of [days, nine, waitUntil({ business_days: (n % 6) + 1 }, from, zone)])
        expect(end.getTime(), label).toBeGreaterThanOrEqual(from.getTime());
      expect(format.format(nine), label).toBe("09:00");
      // Only where the clock leaves that time out is it another one.
      if (format.format(days) !== format.format(from)) shifted++;
    }
  }
  expect(shifted).toBeLessThan(10);
});

it("a wait without a length is refused", () => {
  const faults = (config: object) =>
    waitStep.check!(waitStep.config.parse(config), { customKeys: new Set(), first: false });
  expect(faults({})).toMatchObject([{ field: "hours", level: "error", id: "wait_empty" }]);
  for (const config of [{ hours: 1 }, { days: 1 }, { business_days: 1 }, { until: { time: "09:00" } }])
    expect(faults(config)).toEqual([]);
  for (const config of [
    { hours: -1 },
    { days: 1.5 },
    { days: 366 },
    { until: { weekday: 8, time: "09:00" } },
    { until: { weekday: 1, time: "9:00" } },
  ])
    expect(waitStep.config.safeParse(config).success, JSON.stringify(config)).toBe(false);
});
