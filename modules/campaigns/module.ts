import { defineModule } from "../kernel/module.ts";
import { defineSchedule } from "../kernel/queues/schedule.ts";
import { campaignsEnroll } from "./audience/enroll.ts";
import { addLeads, listLeads, retryBlocked, stopLead } from "./audience/leads.ts";
import { campaignsRetry } from "./audience/retry.ts";
import { whyLead } from "./audience/why.ts";
import { campaignsWords } from "./words.ts";
import { checkOperation } from "./check.ts";
import {
  archiveCampaign,
  campaignsStop,
  pauseCampaign,
  resumeCampaign,
  startCampaign,
  stopCampaign,
} from "./control.ts";
import { messageHearing } from "./hearing.ts";
import { campaignsPlan } from "./plan/plan.ts";
import { previewCampaign } from "./preview.ts";
import { getCampaign, listCampaigns } from "./read.ts";
import { campaignsMove } from "./sequence/move.ts";
import { campaignStats } from "./stats.ts";
import { TeamSettings } from "./schemas.ts";
import { conditionStep } from "./steps/condition.ts";
import { endStep } from "./steps/end.ts";
import { messageStep } from "./steps/message.ts";
import { taskStep } from "./steps/task.ts";
import { waitStep } from "./steps/wait.ts";
import { finishTask, getTask, listTasks, updateTask } from "./tasks/tasks.ts";
import { campaignsDelete, deleteCampaign } from "./delete.ts";
import { cloneCampaign, createCampaign, patchCampaign, putCampaign, putSteps } from "./write.ts";

/** Campaigns: sequences, audiences, everybody's way through them, and the tasks that people do in them. */
export const campaigns = defineModule({
  name: "campaigns",
  needs: ["contacts", "channels", "compliance", "providers", "messaging"],
  owns: [
    "campaigns_delete",
    "campaigns_enroll",
    "campaigns_message_facts",
    "campaigns_move",
    "campaigns_plan",
    "campaigns_retry",
    "campaigns_stop",
    "public.campaign_senders",
    "public.campaign_steps",
    "public.campaigns",
    "public.enrollments",
    "public.sequence_edges",
    "public.sequence_nodes",
    "public.sequence_versions",
    "public.step_runs",
    "public.tasks",
  ],
  permissions: {
    "campaigns:read": "viewer",
    "campaigns:write": "member",
    "campaigns:launch": "member",
    "tasks:read": "viewer",
    "tasks:write": "member",
  },
  guards: ["campaign", "reply"],
  settings: TeamSettings,
  actionStep: messageStep,
  steps: [waitStep, conditionStep, taskStep, endStep],
  hears: [messageHearing],
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
    whyLead,
    listTasks,
    getTask,
    finishTask,
    updateTask,
    campaignStats,
  ],
  consumers: [campaignsDelete, campaignsEnroll, campaignsPlan, campaignsMove, campaignsRetry, campaignsStop],
  schedules: [
    defineSchedule({
      name: "campaigns.wake",
      cron: "10 seconds",
      everySeconds: 60,
      sql: "select private.wake_planning()",
    }),
    defineSchedule({
      name: "campaigns.release",
      cron: "* * * * *",
      everySeconds: 60,
      sql: "select private.wake_releasing()",
    }),
    defineSchedule({
      name: "campaigns.finish",
      cron: "30 seconds",
      everySeconds: 60,
      sql: "select private.finish_campaigns()",
    }),
  ],
  catalogue: campaignsWords,
  pages: [
    { path: "/campaigns", label: "Campaigns", icon: "send", shortcut: "a", group: "work", position: 40 },
    {
      path: "/tasks",
      label: "Tasks",
      icon: "list-checks",
      shortcut: "t",
      group: "work",
      position: 45,
      permission: "tasks:read",
    },
  ],
});
