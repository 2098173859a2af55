import { takeDue } from "../modules/campaigns/plan/take.ts";
import type { Ctx } from "../modules/kernel/context.ts";
import { type Figure, percentile, ratioFigure } from "./figure.ts";
import { manySenders } from "./many-senders.ts";
import { inWorld, type World } from "./world.ts";

/** What the planner and the sender do all day, for a campaign of 200 senders: with a million people in it against ten thousand. */

const SENDERS = 200;
const ROUNDS = 20;
/** Thrown at the end of each round, so that the next finds the same. */
const UNDO = new Error("undone");

const ACTS: Record<string, (ctx: Ctx, connection: string) => Promise<number>> = {
  plan: async (ctx) => (await takeDue(ctx)).due.length,
  claim: async ({ db }, connection) => (await db`select id from private.claim_messages(100, 60, ${connection})`).length,
};

export const claims = (people = 1_000_000): Promise<Figure[]> =>
  inWorld({}, async (world) => {
    const [few, many] = [await team(world, "Few", people / 100), await team(world, "Many", people)];
    const figures: Figure[] = [];
    for (const [name, act] of Object.entries(ACTS)) {
      const [few_ms, many_ms] = [await p95(world, few, act), await p95(world, many, act)];
      figures.push(
        ratioFigure(`claims_${name}`, many_ms / few_ms, "<= 1.5", { people, senders: SENDERS, few_ms, many_ms }),
      );
    }
    return figures;
  });

async function team({ admin, team: make }: World, name: string, people: number) {
  const { id } = await make(name);
  const connection = await manySenders(admin, id, {
    senders: SENDERS,
    peopleEach: people / SENDERS,
    queuedEach: 20,
    cap: 100,
  });
  return { id, connection };
}

async function p95(
  { kernel }: World,
  of: Awaited<ReturnType<typeof team>>,
  act: (typeof ACTS)[string],
): Promise<number> {
  const times: number[] = [];
  for (let round = -2; round < ROUNDS; round++) {
    await kernel
      .run({ actor: { kind: "job", name: "bench" }, tenantId: of.id }, async (ctx) => {
        const started = performance.now();
        const taken = await act(ctx, of.connection);
        if (round >= 0) times.push(performance.now() - started);
        throw taken > 0 ? UNDO : new Error("Nobody was taken.");
      })
      .catch((error: unknown) => {
        if (error !== UNDO) throw error;
      });
  }
  return Math.round(percentile(times, 0.95) * 10) / 10;
}
