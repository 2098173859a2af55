import { expect, test } from "vitest";
import { importer } from "../../../tests/support/import-file.ts";
import { testKernel } from "../../../tests/support/kernel.ts";
import { requireZone } from "./time.ts";
import { CURRENT_ZONES, zoneOf, ZONES } from "./zones.ts";

const k = testKernel();

test("every zone of the list is read alike by the database and the runtime, and the short names that are not are left out", async () => {
  const known = await k.sql<{ name: string }[]>`select name from pg_timezone_names`;
  const names = known.map((row) => row.name);
  expect(ZONES.filter((zone) => !names.includes(zone))).toEqual([]);
  // Eleven years that are over: of years to come the two may know different laws, as old as their data.
  const instants = Array.from({ length: 11 * 53 }, (_, week) =>
    new Date(Date.UTC(2015, 0, 1 + week * 7, 5, 30)).toISOString(),
  );
  const differs = async (zone: string) => {
    const rows = await k.sql<{ t: string }[]>`
      select to_char(i::timestamptz at time zone ${zone}, 'YYYY-MM-DD HH24:MI:SS') as t
      from unnest(${instants}::text[]) with ordinality x(i, n) order by n`;
    const format = new Intl.DateTimeFormat("sv", { timeZone: zone, dateStyle: "short", timeStyle: "medium" });
    return rows.some((row, i) => row.t !== format.format(new Date(instants[i]!)));
  };
  const wrong: string[] = [];
  for (const zone of ZONES) if (await differs(zone)) wrong.push(zone);
  expect(wrong).toEqual([]);
  // What would show a list made without looking: Postgres takes these for offsets that know no summer.
  for (const zone of ["CET", "EET", "MET", "WET"]) expect([await differs(zone), zoneOf(zone)]).toEqual([true, null]);
  // Whatever both know under a name with a place is in the list.
  const both = names.filter((name) => /^(?!posix|right)\w+\//.test(name) && isKnown(name));
  expect(both.filter((name) => zoneOf(name) === null)).toEqual([]);
}, 120_000);

const isKnown = (zone: string): boolean => {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: zone }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
};

test("a name that the two do not read alike is 422 and names the field, for campaigns, contacts and senders", async () => {
  const t = await k.tenant();
  const connection = await t.api("POST", "/connections", {
    provider: "postmark",
    name: "P",
    credentials: { server_token: "token-123456" },
  });
  const step = { kind: "email", subject: "s", body: "b" };
  for (const time_zone of [
    "CAT",
    "IST",
    "AET",
    "ACT",
    "ART",
    "AST",
    "CET",
    "EST",
    "+02:00",
    "Etc/Unknown",
    "localtime",
    "Europe/Berlin2",
  ]) {
    const campaign = await t.api("POST", "/campaigns", { name: "C", settings: { time_zone }, steps: [step] });
    expect([campaign.status, campaign.body.errors?.[0]?.pointer], time_zone).toEqual([422, "/settings/time_zone"]);
    const contact = await t.api("POST", "/contacts", { email: "ada@example.com", time_zone });
    expect([contact.status, contact.body.errors?.[0]?.pointer], time_zone).toEqual([422, "/time_zone"]);
    const sender = await t.api("POST", "/senders", {
      connection_id: connection.body.id,
      address: "a@example.com",
      time_zone,
    });
    expect([sender.status, sender.body.errors?.[0]?.pointer], time_zone).toEqual([422, "/time_zone"]);
  }
  const { ended, people } = await importer(k)(t, "email,timezone\nada@example.com,IST\nbob@example.com,asia/kolkata\n");
  expect(ended).toMatchObject({ created: 2, rejected: 0, warnings: 1 });
  expect(people.map((p) => p.time_zone)).toEqual([null, "Asia/Kolkata"]);
});

test("a zone that the database is too old to know is refused, naming the field, before anything calculates in it", async () => {
  const t = await k.tenant();
  // No real list has it, and no database: as with a zone that only one of them has.
  await expect(t.run((ctx) => requireZone(ctx, "Mars/Olympus_Mons", "/settings/time_zone"))).rejects.toMatchObject({
    code: "invalid",
    errors: [{ pointer: "/settings/time_zone" }],
  });
  await t.run((ctx) => requireZone(ctx, "Europe/Berlin", "/settings/time_zone"));
});

test("a zone has one spelling, and what pickers offer is in the catalogue", async () => {
  const t = await k.tenant();
  const made = await t.api("POST", "/campaigns", {
    name: "C",
    settings: { time_zone: "europe/BERLIN" },
    steps: [{ kind: "email", subject: "s", body: "b" }],
  });
  expect(made.body.settings.time_zone).toBe("Europe/Berlin");
  const entries = (await t.api("GET", "/catalogue")).body.lists.time_zone as { value: string; traits?: string[] }[];
  expect(entries.filter((e) => e.traits?.includes("current")).map((e) => e.value)).toEqual(CURRENT_ZONES);
  expect(new Set(entries.map((e) => e.value))).toEqual(new Set(ZONES));
});
