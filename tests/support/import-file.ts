import { parse } from "csv-parse/sync";
import { expect } from "vitest";
import type { TestKernel, TestTenant } from "./kernel.ts";
import { until } from "./until.ts";

/** Imports a file as a person does: upload, the suggested mapping with these options, start; and what came of it. */
export const importer =
  (k: Pick<TestKernel, "drain">) =>
  async (team: TestTenant, body: string | Uint8Array, options: Record<string, unknown> = {}) => {
    const uploaded = await team.api("POST", "/imports?file_name=people.csv", body, { "content-type": "text/csv" });
    expect(uploaded.status, JSON.stringify(uploaded.body)).toBe(201);
    const { id, detected } = uploaded.body;
    const mapped = await team.api("PUT", `/imports/${id}/mapping`, { mapping: detected.suggested_mapping, options });
    expect(mapped.status, JSON.stringify(mapped.body)).toBe(200);
    await team.api("POST", `/imports/${id}/start`);
    // Other suites drain the same queue, so the job may be in their hands.
    const ended = await until(async () => {
      await k.drain("contacts_import");
      const { body: now } = await team.api("GET", `/imports/${id}`);
      return now.status === "running" ? null : now;
    });
    const people = (await team.api("GET", "/contacts?sort=email&limit=100")).body.data as Record<string, any>[];
    const errors = parse((await team.api("GET", `/imports/${id}/errors.csv`)).body, {
      bom: true,
      delimiter: detected.delimiter,
      from: 2,
      relax_column_count: true,
    }) as string[][];
    return { id: id as string, ended, detected, people, reasons: errors.map((row) => row[1]!) };
  };
