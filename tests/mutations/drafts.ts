import { of, type Mutation } from "./mutation.ts";

/** What the checker of drafts refuses. */

const GROUND = "modules/drafts/checker/ground.test.ts";

export const drafts: readonly Mutation[] = of("hostile input", [
  {
    promise: "What a page tells a machine to do backs no sentence of a draft",
    file: "modules/drafts/checker/evidence.ts",
    find: "      if (isInstruction(sentence)) break;\n",
    replace: "",
    test: GROUND,
    name: "what a page tells a machine to do backs nothing",
  },
  {
    promise: "A finding about somebody else backs no sentence about the recipient",
    file: "modules/drafts/checker/ground.ts",
    find: 'if (source.about !== "other") return null;',
    replace: "if (source.about !== clause.text) return null;",
    test: GROUND,
    name: "another company's fact backs only a sentence that names it",
  },
]);
