import { expect } from "vitest";
import { emulation as peopleDataLabs } from "../providers/enrichment/people_data_labs/emulation.ts";
import type { TestKernel, TestTenant } from "../../tests/support/kernel.ts";
import type { Emulation } from "../sandbox/emulation.ts";

/** What the module's tests share: connections to emulated data providers, and what their accounts were charged. */

export type Connected = {
  id: string;
  key: string;
  provider: string;
  /** Units that the provider charged, by its own count. */
  charged(): Promise<{ units: number; total: number; charges: { question: string; units: number }[] }>;
  fault(body: object): Promise<void>;
};

/** An active connection to an emulated provider; `order` also puts it at the end of the waterfall of these kinds. */
export async function connect(
  t: TestKernel,
  team: TestTenant,
  emulation: Emulation = peopleDataLabs,
  settings: Record<string, unknown> = {},
): Promise<Connected> {
  const sandbox = t.env.OVERTURE_SANDBOX_URL!;
  const { credentials, key, settings: own } = emulation.example();
  const made = await team.api("POST", "/connections", {
    provider: emulation.id,
    name: `${emulation.id} ${crypto.randomUUID().slice(0, 8)}`,
    credentials,
    settings: { ...own, ...settings },
    base_url: `${sandbox}/${emulation.id}`,
  });
  expect(made.status, JSON.stringify(made.body)).toBe(201);
  const id = made.body.id as string;
  const checked = await team.api("POST", `/connections/${id}/check`);
  expect(checked.body).toMatchObject({ ok: true });
  expect((await team.api("POST", `/connections/${id}/activate`)).status).toBe(200);
  const control = async (path: string, body?: object) => {
    const response = await fetch(`${sandbox}/_sandbox${path}`, {
      ...(body ? { method: "POST", body: JSON.stringify(body) } : {}),
      headers: {
        authorization: `Bearer ${t.env.OVERTURE_SANDBOX_TOKEN ?? t.env.SANDBOX_TOKEN}`,
        "content-type": "application/json",
      },
    });
    expect(response.ok, `${path}: ${response.status}`).toBe(true);
    return await response.json();
  };
  return {
    id,
    key,
    provider: emulation.id,
    charged: () => control(`/charges?account=${encodeURIComponent(key)}`),
    fault: async (body) => void (await control("/faults", { account: key, ...body })),
  };
}

/** Sets the order of the waterfall. */
export async function setOrder(
  team: TestTenant,
  order: Partial<Record<"person" | "company" | "email", (string | object)[]>>,
): Promise<void> {
  const answer = await team.api("PUT", "/enrichment/sources", {
    order: Object.fromEntries(
      Object.entries(order).map(([kind, list]) => [
        kind,
        list.map((c) => (typeof c === "string" ? { connection_id: c } : c)),
      ]),
    ),
  });
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
}

/** Contacts by address. */
export async function addContacts(team: TestTenant, rows: Record<string, unknown>[]): Promise<string[]> {
  const ids: string[] = [];
  for (const row of rows) {
    const { status, body } = await team.api("POST", "/contacts", row);
    expect(status, JSON.stringify(body)).toBe(201);
    ids.push(body.id);
  }
  return ids;
}
