import { defineModule } from "../kernel/module.ts";
import { sandboxDemo, startDemo } from "./demo.ts";

const hostOf = (url: string) => {
  const { hostname, port, protocol } = new URL(url);
  return `${hostname}:${port || (protocol === "https:" ? 443 : 80)}`;
};

/** Demo: a team that sends to invented people through the sandbox, so that a newcomer sees the product move. Owns no table. */
export const demo = defineModule({
  name: "demo",
  needs: ["tenancy", "contacts", "providers", "campaigns"],
  operations: [startDemo],
  consumers: [sandboxDemo],
  privateHosts: ({ sandboxUrl, sandboxSmtp }) => [
    ...(sandboxUrl ? [hostOf(sandboxUrl)] : []),
    ...(sandboxSmtp ? [sandboxSmtp] : []),
  ],
});
