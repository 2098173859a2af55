import { expect, test } from "vitest";
import { testKernel } from "../../tests/support/kernel.ts";

const t = testKernel();

test("the team's name and settings change key by key, and null removes one", async () => {
  const tenant = await t.tenant();
  const first = { name: "Renamed", settings: { reply_stops: "company", track_opens: false } };
  expect((await tenant.api("PATCH", "/tenant", first)).status).toBe(200);
  const { body } = await tenant.api("PATCH", "/tenant", { settings: { reply_stops: null, track_clicks: true } });
  expect([body.name, body.settings]).toEqual(["Renamed", { track_opens: false, track_clicks: true }]);
  for (const reply_stops of ["campaign", "contact", "company"]) {
    const answer = await tenant.api("PATCH", "/tenant", { settings: { reply_stops } });
    expect([answer.status, answer.body.settings.reply_stops]).toEqual([200, reply_stops]);
  }
});

test("a setting that nothing reads, or a value that does not fit, is refused with its place and the fix, and nothing is changed", async () => {
  const tenant = await t.tenant();
  const refused = await tenant.api("PATCH", "/tenant", {
    name: "Renamed",
    settings: {
      reply_stops: "everything",
      track_opens: "yes",
      track_clicks: false,
      track_thoughts: true,
      "a/b": null,
      constructor: null,
    },
  });
  expect(refused.status).toBe(422);
  const unknown = `is no setting of the team; there are ${[...t.kernel.registry.settings.keys()].sort().join(", ")}`;
  expect(refused.body.errors).toEqual([
    { pointer: "/settings/reply_stops", detail: "use campaign, contact or company" },
    { pointer: "/settings/track_opens", detail: expect.stringContaining("boolean") },
    { pointer: "/settings/track_thoughts", detail: unknown },
    { pointer: "/settings/a~1b", detail: unknown },
    { pointer: "/settings/constructor", detail: unknown },
  ]);
  const { body } = await tenant.api("GET", "/tenant");
  expect(body.settings).toEqual({});
  expect(body.name).not.toBe("Renamed");
});

test("a setting that was stored before and is known no longer can be removed", async () => {
  const tenant = await t.tenant();
  await t.sql`update public.tenants set settings = '{"old": 1, "track_opens": false}' where id = ${tenant.id}`;
  const { status, body } = await tenant.api("PATCH", "/tenant", { settings: { old: null } });
  expect([status, body.settings]).toEqual([200, { track_opens: false }]);
});
