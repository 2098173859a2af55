import { definePrompt } from "../prompts.ts";

/** Asks again for an answer that did not fit its form. It follows the conversation it is about, so it has no system text. */
export const repairPrompt = definePrompt<{ faults: string }>({
  name: "repair",
  title: "Repair of an answer that does not fit its form",
  stable: "1",
  versions: {
    1: {
      system: "",
      user: ({ faults }) =>
        `Your answer does not fit the JSON Schema:\n${faults}\nAnswer again. Keep what was right, correct what was not, and write only the JSON.`,
    },
  },
});
