import { of } from "./mutation.ts";

const CALL = "modules/models/call.ts";
const COMPLETE = "modules/models/complete.test.ts";

/** What language models may cost. */
export const models = of("operations", [
  {
    promise: "No language model is called without room in every budget",
    file: CALL,
    find: "  if (row!.refused_by !== null) return row!.refused_by;\n",
    replace: "",
    test: COMPLETE,
    name: "without room nothing is called",
  },
  {
    promise: "A lost answer of a language model counts as paid",
    file: CALL,
    find: `judged.outcome === "unknown" ? most : `,
    replace: "",
    test: COMPLETE,
    name: "what may have been charged counts as charged",
  },
  {
    promise: "A connection's tokens per minute are kept",
    file: CALL,
    find: "  if (!room!.taken) throw new NoRoom(Math.max(0.05, room!.retry_after));\n",
    replace: "",
    test: COMPLETE,
    name: "the token limit of a connection holds calls back until there is room, and costs nothing meanwhile",
  },
  {
    promise: "A rule of routing holds above its number, not at it",
    file: "modules/models/route.ts",
    find: "Number(value) > rule.above",
    replace: "Number(value) >= rule.above",
    test: "modules/models/route.test.ts",
    name: "%j: %s because of %s",
  },
]);
