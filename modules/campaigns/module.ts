import { defineModule } from "../kernel/module.ts";
import { defineSchedule } from "../kernel/queues/schedule.ts";
import { checkOperation } from "./check.ts";
import { campaignsEnroll } from "./enroll.ts";
import { addLeads, listLeads, retryBlocked, stopLead } from "./leads.ts";
import { archiveCampaign, pauseCampaign, resumeCampaign, startCampaign, stopCampaign } from "./control.ts";
import { campaignsPlan } from "./plan.ts";
import { previewCampaign } from "./preview.ts";
import { getCampaign, listCampaigns } from "./read.ts";
import { campaignStats } from "./stats.ts";
import { putSteps } from "./steps.ts";
import { cloneCampaign, createCampaign, deleteCampaign, patchCampaign, putCampaign } from "./write.ts";

/** Campaigns: sequences, audiences, everybody's way through them. Owns campaigns, campaign_steps, enrollments. */
export const campaigns = defineModule({
  name: "campaigns",
  needs: ["contacts", "providers", "messaging"],
  owns: ["campaigns_enroll", "campaigns_plan", "public.campaign_steps", "public.campaigns", "public.enrollments"],
  permissions: { "campaigns:read": "viewer", "campaigns:write": "member", "campaigns:launch": "member" },
  operations: [
    listCampaigns,
    createCampaign,
    getCampaign,
    putCampaign,
    patchCampaign,
    deleteCampaign,
    cloneCampaign,
    putSteps,
    startCampaign,
    pauseCampaign,
    resumeCampaign,
    stopCampaign,
    archiveCampaign,
    checkOperation,
    previewCampaign,
    listLeads,
    addLeads,
    retryBlocked,
    stopLead,
    campaignStats,
  ],
  consumers: [campaignsEnroll, campaignsPlan],
  schedules: [
    defineSchedule({
      name: "campaigns.wake",
      cron: "10 seconds",
      everySeconds: 60,
      sql: "select private.wake_tenants('campaigns_plan')",
    }),
    defineSchedule({
      name: "campaigns.finish",
      cron: "30 seconds",
      everySeconds: 60,
      sql: "select private.finish_campaigns()",
    }),
  ],
  pages: ["/campaigns"],
});
