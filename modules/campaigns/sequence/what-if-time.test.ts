import { describe, expect, it } from "vitest";
import { settlePlans } from "../../../tests/support/campaigns.ts";
import { testKernel } from "../../../tests/support/kernel.ts";
import { applyGuards, claim, email, hours, hoursUntil, settle, story } from "../../../tests/support/sequences.ts";
import { waitUntil } from "../steps/wait.ts";

/** Pauses, windows, holidays and changes of the clock. docs/concepts/sequences.md tells the same in words. */

const t = testKernel();
/** ISO weekday so many days from now, in UTC. */
const weekday = (days: number) => new Date(Date.now() + days * 86_400_000).getUTCDay() || 7;
const date = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);
const opening = async (settings: object, after: string): Promise<string> =>
  (
    await t.sql<
      { at: Date }[]
    >`select private.next_opening(${t.sql.json(settings as never)}, ${after}::timestamptz) as at`
  )[0]!.at.toISOString();

describe("a pause", () => {
  it("over the end of a window: what was planned waits for the window to open again, and leaves once", async () => {
    const tenant = await t.tenant();
    const k = await story(t, tenant, [email("A")], ["ada@acme.test", "bob@acme.test"]);
    await k.plan();
    const first = await claim(tenant, k.connectionId);
    expect(first).toHaveLength(2);
    await settle(tenant, [first[1]!.id], "retry");
    const paused = await tenant.api("POST", `/campaigns/${k.id}/pause`);
    expect(paused.body).toMatchObject({ in_flight: 1, campaign: { status: "paused" } });
    await settle(tenant, [first[0]!.id], "sent");
    expect(await claim(tenant, k.connectionId)).toEqual([]);
    await applyGuards(tenant);
    await settlePlans(t, tenant);
    expect(await k.lead(first[1]!.to_address)).toMatchObject({
      status: "sending",
      waits_for: "campaign",
      reason_code: "campaign_paused",
    });
    // Meanwhile the window closed: it opens tomorrow.
    await tenant.api("PATCH", `/campaigns/${k.id}`, {
      settings: { window: { days: [weekday(1)], start: "00:00", end: "23:59" } },
    });
    expect((await tenant.api("POST", `/campaigns/${k.id}/resume`)).status).toBe(200);
    await settlePlans(t, tenant);
    expect(await claim(tenant, k.connectionId)).toEqual([]);
    await applyGuards(tenant);
    const waiting = await k.lead(first[1]!.to_address);
    expect(waiting).toMatchObject({ status: "sending", waits_for: "window", reason_code: "outside_window" });
    expect(waiting.next_at!.slice(0, 10)).toBe(date(1));
    await tenant.api("PATCH", `/campaigns/${k.id}`, { settings: { window: null } });
    await settlePlans(t, tenant);
    await k.go();
    expect(await k.sent()).toEqual(["A", "A"]);
  });

  it("does not stop a wait: what became due meanwhile is planned when the campaign goes on", async () => {
    const tenant = await t.tenant();
    const k = await story(t, tenant, [email("A"), hours(24), email("B")]);
    await k.go();
    await tenant.api("POST", `/campaigns/${k.id}/pause`);
    await k.pass(30);
    await k.go();
    expect(await k.sent()).toEqual(["A"]);
    expect(await k.lead()).toMatchObject({ waits_for: "campaign", reason_code: "campaign_paused" });
    await tenant.api("POST", `/campaigns/${k.id}/resume`);
    await k.go();
    expect(await k.sent()).toEqual(["A", "B"]);
  });
});

describe("a holiday", () => {
  it("in skip_dates: nothing is planned or leaves on it, and people are told the day after", async () => {
    const tenant = await t.tenant();
    const k = await story(t, tenant, [email("A")], ["ada@acme.test"], { settings: { skip_dates: [date(0)] } });
    await k.go();
    const waiting = await k.lead();
    expect(waiting).toMatchObject({
      status: "waiting",
      waits_for: "window",
      reason_code: "outside_window",
      next_at: `${date(1)}T00:00:00.000Z`,
    });
    expect(await k.messages()).toEqual([]);
  });

  it("named while messages are planned: they wait for the day after, and leave when it is taken back", async () => {
    const tenant = await t.tenant();
    const k = await story(t, tenant, [email("A")]);
    await k.plan();
    await tenant.api("PATCH", `/campaigns/${k.id}`, { settings: { skip_dates: [date(0)] } });
    expect(await claim(tenant, k.connectionId)).toEqual([]);
    await applyGuards(tenant);
    expect(await k.lead()).toMatchObject({ waits_for: "window", next_at: `${date(1)}T00:00:00.000Z` });
    await tenant.api("PATCH", `/campaigns/${k.id}`, { settings: { skip_dates: [] } });
    await k.go();
    expect(await k.sent()).toEqual(["A"]);
  });

  it("next to a weekend: the window opens on the first day that is neither", async () => {
    // 2026-12-24 is a Thursday.
    const settings = {
      time_zone: "Europe/Berlin",
      window: { days: [1, 2, 3, 4, 5], start: "09:00", end: "17:00" },
      skip_dates: ["2026-12-25", "2026-12-28"],
    };
    expect(await opening(settings, "2026-12-24T17:00:00+01:00")).toBe("2026-12-29T08:00:00.000Z");
  });

  it("every day for ten weeks: the first day after them is told, and the reason stays true", async () => {
    const tenant = await t.tenant();
    const k = await story(t, tenant, [email("A")]);
    await k.plan();
    await tenant.api("PATCH", `/campaigns/${k.id}`, {
      settings: { skip_dates: Array.from({ length: 70 }, (_, i) => date(i)) },
    });
    await applyGuards(tenant);
    expect(await k.lead()).toMatchObject({
      status: "sending",
      waits_for: "window",
      next_at: `${date(70)}T00:00:00.000Z`,
      reason_code: "outside_window",
    });
    await tenant.api("PATCH", `/campaigns/${k.id}`, { settings: { skip_dates: [] } });
    await k.go();
    expect(await k.sent()).toEqual(["A"]);
  });
});

