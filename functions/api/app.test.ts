import { expect, test } from "vitest";
import { testKernel } from "../../tests/support/kernel.ts";
import { signWebhook } from "../../modules/kernel/secrets/signatures.ts";
import { createApp } from "./app.ts";

const t = testKernel();
const app = createApp(t.kernel);
const SECRET = `whsec_${btoa("0123456789abcdef01234567")}`;

test("the API answers without a version as it does with one", async () => {
  const team = await t.tenant();
  const headers = { authorization: `Bearer ${team.owner.token}`, "x-tenant-id": team.id };
  await team.api("POST", "/lists", { name: "Audience" });
  const [versioned, plain] = await Promise.all(
    ["/api/v1/lists", "/api/lists"].map((path) => app.request(path, { headers })),
  );
  expect(plain!.status).toBe(200);
  expect(await plain!.json()).toEqual(await versioned!.json());
});

test("a provider's webhook arrives under /api/webhooks too: verified over the raw bytes, and once", async () => {
  const team = await t.tenant();
  const made = await team.api("POST", "/connections", {
    provider: "resend",
    name: "Mail",
    credentials: { api_key: "re_abcdef", webhook_secret: SECRET },
  });
  expect(made.status).toBe(201);
  const body = JSON.stringify({ type: "domain.created", created_at: "2026-01-05T10:00:00Z", data: {} });
  const now = Math.floor(Date.now() / 1000);
  const headers = {
    "content-type": "application/json",
    "svix-id": "msg_1",
    "svix-timestamp": String(now),
    "svix-signature": await signWebhook(SECRET, "msg_1", now, new TextEncoder().encode(body)),
  };
  const path = `/api/webhooks/resend/${made.body.id}`;
  const post = async (text: string) => {
    const response = await app.request(path, { method: "POST", headers, body: text });
    return [response.status, ((await response.json()) as { duplicate?: boolean }).duplicate];
  };
  expect(await post(`${body} `)).toEqual([401, undefined]);
  expect(await post(body)).toEqual([200, false]);
  expect(await post(body)).toEqual([200, true]);
  expect(await t.sql`select 1 from public.webhook_deliveries where tenant_id = ${team.id}`).toHaveLength(1);
});
