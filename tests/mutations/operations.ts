import { of, type Mutation } from "./mutation.ts";

const MIGRATION = "migrations/20261121093000_observability.sql";
const ALERTS = "modules/operations/alerts.test.ts";
const SERVICE = "modules/operations/service.test.ts";
const REPLICA = "tests/platform/replica.test.ts";

export const operations: readonly Mutation[] = of("operations", [
  {
    promise: "An alert opens only when its condition held long enough",
    file: MIGRATION,
    find: "\n      and a.created_at <= ts - pg_catalog.make_interval(secs => f.for_seconds)",
    replace: "",
    test: ALERTS,
    name: "a running campaign with work due that sends nothing is stalled after a quarter of an hour, not before",
  },
  {
    promise: "… and does not close between two looks",
    file: MIGRATION,
    find: ", href = f.href, clear_since = null",
    replace: ", href = f.href",
    test: ALERTS,
    name: "a condition that comes back within two minutes does not close the alert",
  },
  {
    promise: "A campaign outside its window is not stalled",
    file: MIGRATION,
    find: "k.status = 'running' and private.in_window(k.settings, kernel.now())",
    replace: "k.status = 'running'",
    test: ALERTS,
    name: "a campaign %s is not stalled",
  },
  {
    promise: "A burn that is over wakes nobody",
    file: MIGRATION,
    find: " and r.short_rate > b.share * r.factor",
    replace: "",
    test: ALERTS,
    name: "a burning error budget is an alert, and so are slow answers; without requests there is neither",
  },
  {
    promise: "An alert's post keeps its id when it is tried again",
    file: "modules/operations/notify.ts",
    find: "const id = `alert_${alert_id}_${event}`;",
    replace: "const id = `alert_${alert_id}_${event}_${crypto.randomUUID()}`;",
    test: ALERTS,
    name: "opening and closing are each posted once, signed as Standard Webhooks, and tried again under the same id until taken",
  },
  {
    promise: "Samples that could not be written are not lost",
    file: "modules/kernel/observability/samples.ts",
    find: "      for (const row of taken.values()) add(rows, row);\n",
    replace: "",
    test: SERVICE,
    name: "samples that cannot be written are kept and written later",
  },
  {
    promise: "Processes that add samples at once do not wait for each other in a circle",
    file: MIGRATION,
    find: "  order by 1, 2, 3, 4\n",
    replace: "",
    test: SERVICE,
    name: "many processes adding at once lose nothing and do not wait for each other in a circle",
  },
  {
    promise: "Rotation removes its own backups only",
    file: "supabase/embedded/backup-schedule.ts",
    find: "const NAME = /^auto-\\d{4}-\\d{2}-\\d{2}T\\d{2}-\\d{2}-\\d{2}\\.overture(\\.age)?$/;",
    replace: "const NAME = /\\.overture(\\.age)?$/;",
    test: "supabase/embedded/backup-schedule.test.ts",
    name: "the newest ones stay, a person's own files too, and the next is due from the newest, not from the start",
  },
  {
    promise: "A replica that stands still is not asked",
    file: "modules/kernel/database/db.ts",
    find: "row!.lag === null || row!.lag > mostSeconds",
    replace: "row!.lag === null",
    test: REPLICA,
    name: "a replica that stands still is not asked",
  },
  {
    promise: "A replica that is gone stops nothing",
    file: "modules/kernel/database/db.ts",
    find: "          if (!isReplicasFault(error)) throw error;\n",
    replace: "          throw error;\n",
    test: REPLICA,
    name: "without the replica everything is answered by the primary; once it is back it is asked again",
  },
  {
    promise: "The console's slow answers arrive while changes are announced",
    file: "web/src/lib/data/refresh.ts",
    find: "if (client.isFetching({ queryKey: [resourceOf(path), path] }) > 0) return schedule(path);",
    replace: "",
    test: "web/src/lib/data/refresh.test.ts",
    name: "a slow answer is not cancelled over and over: it arrives, and is asked again after",
  },
  {
    promise: "A console that nobody looks at asks nothing, and misses nothing",
    file: "web/src/lib/data/refresh.ts",
    find: "      for (const path of unseen) schedule(path);\n",
    replace: "",
    test: "web/src/lib/data/refresh.test.ts",
    name: "nothing is asked while nobody looks; what changed meanwhile is asked once on return",
  },
  {
    promise: "A running campaign can be renamed by an editor that sends its steps along",
    file: "modules/campaigns/write.ts",
    find: "  if (sameSteps(await stepsOf(ctx, campaign.id), steps)) return;\n",
    replace: "",
    test: "modules/campaigns/campaigns.test.ts",
    name: "fields and steps are saved in one act: all or nothing, once per key, and steps sent along untouched are no change",
  },
]);
