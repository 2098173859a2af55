import { z } from "zod";
import { createCampaign } from "../campaigns/write.ts";
import { startCampaign } from "../campaigns/control.ts";
import { putConsents } from "../compliance/consents.ts";
import { bulkContacts } from "../contacts/contacts.ts";
import { createList } from "../contacts/lists.ts";
import { startRun } from "../enrichment/runs.ts";
import { putSources } from "../enrichment/sources.ts";
import { defineManualConsumer, done } from "../kernel/queues/consumer.ts";
import type { ManualCtx } from "../kernel/context.ts";
import { AppError } from "../kernel/errors.ts";
import { defineOpenOperation } from "../kernel/operations/operation.ts";
import { invoke, invokeManual } from "../kernel/operations/run.ts";
import { checkConnection, registerWebhook } from "../providers/check.ts";
import { activateConnection, createConnection } from "../providers/connections.ts";
import { createSender } from "../providers/senders.ts";
import { addressOf, newTenant, requireFounder } from "../tenancy/tenants.ts";
import { demoConfig } from "./config.ts";
import { DEMO_FIELDS, demoPeople, demoSteps, SANDBOX_NUMBER, sandboxDataProviders, sandboxTwilio } from "./people.ts";

/** The demo: a team of its own that sends to invented people through the sandbox, so that a newcomer sees the product move. */

const PEOPLE = 240;

const Payload = z.object({ tenant_id: z.uuid() });

export const prepareTeam = defineManualConsumer({
  queue: "demo_prepare",
  payload: Payload,
  visibilitySeconds: 60, // a handful of statements and three calls to a server on this machine
  maxAttempts: 5,
  batch: 1,
  async handle(ctx) {
    await prepareDemo(ctx);
    return done();
  },
});

/** Each step looks for what an interrupted run has made already, so it can be repeated. */
async function prepareDemo(ctx: ManualCtx): Promise<void> {
  const sandbox = ctx.configOf(demoConfig).OVERTURE_SANDBOX_URL;
  if (!sandbox) throw new AppError("conflict", "This installation runs without a sandbox.");

  const dataProviders = sandboxDataProviders();
  const accounts = [
    { provider: "postmark", name: "Sandbox", credentials: { server_token: crypto.randomUUID() } },
    { provider: "twilio", name: "Sandbox phones", credentials: sandboxTwilio() },
    ...dataProviders.map(({ kinds: _, ...account }) => account),
  ];
  const connectionIds = await ctx.tx(async (tx) => {
    const existing = await tx.db<{ id: string; provider: string }[]>`
      select id, provider from public.connections where tenant_id = ${tx.tenantId}`;
    const ids: string[] = [];
    for (const account of accounts) {
      const base_url = `${sandbox}/${account.provider}`;
      const id = existing.find((e) => e.provider === account.provider)?.id;
      ids.push(id ?? (await invoke(createConnection, tx, { ...account, base_url })).id);
    }
    return ids;
  });
  for (const [i, id] of connectionIds.entries()) {
    if (i < accounts.length - dataProviders.length) await invokeManual(registerWebhook, ctx, { id });
    await invokeManual(checkConnection, ctx, { id });
  }

  await ctx.tx(async (tx) => {
    const [existing] = await tx.db`select 1 from public.campaigns where tenant_id = ${tx.tenantId} limit 1`;
    if (existing) return;
    await tx.db`select 1 from public.connections where tenant_id = ${tx.tenantId} order by id for update`;
    for (const id of connectionIds) await invoke(activateConnection, tx, { id });
    const [mail, phone, ...data] = connectionIds as [string, string, ...string[]];
    const sender = await invoke(createSender, tx, {
      connection_id: mail,
      address: "sam@outreach.example",
      display_name: "Sam from Outreach",
      limits: [{ action: "email.send", per: "day", cap: 5000 }],
    });
    const texter = await invoke(createSender, tx, {
      connection_id: phone,
      address: SANDBOX_NUMBER,
      display_name: "Sam",
      limits: [{ action: "sms.send", per: "day", cap: 5000 }],
    });
    const list = await invoke(createList, tx, {
      name: "Demo audience",
      description: "Invented contacts that reply, bounce and unsubscribe.",
    });
    const { data: written } = await invoke(bulkContacts, tx, {
      on_duplicate: "skip",
      contacts: demoPeople(PEOPLE).map((p) => ({
        ...p,
        lists: [list.id],
        tags: ["demo"],
        consent_source: "Demo data",
        lawful_basis: "consent",
      })),
    });
    await invoke(putConsents, tx, {
      channel: "sms",
      contact_ids: written.flatMap((d) => d.id ?? []),
      source: "Demo data",
    });
    const campaign = await invoke(createCampaign, tx, {
      name: "Spring introductions",
      sender_ids: [sender.id, texter.id],
      list_id: list.id,
      settings: { time_zone: "UTC", track_opens: true, track_clicks: true, stop_on_reply: true },
      steps: demoSteps(0.01, 0.02),
    });
    await invoke(startCampaign, tx, { id: campaign.id });
    const asked = (kind: string) =>
      dataProviders.flatMap((p, i) => (p.kinds.includes(kind) ? [{ connection_id: data[i]! }] : []));
    await invoke(putSources, tx, {
      order: { person: asked("person"), company: asked("company"), email: asked("email") },
    });
    await invoke(startRun, tx, { list_id: list.id, fields: [...DEMO_FIELDS] });
  });
}

export const startDemo = defineOpenOperation({
  id: "demo.start",
  method: "POST",
  path: "/demo",
  summary: "Create a demo tenant with a campaign that runs in the sandbox",
  description: "The demo tenant is separate from your own. A second call returns the same tenant.",
  auth: "user",
  input: z.object({}),
  output: z.object({ tenant_id: z.uuid(), name: z.string() }),
  status: 201,
  async handle(ctx) {
    if (!ctx.configOf(demoConfig).OVERTURE_SANDBOX_URL)
      throw new AppError("conflict", "This installation runs without a sandbox.", {
        suggestion: "Start it without --no-demo.",
      });
    if (ctx.actor.kind !== "user") throw new AppError("unauthenticated", "Sign in first.");
    const { userId } = ctx.actor;
    const name = "Demo workspace";
    // The lock makes two clicks one team.
    await ctx.db`select pg_advisory_xact_lock(hashtextextended(${`demo:${userId}`}, 0))`;
    const teams = await ctx.db<{ id: string; name: string; role: string }[]>`
      select id, name, role from private.my_teams(${userId})`;
    const mine = teams.find((t) => t.name === name && t.role === "owner");
    if (mine) return { tenant_id: mine.id, name };
    requireFounder(ctx, teams);
    const email = await addressOf(ctx.db, ctx.actor);
    const made = await newTenant(ctx, name, { id: userId, email, name: "" });
    await ctx.enqueue(prepareTeam, { tenant_id: made.id });
    return { tenant_id: made.id, name };
  },
});
