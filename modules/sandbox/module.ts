import { defineModule } from "../kernel/module.ts";
import { sandboxDemo, startDemo } from "./demo.ts";

/** Sandbox: a world to rehearse in. The server in serve.ts plays the providers and the recipients; this is its door in the product. */
export const sandbox = defineModule({
  name: "sandbox",
  needs: ["tenancy", "contacts", "providers", "campaigns"],
  owns: ["sandbox_demo"],
  operations: [startDemo],
  consumers: [sandboxDemo],
});
