import { drainOnce } from "../modules/kernel/queues/drain.ts";
import type { Connection } from "../modules/kernel/provider.ts";
import { uuid7 } from "../modules/kernel/database/ids.ts";
import { enrichmentRun } from "../modules/enrichment/work.ts";
import { sandboxDataProviders } from "../modules/demo/people.ts";
import type { Kind, Question } from "../modules/providers/enrichment/vocabulary.ts";
import { type Figure, ratioFigure, seconds } from "./figure.ts";
import { inWorld, type World } from "./world.ts";

/**
 * A run over contacts of 200 companies at two data providers of the sandbox (one answers a hundred questions a call, the other one), against
 * a bare loop that puts the same questions to the same adapters with as many calls at a time and keeps nothing.
 */

const CONCURRENCY = 10;
const LETTERS = "abcdefghijklmnopqrstuvwxyz";
/** Names of letters alone, which the sandbox's directory reads as names. */
const word = (n: number): string => [...String(n)].map((d) => LETTERS[Number(d)]).join("");
const addressOf = (n: number): string => `ann${word(n)}.berg@c${word(n % 200)}.example`;

export const enrichment = (contacts = 1000): Promise<Figure[]> =>
  inWorld({ services: { sandbox: true } }, async (world) => {
    await run(world, 100);
    const ours = await run(world, contacts);
    const bare = await bareLoop(world, contacts);
    return [
      ratioFigure("enrichment", bare.took / ours.took, ">= 0.3", {
        contacts,
        contacts_per_s: Math.round(contacts / ours.took),
        bare_contacts_per_s: Math.round(contacts / bare.took),
        questions: ours.calls,
        bare_questions: bare.questions,
        cost_usd: ours.cost_usd,
      }),
    ];
  });

async function run({ kernel, admin, stack, team, call }: World, contacts: number) {
  const me = await team("Enrichment");
  const order: Record<string, { connection_id: string }[]> = { person: [], company: [], email: [] };
  for (const { provider, name, credentials, kinds } of sandboxDataProviders()) {
    const { id } = await call(me, "POST", "/connections", {
      provider,
      name,
      credentials,
      base_url: `${stack.env.OVERTURE_SANDBOX_URL}/${provider}`,
    });
    await call(me, "POST", `/connections/${id}/check`);
    await call(me, "POST", `/connections/${id}/activate`);
    // The provider's rate would be all that is measured.
    await admin`update public.connections set settings = settings || '{"per_second":100000}' where id = ${id}`;
    for (const kind of kinds) order[kind]!.push({ connection_id: id });
  }
  await call(me, "PUT", "/enrichment/sources", { order });
  const rows = Array.from({ length: contacts }, (_, n) => ({ id: uuid7(), email: addressOf(n) }));
  await admin`
    insert into public.contacts (tenant_id, id, email)
    select ${me.id}::uuid, r.id, r.email from jsonb_to_recordset(${admin.json(rows)}) as r(id uuid, email text)`;
  let last = { status: "", calls: 0, cost_micros: 0, counts: { done: 0 } };
  const took = await seconds(async () => {
    const { id } = await call(me, "POST", "/enrichment/runs", { filter: { all: [] }, concurrency: CONCURRENCY });
    while ((await drainOnce(kernel, enrichmentRun)) > 0);
    last = await call(me, "GET", `/enrichment/runs/${id}`);
  });
  if (last.status !== "done" || last.counts.done !== contacts)
    throw new Error(`The run ended as ${last.status} with ${last.counts.done} of ${contacts} contacts.`);
  return { took, calls: last.calls, cost_usd: last.cost_micros / 1e6 };
}

/** The same questions, company by company once, nothing kept. */
async function bareLoop({ kernel, stack }: World, contacts: number) {
  const people = Array.from({ length: contacts }, (_, n): Question => ({ email: addressOf(n) }));
  const companies = [...new Set(people.map((p) => p.email!.split("@")[1]!))].map((domain): Question => ({ domain }));
  let questions = 0;
  const took = await seconds(async () => {
    for (const kind of ["person", "company", "email"] as Kind[])
      for (const { provider, credentials, kinds } of sandboxDataProviders()) {
        if (!kinds.includes(kind)) continue;
        const { lookup } = kernel.registry.providers.find((p) => p.id === provider)!;
        const base_url = `${stack.env.OVERTURE_SANDBOX_URL}/${provider}`;
        const connection: Connection<unknown> = { id: uuid7(), credentials, settings: {}, base_url, webhook_url: null };
        const open = [...(kind === "company" ? companies : people)];
        const { batch } = lookup!.kinds[kind]!;
        const lane = async () => {
          for (let some = open.splice(0, batch); some.length > 0; some = open.splice(0, batch)) {
            questions += some.length;
            await lookup!.lookup(kind, some, connection, kernel.http);
          }
        };
        await Promise.all(Array.from({ length: CONCURRENCY }, lane));
      }
  });
  return { took, questions };
}
