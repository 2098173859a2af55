import { describe, expect, test } from "vitest";
import { testKernel } from "../../tests/support/kernel.ts";
import { uuid7 } from "../kernel/database/ids.ts";
import { bucketOf, definePrompt, pickPrompt, type Prompt, versionFor } from "./prompts.ts";

const t = testKernel();

const greeting = definePrompt<{ name: string }>({
  name: "test_greeting",
  title: "Greeting",
  stable: "1",
  versions: {
    1: { system: "Be brief.", user: ({ name }) => `Greet ${name}.` },
    2: { system: "Be warm.", user: ({ name }) => `Greet ${name} warmly.` },
    10: { system: "Be odd.", user: ({ name }) => `Greet ${name} oddly.` },
  },
});

describe("buckets", () => {
  const ids = Array.from({ length: 20_000 }, () => uuid7());
  const shareOf = (rollouts: { version: string; percent: number }[], version: string) =>
    ids.filter((id) => versionFor(greeting as Prompt<never>, rollouts, id) === version).length / ids.length;

  test("a contact always gets the same version, another prompt deals anew", () => {
    for (const id of ids.slice(0, 100)) expect(bucketOf("a", id)).toBe(bucketOf("a", id.toUpperCase()));
    const both = ids.filter((id) => bucketOf("a", id) < 1000 && bucketOf("b", id) < 1000).length / ids.length;
    expect(both).toBeGreaterThan(0.005);
    expect(both).toBeLessThan(0.016);
  });

  test.each([5, 20, 50])("%s per cent of contacts made one after the other get the new version", (percent) => {
    expect(Math.abs(shareOf([{ version: "2", percent }], "2") - percent / 100)).toBeLessThan(0.015);
  });

  test("a share that grows keeps the contacts it has, and versions do not overlap", () => {
    const of = (id: string, a: number, b = 0) =>
      versionFor(
        greeting as Prompt<never>,
        [...(b ? [{ version: "10", percent: b }] : []), { version: "2", percent: a }],
        id,
      );
    for (const id of ids.slice(0, 2000))
      if (of(id, 10) === "2") expect([of(id, 30), of(id, 10, 40)]).toEqual(["2", "2"]);
    expect(
      Math.abs(
        shareOf(
          [
            { version: "10", percent: 40 },
            { version: "2", percent: 60 },
          ],
          "1",
        ),
      ),
    ).toBe(0);
  });

  test("without a contact, and for a version that the code no longer has, the stable one is used", () => {
    expect(versionFor(greeting as Prompt<never>, [{ version: "2", percent: 100 }], null)).toBe("1");
    expect(versionFor(greeting as Prompt<never>, [{ version: "7", percent: 100 }], ids[0]!)).toBe("1");
  });
});

test("a team gives a version to a share and takes it back at once; another team is not touched", async () => {
  const team = await t.tenant();
  const other = await t.tenant();
  const pick = (of: typeof team) => of.run((tx) => pickPrompt(tx, greeting, uuid7()));
  const put = (rollout: object[]) => team.api("PUT", "/models/prompts", { prompt: "test_greeting", rollout });
  const { status, body } = await put([{ version: "2", percent: 100 }]);
  expect(status, JSON.stringify(body)).toBe(200);
  const shown = body.data.find((p: any) => p.prompt === "test_greeting");
  expect(shown.versions.map((v: any) => [v.version, v.percent])).toEqual([
    ["1", 0],
    ["2", 100],
    ["10", 0],
  ]);
  expect(await pick(team)).toMatchObject({ id: "test_greeting@2", system: "Be warm." });
  expect((await pick(team)).user({ name: "Ada" })).toBe("Greet Ada warmly.");
  expect((await pick(other)).id).toBe("test_greeting@1");
  await put([]);
  expect((await pick(team)).id).toBe("test_greeting@1");
});

test("shares that cannot be are refused by field, and only who may set models up changes them", async () => {
  const team = await t.tenant();
  const pointer = async (rollout: object[], prompt = "test_greeting") =>
    (await team.api("PUT", "/models/prompts", { prompt, rollout })).body.errors?.[0]?.pointer;
  expect(await pointer([], "no_such")).toBe("/prompt");
  expect(await pointer([{ version: "3", percent: 1 }])).toBe("/rollout/0/version");
  expect(await pointer([{ version: "1", percent: 1 }])).toBe("/rollout/0/version");
  expect(
    await pointer([
      { version: "2", percent: 60 },
      { version: "10", percent: 41 },
    ]),
  ).toBe("/rollout");
  expect(
    await pointer([
      { version: "2", percent: 1 },
      { version: "2", percent: 1 },
    ]),
  ).toBe("/rollout/1/version");
  const member = await team.member("member");
  const denied = await member.api("PUT", "/models/prompts", { prompt: "test_greeting", rollout: [] });
  expect(denied.status).toBe(403);
});

test("two prompts of one name, or a stable version that is none, do not start", () => {
  expect(() => definePrompt({ ...greeting })).toThrow(/two prompts/);
  expect(() => definePrompt({ ...greeting, name: "test_other", stable: "9" })).toThrow(/no version 9/);
});
