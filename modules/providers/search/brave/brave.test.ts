import { expect, test } from "vitest";
import { setStage } from "../../conformance/stage.ts";
import { conformance } from "../../conformance/suite.ts";
import { brave } from "./adapter.ts";
import { emulation } from "./emulation.ts";

conformance(brave, emulation, {
  check: { bad: [{ api_key: "not-a-key" }] },
  search: { known: '"Famous" news', unknown: '"Nobody" news', units: { found: 1, miss: 1 } },
});

const stage = setStage(brave, emulation);

test("a long query is cut to what the API takes, not refused", async () => {
  const text = `"Famous" ${"word ".repeat(200)}`;
  const answer = await brave.search!.search({ text, kind: "web", limit: 5 }, stage.fresh().connection, stage.http());
  expect(answer.outcome).toBe("found");
});
