import { boot } from "../../modules/boot.ts";
import { createApp, withPeer } from "./app.ts";

/** SIGTERM finishes what is being answered, writes the last samples and ends. */
const kernel = await boot(Deno.env.toObject());
const app = createApp(kernel);
const server = Deno.serve((request, info) =>
  app.fetch(withPeer(request, info.remoteAddr.transport === "tcp" ? info.remoteAddr.hostname : "unknown")),
);

const stop = async () => {
  await server.shutdown();
  await kernel.close();
  Deno.exit(0);
};
Deno.addSignalListener("SIGTERM", stop);
Deno.addSignalListener("SIGINT", stop);
