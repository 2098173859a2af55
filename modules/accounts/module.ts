import { defineModule } from "../kernel/module.ts";
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
});