describe("a change of the clock", () => {
  const zone = "Europe/Berlin"; // 2026-03-29: 02:00 becomes 03:00; 2026-10-25: 03:00 becomes 02:00.

  it("keeps a window's hours on the local clock", async () => {
    const settings = { time_zone: zone, window: { days: [1, 2, 3, 4, 5, 6, 7], start: "09:00", end: "17:00" } };
    expect(await opening(settings, "2026-03-28T18:00:00+01:00")).toBe("2026-03-29T07:00:00.000Z");
    expect(await opening(settings, "2026-10-24T18:00:00+02:00")).toBe("2026-10-25T08:00:00.000Z");
  });

  it("opens a window whose start the clock leaves out when the clock goes on", async () => {
    const settings = { time_zone: zone, window: { days: [7], start: "02:30", end: "05:00" } };
    const opens = await opening(settings, "2026-03-28T18:00:00+01:00");
    const [row] =
      await t.sql`select private.in_window(${t.sql.json(settings as never)}, ${opens}::timestamptz) as open`;
    expect(row!.open).toBe(true);
    expect(opens).toBe("2026-03-29T01:30:00.000Z");
  });

  it("keeps the time of day over days; hours are hours", () => {
    const from = new Date("2026-03-28T09:00:00+01:00");
    expect(waitUntil({ days: 1 }, from, zone).toISOString()).toBe("2026-03-29T07:00:00.000Z");
    expect(waitUntil({ hours: 24 }, from, zone).toISOString()).toBe("2026-03-29T08:00:00.000Z");
    expect(waitUntil({ business_days: 1 }, from, zone).toISOString()).toBe("2026-03-30T07:00:00.000Z");
    expect(
      waitUntil({ until: { weekday: 7, time: "09:00" } }, new Date("2026-10-24T12:00:00+02:00"), zone).toISOString(),
    ).toBe("2026-10-25T08:00:00.000Z");
  });

  it("never ends a wait before it began, whichever hour of the change it began in", () => {
    for (let minute = 0; minute < 24 * 60; minute += 15)
      for (const day of ["2026-03-29", "2026-10-25"]) {
        const from = new Date(Date.parse(`${day}T00:00:00Z`) + minute * 60_000 - 6 * 3_600_000);
        for (const config of [
          { hours: 0 },
          { days: 0, until: { weekday: null, time: "02:30" } },
          { days: 1 },
          { until: { weekday: 7, time: "02:30" } },
        ])
          expect(waitUntil(config, from, zone).getTime()).toBeGreaterThanOrEqual(from.getTime());
      }
  });
});

it("a wait in days ends for the person at the hour it began, in the campaign's zone", async () => {
  const tenant = await t.tenant();
  const k = await story(t, tenant, [email("A"), { kind: "wait", days: 2 }, email("B")], ["ada@acme.test"], {
    settings: { time_zone: "Asia/Kolkata" },
  });
  await k.go();
  expect(hoursUntil((await k.lead()).next_at)).toBeCloseTo(48, 1);
});

it("a time zone the database knows no longer keeps no other team from being woken", async () => {
  const teams = [await t.tenant(), await t.tenant()];
  const campaigns: string[] = [];
  for (const tenant of teams) {
    const k = await story(t, tenant, [hours(1), email("A")]);
    await k.go();
    await tenant.api("POST", `/campaigns/${k.id}/pause`);
    await k.pass(2);
    campaigns.push(k.id);
  }
  const ids = teams.map((tenant) => tenant.id);
  // In one transaction, so that no other suite's schedule or worker sees it.
  const woken = await t.sql.begin(async (tx) => {
    await tx`update public.campaigns set status = 'running' where id = any(${campaigns}::uuid[])`;
    await tx`update public.campaigns set settings = settings || '{"time_zone": "Europe/Gone"}' where id = ${campaigns[0]!}`;
    await tx`select private.wake_planning(), private.wake_releasing()`;
    const rows = await tx<{ team: string }[]>`
      delete from pgmq.q_campaigns_plan q where q.message ->> 'tenant_id' = any(${ids}) returning q.message ->> 'tenant_id' as team`;
    await tx`update public.campaigns set status = 'paused', settings = settings || '{"time_zone": "UTC"}' where id = any(${campaigns}::uuid[])`;
    return rows.map((r) => r.team);
  });
  expect(woken.toSorted()).toEqual(ids.toSorted());
});

it("a time zone is one that JavaScript and the database read alike: by an unknown one everybody's planning would stop", async () => {
  const tenant = await t.tenant();
  const { id } = await story(t, tenant, [email("A")]);
  // AGT and US/Pacific-New are known to JavaScript alone; IST is India to it, and Israel to Postgres.
  for (const time_zone of ["AGT", "IST", "US/Pacific-New"]) {
    const settings = { time_zone };
    for (const { status, body } of [
      await tenant.api("PATCH", `/campaigns/${id}`, { settings }),
      await tenant.api("PUT", `/campaigns/${id}`, { name: "Zoned", settings }),
      await tenant.api("POST", "/campaigns", { name: "Zoned", settings }),
    ])
      expect([time_zone, status, body.errors?.[0].pointer]).toEqual([time_zone, 422, "/settings/time_zone"]);
  }
});
