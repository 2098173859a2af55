import { defineModule } from "../kernel/module.ts";

/** Channels: what people can be written to on. */
export const channels = defineModule({ name: "channels", needs: [], categories: ["email", "sms"] });
