import { defineModule } from "../kernel/module.ts";
import { email } from "./email/channel.ts";
import { sms } from "./sms/channel.ts";

/** Channels: how people are addressed, what is written to them, and what they answer. No tables. */
export const channels = defineModule({
  name: "channels",
  needs: ["contacts"],
  channels: [email, sms],
});
