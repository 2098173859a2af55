import { z } from "zod";
import type { Ctx } from "../kernel/context.ts";
import { AppError } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { takeTurns } from "../kernel/pause.ts";
import { type MergeRow, valuesOf } from "../channels/variables.ts";
import { peopleCondition } from "../contacts/people.ts";
import { sourceOf } from "./audience/audience.ts";
import { customKeysOf } from "./custom-keys.ts";
import { type CampaignRow, campaignRow } from "./read.ts";
import { nodesOf } from "./sequence/nodes.ts";
import { type StepInput, StepsInput, toTree } from "./sequence/tree.ts";

type PersonRow = MergeRow & { id: string };

/** One person with what a message can be filled with: the given one, else the first of the audience who can be reached by e-mail or phone. */
async function personOf(ctx: Ctx, campaign: CampaignRow, contactId: string | undefined): Promise<PersonRow | null> {
  const { db, tenantId } = ctx;
  const { people } = await peopleCondition(ctx, contactId ? { contact_ids: [contactId] } : sourceOf(campaign));
  const [row] = await db<PersonRow[]>`
    select c.id, c.email, c.first_name, c.last_name, c.full_name, c.title, c.phone, c.whatsapp_number, c.linkedin_url, c.country, c.time_zone, c.deal_value, c.custom,
      o.name as company_name, o.domain as company_domain, o.size as company_size, o.industry as company_industry, o.country as company_country,
      '' as sender_name, '' as sender_address
    from public.contacts c
    left join public.companies o on o.tenant_id = c.tenant_id and o.id = c.company_id
    where c.tenant_id = ${tenantId} and ${people}
      ${contactId ? db`` : db`and exists (select from public.contact_addresses a where a.tenant_id = c.tenant_id and a.contact_id = c.id)`}
    order by c.id limit 1`;
  if (!row && contactId) throw new AppError("not_found", "There is no such contact.");
  return row ?? null;
}

const NOBODY: MergeRow = {
  email: null,
  first_name: "",
  last_name: "",
  full_name: "",
  title: "",
  phone: null,
  whatsapp_number: null,
  linkedin_url: null,
  country: null,
  time_zone: null,
  deal_value: null,
  company_name: null,
  company_domain: null,
  company_size: null,
  company_industry: null,
  company_country: null,
  custom: {},
  sender_name: "",
  sender_address: "",
};

export const previewCampaign = defineOperation({
  id: "campaigns.preview",
  method: "POST",
  path: "/campaigns/{id}/preview",
  summary: "Preview the messages for one contact",
  description:
    "Without `contact_id`, for the first contact of the audience. With `steps`, for these steps instead of the saved ones. Links are not tracked and the unsubscribe line is left out.",
  permission: "campaigns:read",
  input: z.object({
    id: z.uuid(),
    contact_id: z.uuid().optional(),
    steps: StepsInput.optional().describe(
      "Steps that are not saved; a step that is not valid yet is left out of the response.",
    ),
  }),
  output: z.object({
    contact: z.object({ id: z.uuid(), email: z.string().nullable(), full_name: z.string() }).nullable(),
    steps: z.array(
      z.object({
        step_id: z.uuid().nullable().describe("Null for a step that is not saved yet."),
        pointer: z.string().describe("JSON pointer to the step, as in errors: `/steps/0/branches/yes/1`."),
        kind: z.string(),
        channel: z.string(),
        subject: z.string(),
        html: z.string().nullable().describe("Null on channels with plain text only."),
        text: z.string(),
        measure: z
          .record(z.string(), z.union([z.string(), z.number()]))
          .describe("Details that depend on the channel, such as the number of SMS segments."),
        missing: z
          .array(z.string())
          .describe(
            "Variables without a value or fallback: while there are any, the enrollment would be blocked at this step.",
          ),
        faults: z.array(z.string()),
      }),
    ),
  }),
  async handle(ctx, { id, contact_id, steps: written }) {
    const campaign = await campaignRow(ctx, id);
    const person = await personOf(ctx, campaign, contact_id);
    const customKeys = await customKeysOf(ctx);
    const senders = await ctx.db<{ channel: string; address: string; display_name: string }[]>`
      select s.channel, s.address, s.display_name from public.campaign_senders cs join public.senders s on s.tenant_id = cs.tenant_id and s.id = cs.sender_id
      where cs.tenant_id = ${ctx.tenantId} and cs.campaign_id = ${id} order by cs.position`;
    // The first subject of each channel: follow-ups answer in its thread.
    const threads = new Map<string, string>();
    const tree: StepInput[] =
      written ?? toTree(campaign.version_id ? await nodesOf(ctx, [campaign.version_id]) : [], ctx.registry);
    const steps = [];
    const pause = takeTurns();
    for (const { step, pointer } of inOrder(tree, "/steps")) {
      await pause();
      const def = ctx.registry.steps.get(step.kind);
      const channel = def?.action ? ctx.registry.channels.get(def.action.split(".")[0]!) : undefined;
      if (!def || !channel) continue;
      const { id: step_id, kind, position: _, branches: __, ...fields } = step;
      const read = def.config.safeParse(fields);
      if (!read.success) continue;
      const config = read.data;
      const first = threads.get(channel.id);
      const template = channel.compile(config as never, { customKeys, first: first === undefined });
      const sender = senders.find((s) => s.channel === channel.id);
      const rendered = channel.render(template as never, {
        valueOf: valuesOf({
          ...(person ?? NOBODY),
          sender_name: sender?.display_name ?? "",
          sender_address: sender?.address ?? "",
        }),
        thread: { references: first === undefined ? [] : ["first"], subject: first ?? null },
        showMissing: true,
      });
      if (first === undefined) threads.set(channel.id, rendered.subject);
      const draft = rendered.draft as { html?: string } | null;
      steps.push({
        step_id: step_id ?? null,
        pointer,
        kind,
        channel: channel.id,
        subject: rendered.subject,
        html: draft?.html ?? null,
        text: rendered.text,
        measure: channel.measure(rendered as never),
        missing: rendered.missing,
        faults: [...template.faults, ...rendered.faults].map((f) => f.detail),
      });
    }
    return { contact: person ? { id: person.id, email: person.email, full_name: person.full_name } : null, steps };
  },
});

/** Every step in reading order, with its place. */
const inOrder = (steps: readonly StepInput[], pointer: string): { step: StepInput; pointer: string }[] =>
  steps.flatMap((step, i) => [
    { step, pointer: `${pointer}/${i}` },
    ...Object.entries(step.branches ?? {}).flatMap(([branch, inner]) =>
      inOrder(inner, `${pointer}/${i}/branches/${branch}`),
    ),
  ]);
