import { expect, it } from "vitest";
import { estimateDays } from "./check.ts";

it("the estimate is bound by the cap on sending days, or by the waits", () => {
  expect(estimateDays({ people: 500, steps: 1, wait_hours: 0, daily_cap: 50, days_a_week: 7 })).toBe(10);
  expect(estimateDays({ people: 500, steps: 1, wait_hours: 0, daily_cap: 50, days_a_week: 5 })).toBe(14);
  expect(estimateDays({ people: 10, steps: 3, wait_hours: 168, daily_cap: 50, days_a_week: 7 })).toBe(8);
});
