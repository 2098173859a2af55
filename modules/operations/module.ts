import { defineModule } from "../kernel/module.ts";
import { listDeadLetters, listQueues, purgeDeadLetters, requeueDeadLetters } from "./queues.ts";
import { listSchedules } from "./schedules.ts";

/** Operations: what runs behind the scenes — queues, dead letters, schedules. */
export const operations = defineModule({
  name: "operations",
  needs: [],
  permissions: { "operations:read": "member", "operations:write": "admin" },
  operations: [listQueues, listDeadLetters, requeueDeadLetters, purgeDeadLetters, listSchedules],
  pages: ["/queues"],
});
