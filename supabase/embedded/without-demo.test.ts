import { expect, test } from "vitest";
import { testKernel } from "../../tests/support/kernel.ts";
import { withoutDemo } from "./without-demo.ts";

const off = testKernel(withoutDemo({ OVERTURE_MODULES_OFF: "analytics" }));
const on = testKernel({});

test("an installation without the demo boots, offers none, and has off what was off besides", async () => {
  const status = async (k: typeof on) => (await (await k.tenant()).api("POST", "/demo")).status;
  expect(off.kernel.registry.modules.map((m) => m.name)).not.toContain("demo");
  expect(off.kernel.registry.modules.map((m) => m.name)).not.toContain("analytics");
  expect(on.kernel.registry.modules.map((m) => m.name)).toEqual(expect.arrayContaining(["demo", "analytics"]));
  expect(await status(off)).toBe(404);
});
