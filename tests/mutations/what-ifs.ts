import { of } from "./mutation.ts";

const EDITS = "modules/campaigns/sequence/what-if.test.ts";
const SENDING = "modules/campaigns/sequence/what-if-sending.test.ts";
const TIME = "modules/campaigns/sequence/what-if-time.test.ts";

/** What keeps people from being moved, written to or left standing by what belongs to another run, step, version or campaign. */
export const whatIfs = of("sending", [
  {
    promise: "A message of an earlier run does not leave in a later one",
    file: "modules/campaigns/sql/guards.sql",
    find: " and r.visit = e.run and r.node_id = e.node_id",
    replace: "",
    test: EDITS,
    name: "a message of the first run that the provider gives back does not leave in the second",
  },
  {
    promise: "What becomes of a message of an earlier run moves nobody",
    file: "modules/campaigns/sql/enrollments.sql",
    find: " and e.run = n.visit",
    replace: "",
    test: EDITS,
    name: "after they were stopped: nothing without restart; with it they begin anew, and what the first run left behind moves nobody",
  },
  {
    promise: "People of a draft begin with the sequence as it is started",
    file: "modules/campaigns/audience/audience.ts",
    find: 'entry && campaign.status !== "draft" ? entry : undefined',
    replace: "entry",
    test: EDITS,
    name: "while it was a draft: they follow the sequence as it was started, however often it was edited",
  },
  {
    promise: "A task of a removed step leaves no open run behind",
    file: "modules/campaigns/sql/versions.sql",
    find: "where r.tenant_id = (select kernel.tenant()) and r.id = t.step_run_id and r.state = 'open'",
    replace: "where false",
    test: EDITS,
    name: "a task deleted under them is cancelled with its run, and they go on",
  },
  {
    promise: "An answer says more than what became of a message meanwhile",
    file: "modules/campaigns/hearing.ts",
    find: '    await replied(\n      ctx,\n      answers.filter((m) => m.kind === "reply"),\n    );\n',
    replace: "",
    test: SENDING,
    name: "ends the sequence; the message then comes back as ${outcome}, and nothing more leaves",
  },
  {
    promise: "Nobody who answered gets another message, whatever happens at the same time",
    file: "modules/campaigns/sql/guards.sql",
    find: "    and (by.them\n",
    replace: "    and (false and by.them\n",
    test: "modules/campaigns/plan/property.test.ts",
    name: "whatever happens on the way: no step twice, nothing after a stop, and everybody ends or waits for a reason",
  },
  {
    promise: "Who is stopped by a colleague's answer is told so",
    file: "modules/campaigns/sql/guards.sql",
    find: "case when by.them then 'replied' else 'colleague_replied' end",
    replace: "'replied'",
    test: SENDING,
    name: "moved to another company: a colleague's answer counts where they work now, and says whose it was",
  },
  {
    promise: "Who waits for a sender that cannot send is told so",
    file: "modules/campaigns/audience/leads.ts",
    find: '  if (r.no_sender) return as("sender", null, "sender_inactive");\n  if (r.limit_until)',
    replace: "  if (r.limit_until)",
    test: SENDING,
    name: "whose sender was paused waits for the sender, says so, and goes on with it",
  },
  {
    promise: "A window that opens earlier lets go what waits for it",
    file: "modules/messaging/sql/guards.sql",
    find: "m.status = 'queued' and m.error_code = because",
    replace: "false",
    test: TIME,
    name: "named while messages are planned: they wait for the day after, and leave when it is taken back",
  },
]);
