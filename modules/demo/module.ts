import { defineModule } from "../kernel/module.ts";
import { demoConfig } from "./config.ts";
import { prepareTeam, startDemo } from "./demo.ts";

/** Demo: a team that sends to invented people through the sandbox, so that a newcomer sees the product move. Owns no table. */
export const demo = defineModule({
  name: "demo",
  owns: ["demo_prepare"],
  needs: ["tenancy", "contacts", "compliance", "providers", "campaigns", "enrichment"],
  operations: [startDemo],
  consumers: [prepareTeam],
  config: demoConfig,
  ready: (config) => config.OVERTURE_SANDBOX_URL !== undefined,
  privateHosts: (config) => [
    ...(config.OVERTURE_SANDBOX_URL ? [hostOf(config.OVERTURE_SANDBOX_URL)] : []),
    ...(config.OVERTURE_SANDBOX_SMTP ? [config.OVERTURE_SANDBOX_SMTP] : []),
  ],
});

const hostOf = (url: string) => {
  const { hostname, port, protocol } = new URL(url);
  return `${hostname}:${port || (protocol === "https:" ? 443 : 80)}`;
};
