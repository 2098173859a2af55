import { defineModule } from "../kernel/module.ts";
import { sandboxDemo, startDemo } from "./demo.ts";

const hostOf = (url: string) => {
  const { hostname, port, protocol } = new URL(url);
  return `${hostname}:${port || (protocol === "https:" ? 443 : 80)}`;
};

/** Sandbox: a world to rehearse in. The server in serve.ts plays the providers and the recipients; this is its door in the product. */
export const sandbox = defineModule({
  name: "sandbox",
  needs: ["tenancy", "contacts", "providers", "campaigns"],
  operations: [startDemo],
  consumers: [sandboxDemo],
  privateHosts: ({ sandboxUrl, sandboxSmtp }) => [
    ...(sandboxUrl ? [hostOf(sandboxUrl)] : []),
    ...(sandboxSmtp ? [sandboxSmtp] : []),
  ],
});
