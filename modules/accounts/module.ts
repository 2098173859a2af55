import { defineModule } from "../kernel/module.ts";
import { defineSchedule } from "../kernel/queues/schedule.ts";
import { changeAddress, confirmAddress } from "./address.ts";
import { mailConsumer } from "./mail.ts";
import { requestReset, resetPassword } from "./reset.ts";

/** Accounts: what is done with a link in a mail (a forgotten password, another address), and the mails that tell of changes. */
export const accounts = defineModule({
  name: "accounts",
  needs: ["tenancy", "channels", "providers"],
  owns: ["accounts_mail"],
  operations: [requestReset, resetPassword, changeAddress, confirmAddress],
  consumers: [mailConsumer],
  schedules: [
    defineSchedule({
      name: "accounts.prune",
      cron: "23 * * * *",
      everySeconds: 3600,
      sql: "delete from private.account_tokens t where t.expires_at <= kernel.now()",
    }),
  ],
});
