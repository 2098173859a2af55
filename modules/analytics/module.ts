import { defineModule } from "../kernel/module.ts";
import { activity } from "./activity.ts";
import { dashboard } from "./dashboard.ts";

/** Analytics: the dashboard, the activity feed and the analysts' views. */
export const analytics = defineModule({
  name: "analytics",
  needs: ["contacts", "campaigns", "messaging", "operations"],
  owns: ["kernel.analysts"],
  permissions: { "analytics:read": "viewer" },
  operations: [dashboard, activity],
  pages: [{ path: "/", label: "Dashboard", icon: "gauge", shortcut: "d", group: "work", position: 0 }],
});
