import { expect, it } from "vitest";
import { estimateDays } from "./check.ts";

it("the estimate is bound by the cap on sending days, or by the waits", () => {
  expect(estimateDays({ people: 500, steps: 1, wait_hours: 0, daily_cap: 50, days_a_week: 7 })).toBe(10);
  expect(estimateDays({ people: 500, steps: 1, wait_hours: 0, daily_cap: 50, days_a_week: 5 })).toBe(12);
  expect(estimateDays({ people: 10, steps: 3, wait_hours: 168, daily_cap: 50, days_a_week: 7 })).toBe(8);
  // One day's messages leave on one day, and a wait of minutes adds none.
  expect(estimateDays({ people: 19, steps: 1, wait_hours: 1 / 60, daily_cap: 50, days_a_week: 5 })).toBe(1);
});
