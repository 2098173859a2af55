import { afterAll, beforeAll, expect, test } from "vitest";
import { manySenders } from "../../bench/many-senders.ts";
import { openWorld, type World } from "../../bench/world.ts";
import { takeDue } from "../../modules/campaigns/plan/take.ts";
import { rowsReadBy } from "./rows-read.ts";

// Many senders share a campaign, and nearly everybody waits for a limit that is used up. Who waits for a limit costs the planner nothing,
// however many they are: counted in rows read, not in time.

const SENDERS = 200;
const ROOM = 20;
let world: World;

beforeAll(async () => {
  world = await openWorld();
}, 120_000);
afterAll(async () => await world?.close());

/** A running campaign of 200 senders, of which one has room, with so many people due for each. */
async function waiting(peopleEach: number) {
  const team = await world.team(`Waits ${peopleEach}`);
  await manySenders(world.admin, team.id, { senders: SENDERS, peopleEach, cap: ROOM, used: true });
  return team.id;
}

/** Rows that one look of the planner reads, and whom it takes. */
async function look(tenantId: string): Promise<{ taken: number; rows: number }> {
  return await world.kernel.run({ actor: { kind: "job", name: "growth" }, tenantId }, async (ctx) => {
    let taken = 0;
    const rows = await rowsReadBy(ctx.db, ["enrollments"], async () => {
      taken = (await takeDue(ctx)).due.length;
    });
    return { taken, rows };
  });
}

test(
  "people who wait for a used limit cost the planner nothing, however many they are",
  { timeout: 300_000 },
  async () => {
    const [few, many] = [await waiting(25), await waiting(250)];
    const [small, large] = [await look(few), await look(many)];
    expect([small.taken, large.taken], "the one sender with room").toEqual([ROOM, ROOM]);
    expect(large.rows).toBeLessThan(small.rows + 100);
    expect(large.rows).toBeLessThan(ROOM * 20);
  },
);
