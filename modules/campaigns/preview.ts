import { z } from "zod";
import type { Ctx } from "../kernel/context.ts";
import { AppError } from "../kernel/errors.ts";
import { defineOperation } from "../kernel/operations/operation.ts";
import { audienceCondition, sourceOf } from "./audience.ts";
import { type CampaignRow, campaignRow, customKeysOf, stepsOf } from "./read.ts";
import { compile, render } from "../channels/email/template.ts";
import type { MergeRow } from "../channels/variables.ts";

type PersonRow = MergeRow & { id: string };

/** One person with what a message can be filled with: the given one, else the first of the audience. */
async function personOf(ctx: Ctx, campaign: CampaignRow, contactId: string | undefined): Promise<PersonRow | null> {
  const { db, tenantId } = ctx;
  const { people } = await audienceCondition(ctx, contactId ? { contact_ids: [contactId] } : sourceOf(campaign));
  const [row] = await db<PersonRow[]>`
    select c.id, c.email, c.first_name, c.last_name, c.full_name, c.title, c.phone, c.whatsapp_number, c.linkedin_url, c.country, c.time_zone, c.deal_value, c.custom,
      o.name as company_name, o.domain as company_domain, o.size as company_size, o.industry as company_industry, o.country as company_country,
      coalesce(s.from_name, '') as sender_name, coalesce(s.from_email, '') as sender_email
    from public.contacts c
    left join public.companies o on o.tenant_id = c.tenant_id and o.id = c.company_id
    left join public.senders s on s.tenant_id = c.tenant_id and s.id = ${campaign.sender_id}::uuid
    where c.tenant_id = ${tenantId} and ${people} ${contactId ? db`` : db`and c.email is not null`} order by c.id limit 1`;
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
  sender_email: "",
};

export const previewCampaign = defineOperation({
  id: "campaigns.preview",
  method: "POST",
  path: "/campaigns/{id}/preview",
  summary: "See the messages as one person would get them",
  description:
    "Without `contact_id`, as the first person of the audience. Links are not tracked and the unsubscribe line is left out.",
  permission: "campaigns:read",
  input: z.object({ id: z.uuid(), contact_id: z.uuid().optional() }),
  output: z.object({
    contact: z.object({ id: z.uuid(), email: z.string().nullable(), full_name: z.string() }).nullable(),
    steps: z.array(
      z.object({
        subject: z.string(),
        html: z.string(),
        text: z.string(),
        missing: z
          .array(z.string())
          .describe("Variables without a value or fallback: this message would be held back."),
        faults: z.array(z.string()),
      }),
    ),
  }),
  async handle(ctx, { id, contact_id }) {
    const campaign = await campaignRow(ctx, id);
    const person = await personOf(ctx, campaign, contact_id);
    const customKeys = await customKeysOf(ctx);
    let first: string | null = null;
    const steps = (await stepsOf(ctx, id)).map((step, i) => {
      const template = compileStep(step, customKeys);
      const rendered = renderStep(template, person ?? NOBODY, { showMissing: true });
      const { subject } = threading(rendered.subject, { message_ids: i === 0 ? [] : ["<first>"], subject: first });
      first ??= rendered.subject;
      return {
        subject,
        html: rendered.html,
        text: rendered.text,
        missing: rendered.missing,
        faults: template.faults.map((f) => f.detail),
      };
    });
    return { contact: person ? { id: person.id, email: person.email, full_name: person.full_name } : null, steps };
  },
});
