import { boot } from "../../modules/boot.ts";
import { startWorker } from "../../modules/kernel/worker.ts";
import { closeSmtpPools } from "../../modules/providers/email/smtp.ts";

/** The long-lived worker. SIGTERM drains: nothing new is taken, what runs is finished. */
const kernel = await boot(Deno.env.toObject());
const worker = await startWorker(kernel);

const stop = async () => {
  await worker.stop();
  closeSmtpPools();
  await kernel.close();
  Deno.exit(0);
};
Deno.addSignalListener("SIGTERM", stop);
Deno.addSignalListener("SIGINT", stop);
