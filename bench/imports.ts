import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { drainOnce } from "../modules/kernel/queues/drain.ts";
import { type Figure, median, ratioFigure, seconds } from "./figure.ts";
import { inWorld, type World } from "./world.ts";

/** Importing a CSV through the product, against COPY of the same rows into the same table with the same indexes. */

const COLUMNS = ["email", "first_name", "last_name", "title", "country"];
const row = (n: number, mark: string) => [
  `p${n}@${mark}.example.com`,
  `First${n % 3000}`,
  `Last${n}`,
  "Head of Sales",
  "DE",
];

export const imports = (rows = 20_000): Promise<Figure[]> =>
  inWorld({}, async (world) => {
    const times = { ours: [] as number[], copy: [] as number[] };
    for (let round = 0; round < 4; round++) {
      const ours = await throughTheProduct(world, rows);
      const copy = await copied(world, rows);
      if (round === 0) continue;
      times.ours.push(ours);
      times.copy.push(copy);
    }
    const [ours, copy] = [median(times.ours), median(times.copy)];
    return [
      ratioFigure("import", copy / ours, ">= 0.25", {
        rows,
        ours_rows_per_s: Math.round(rows / ours),
        copy_rows_per_s: Math.round(rows / copy),
      }),
    ];
  });

async function throughTheProduct({ kernel, team, call }: World, rows: number): Promise<number> {
  const me = await team("Import");
  const mark = me.id.slice(-8);
  const csv = [
    "Email,First name,Last name,Job title,Country",
    ...Array.from({ length: rows }, (_, n) => row(n, mark).join(",")),
  ].join("\n");
  const consumer = kernel.registry.consumers.find((c) => c.queue === "contacts_import")!;
  const took = await seconds(async () => {
    const job = await call(me, "POST", "/imports?file_name=bench.csv", csv, { "content-type": "text/csv" });
    await call(me, "PUT", `/imports/${job.id}/mapping`, {
      mapping: job.detected.suggested_mapping,
      options: { on_duplicate: "skip" },
    });
    await call(me, "POST", `/imports/${job.id}/start`);
    while ((await drainOnce(kernel, consumer)) > 0);
    const end = await call(me, "GET", `/imports/${job.id}`);
    if (end.status !== "done" || end.created !== rows)
      throw new Error(`The import ended as ${end.status} with ${end.created} of ${rows} rows.`);
  });
  return took;
}

async function copied({ admin, team }: World, rows: number): Promise<number> {
  const { id } = await team("Copy");
  const mark = id.slice(-8);
  const lines = Array.from({ length: rows }, (_, n) => `${id}\t${row(n, mark).join("\t")}\n`);
  return await seconds(async () => {
    const sink = await admin`copy public.contacts (tenant_id, ${admin(COLUMNS)}) from stdin`.writable();
    await pipeline(Readable.from(chunks(lines)), sink);
  });
}

function* chunks(lines: string[]): Generator<string> {
  for (let i = 0; i < lines.length; i += 1000) yield lines.slice(i, i + 1000).join("");
}
