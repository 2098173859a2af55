import { expect, test } from "vitest";
import { setStage } from "../../conformance/stage.ts";
import { conformance } from "../../conformance/suite.ts";
import { searxng } from "./adapter.ts";
import { emulation } from "./emulation.ts";

conformance(searxng, emulation, {
  check: { bad: [{ access_token: "not-a-token" }] },
  search: { known: '"Famous" news', unknown: '"Nobody" news', units: { found: 0, miss: 0 } },
});

const stage = setStage(searxng, emulation);

test("without a base URL there is nothing to ask", async () => {
  const connection = { ...stage.fresh().connection, base_url: null };
  expect(await searxng.check(connection, stage.http())).toMatchObject({ ok: false, code: "no_base_url" });
  expect(await searxng.search!.search({ text: "x", kind: "web", limit: 1 }, connection, stage.http())).toMatchObject({
    outcome: "broken",
  });
});
