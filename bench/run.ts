import { parseArgs } from "node:util";
import type { Evaluation } from "./eval.ts";
import type { Figure } from "./figure.ts";
import type { Sizes as AllSizes } from "./seed.ts";

type Sizes = Partial<AllSizes>;

/** `npm run bench`: all figures; `npm run bench -- NAME …`: these; `npm run bench -- seed …`: fill a home. One JSON line per figure. */

type Bench = { says: string; run: (sizes: Sizes) => Promise<(Figure | Evaluation)[]>; apart?: boolean };

const benches: Record<string, Bench> = {
  queue: { says: "draining a queue against a bare pgmq loop", run: async () => (await import("./queue.ts")).queue() },
  bullmq: {
    says: "draining a queue against BullMQ, where a Redis is present",
    run: async () => (await import("./bullmq.ts")).bullmq(),
  },
  send: {
    says: "sending into the sandbox against bare HTTP calls",
    run: async () => (await import("./send.ts")).send(),
  },
  campaign: {
    says: "a campaign from its start to the last accepted message against a bare loop: SMTP, Postmark, Resend",
    run: async ({ contacts }) => (await import("./campaign.ts")).campaign(contacts),
  },
  claims: {
    says: "planning and claiming for 200 senders, with a million people in the campaign against ten thousand",
    run: async () => (await import("./claims.ts")).claims(),
  },
  import: { says: "CSV import against COPY", run: async () => (await import("./imports.ts")).imports() },
  enrichment: {
    says: "a run over contacts at two data providers against bare calls of the same adapters",
    run: async ({ contacts }) => (await import("./enrichment.ts")).enrichment(contacts),
  },
  contacts: {
    says: "lists, filters and searches at a million people against ten thousand",
    run: async ({ contacts }) => (await import("./contacts.ts")).contacts(contacts),
  },
  growth: {
    says: "every list, count, claim and schedule with millions of messages and events beside a small team",
    run: async (sizes) => (await import("./growth.ts")).growth(sizes, values.home),
    apart: true,
  },
  webhooks: {
    says: "acknowledging 500 webhooks a second",
    run: async () => (await import("./webhooks.ts")).webhooks(),
  },
  api: { says: "API at 100 connections", run: async () => (await import("./load.ts")).api() },
  load: { says: "100 people for 30 seconds", run: async () => (await import("./load.ts")).load() },
  eval: {
    says: "the checker of drafts on cases with planted faults",
    run: async () => [(await import("./eval.ts")).evaluation(values.cases, values.misses)],
  },
  start: { says: "warm start, and memory of the idle stack", run: async () => (await import("./start.ts")).start() },
};

const usage = `npm run bench [-- NAME …]

${Object.entries(benches)
  .map(([name, { says }]) => `  ${name.padEnd(10)}${says}`)
  .join("\n")}

npm run bench -- seed [--home FOLDER] [--tenant ID] --contacts N [--messages N] [--events N] [--queued N] [--months N]
  fills a team of the home (a throw-away one without --home) and says how long it took
npm run bench -- growth [--home FOLDER] [--contacts N] [--messages N] [--events N] [--queued N] [--months N]
  only when named; 100,000 people, 200,000 messages and 400,000 events unless told otherwise;
  a home is kept and measured again by the next run
npm run bench -- eval [--cases FILE] [--misses]
  FILE: a JSON file of cases, or a folder of such files, in the form of docs/concepts/drafts.md; with --misses, wrong verdicts go to stderr`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    help: { type: "boolean", default: false },
    home: { type: "string" },
    tenant: { type: "string" },
    contacts: { type: "string" },
    messages: { type: "string" },
    events: { type: "string" },
    queued: { type: "string" },
    months: { type: "string" },
    cases: { type: "string" },
    misses: { type: "boolean", default: false },
  },
});

const fail = (message: string): never => {
  console.error(message);
  process.exit(1);
};

const sizes: Sizes = {};
for (const name of ["contacts", "messages", "events", "queued", "months"] as const)
  if (values[name] !== undefined) sizes[name] = Number(values[name]);

if (values.help) console.log(usage);
else if (positionals[0] === "seed") {
  const { seedHome } = await import("./seed-home.ts");
  await seedHome({ home: values.home, tenant: values.tenant, contacts: 10_000, ...sizes }).catch((error: Error) =>
    fail(error.message),
  );
} else {
  const unknown = positionals.find((name) => !benches[name]);
  if (unknown) fail(`There is no bench ${unknown}.\n\n${usage}`);
  const all = Object.keys(benches).filter((name) => !benches[name]!.apart);
  let missed = 0;
  for (const name of positionals.length > 0 ? positionals : all) {
    try {
      for (const figure of await benches[name]!.run(sizes)) {
        console.log(JSON.stringify(figure));
        if (!figure.ok) missed++;
      }
    } catch (error) {
      missed++;
      console.log(
        JSON.stringify({ bench: name, unit: "error", ok: false, detail: { error: (error as Error).message } }),
      );
    }
  }
  process.exitCode = missed > 0 ? 1 : 0;
}
