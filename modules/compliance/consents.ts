import { z } from "zod";
import type { Ctx } from "../kernel/context.ts";
import { AppError, invalidField } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";

/** Consent per contact and channel: needed where a channel demands it, and withdrawn when the person opts out. */

export const CONSENT_STATES = ["granted", "withdrawn"] as const;

const Consent = z
  .object({
    channel: z.string(),
    state: z.enum(CONSENT_STATES),
    source: z.string().describe("Where the consent comes from: a form, an import, a reply."),
    at: z.iso.datetime(),
  })
  .meta({ id: "Consent" });

/** Refuses a channel that no module brings, naming the field. */
export function requireChannel(ctx: Pick<Ctx, "registry">, channel: string, pointer = "/channel") {
  const found = ctx.registry.channels.get(channel);
  if (found) return found;
  throw invalidField(pointer, `must be one of ${[...ctx.registry.channels.keys()].join(", ")}`);
}

export const listConsents = defineOperation({
  id: "consents.list",
  method: "GET",
  path: "/contacts/{id}/consents",
  summary: "List a contact's consents, one per channel",
  permission: "compliance:read",
  input: z.object({ id: z.uuid() }),
  output: z.object({ data: z.array(Consent) }),
  async handle(ctx, { id }) {
    const [known] = await ctx.db`select from public.contacts where tenant_id = ${ctx.tenantId} and id = ${id}`;
    if (!known) throw new AppError("not_found", "There is no such contact.");
    const rows = await ctx.db<(Omit<z.output<typeof Consent>, "at"> & { at: Date })[]>`
      select channel, state, source, at from public.consents where tenant_id = ${ctx.tenantId} and contact_id = ${id} order by channel`;
    return { data: rows.map((r) => ({ ...r, at: r.at.toISOString() })) };
  },
});

export const putConsents = defineOperation({
  id: "consents.put",
  method: "POST",
  path: "/consents",
  summary: "Record consent of up to 1,000 contacts for a channel, or its withdrawal",
  description:
    "Granting consent does not remove a suppression of the address. Withdrawing consent stops all messages to the contact on the channel, at every address of the contact.",
  permission: "compliance:write",
  input: z.object({
    channel: z.string().max(40),
    contact_ids: z.array(z.uuid()).min(1, "name at least one contact").max(1000, "at most 1000 at once"),
    state: z.enum(CONSENT_STATES).default("granted"),
    source: z.string().trim().min(1, "give the source of the consent").max(500),
  }),
  output: z.object({
    changed: z.number().int(),
    unknown: z.number().int().describe("Number of ids that belong to no contact."),
  }),
  async handle(ctx, { channel, contact_ids, state, source }) {
    requireChannel(ctx, channel);
    const known = await ctx.db<{ id: string }[]>`
      select id from public.contacts where tenant_id = ${ctx.tenantId} and id = any(${contact_ids}::uuid[])`;
    const ids = known.map((k) => k.id);
    const [row] = await ctx.db<
      { n: number }[]
    >`select private.set_consent(${channel}, ${ids}::uuid[], ${state}, ${source}) as n`;
    ctx.audit({ channel, state, source, contacts: ids.length });
    return { changed: row!.n, unknown: new Set(contact_ids).size - ids.length };
  },
});
