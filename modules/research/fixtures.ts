import { expect, inject } from "vitest";
import type { TestKernel, TestTenant } from "../../tests/support/kernel.ts";

/** What the module's tests share: research of emulated websites, at a pace that does not hold the tests. */

export const sitesEnv = (): Record<string, string> => ({
  OVERTURE_RESEARCH_SITES_URL: `${inject("stackEnv").OVERTURE_SANDBOX_URL}/sites`,
  OVERTURE_RESEARCH_PAGES_PER_SECOND: "1000",
});

/** A company at a host of its own; `part` is the first word of the host, which decides what its site does. */
export async function addCompany(
  team: TestTenant,
  part = "plain",
): Promise<{ id: string; host: string; name: string }> {
  const name = `${part}-${crypto.randomUUID().slice(0, 8)}`;
  const host = `${name}.com`;
  const label = name.charAt(0).toUpperCase() + name.slice(1);
  const { status, body } = await team.api("POST", "/companies", { name: label, domain: host });
  expect(status, JSON.stringify(body)).toBe(201);
  return { id: body.id, host, name: label };
}

/** Paths that the site was asked for, in order. */
export async function fetched(t: TestKernel, host: string): Promise<string[]> {
  const response = await fetch(`${t.env.OVERTURE_SANDBOX_URL}/_sandbox/charges?account=${encodeURIComponent(host)}`, {
    headers: { authorization: `Bearer ${t.env.OVERTURE_SANDBOX_TOKEN ?? t.env.SANDBOX_TOKEN}` },
  });
  const { charges } = (await response.json()) as { charges: { question: string; at: string }[] };
  return charges.toSorted((a, b) => a.at.localeCompare(b.at)).map((c) => c.question);
}

export type Found = {
  kind: string;
  about: string;
  statement: string;
  quote: string;
  url: string;
  provider: string;
  data: Record<string, unknown>;
  published_at: string | null;
};

export async function findingsOf(
  team: TestTenant,
  id: string,
  of = "companies",
): Promise<{ data: Found[]; intent: any }> {
  const { status, body } = await team.api("GET", `/${of}/${id}/findings?limit=100`);
  expect(status, JSON.stringify(body)).toBe(200);
  return body;
}

export async function researchNow(team: TestTenant, id: string, given: object = {}) {
  const { status, body } = await team.api("POST", `/companies/${id}/research`, given);
  expect(status, JSON.stringify(body)).toBe(200);
  return body as {
    outcome: string;
    reason: string | null;
    pages: number;
    findings: number;
    cost_micros: number;
    run_id: string;
  };
}
