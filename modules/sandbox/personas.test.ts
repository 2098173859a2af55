import { expect, test } from "vitest";
import { characterOf, planOf, replyText } from "./personas.ts";

test("a crowd is spread as documented, within the bounds of chance", () => {
  const count = new Map<string, number>();
  const total = 20_000;
  for (let i = 0; i < total; i++) {
    const { persona } = characterOf(`person${i}@company${i % 97}.com`);
    count.set(persona, (count.get(persona) ?? 0) + 1);
  }
  const expected = {
    silent: 30,
    open: 32,
    click: 14,
    reply: 9,
    ooo: 3,
    bounce: 4,
    softbounce: 3,
    unsubscribe: 3,
    complain: 2,
  };
  for (const [persona, percent] of Object.entries(expected)) {
    const got = ((count.get(persona) ?? 0) / total) * 100;
    expect(Math.abs(got - percent), `${persona}: ${got.toFixed(1)} %`).toBeLessThan(1);
  }
});

test("an address always behaves the same, whatever its case", () => {
  expect(characterOf("Ann@Company.com")).toEqual(characterOf("ann@company.com"));
  expect(planOf("Ann@company.com", true)).toEqual(planOf("ann@company.com", true));
});

test("on reserved domains the word before + decides; on real domains it does not", () => {
  for (const domain of ["example.com", "shop.example.org", "people.test", "x.invalid"]) {
    expect(characterOf(`bounce+1@${domain}`).persona).toBe("bounce");
    expect(characterOf(`reply-negative+1@${domain}`)).toMatchObject({ persona: "reply", tone: "negative" });
    expect(characterOf(`delivered@${domain}`).persona).toBe("silent");
  }
  const real = new Set(Array.from({ length: 200 }, (_, i) => characterOf(`bounce+${i}@gmail.com`).persona));
  expect(real.size).toBeGreaterThan(3);
});

test("a bounce is never delivered; people answer, leave or complain once", () => {
  const acts = (address: string, first: boolean) => planOf(address, first).map((s) => s.act);
  expect(acts("bounce+1@example.com", true)).toEqual(["bounce"]);
  expect(acts("reply+1@example.com", true)).toEqual(["deliver", "open", "reply"]);
  expect(acts("reply+1@example.com", false)).toEqual(["deliver", "open"]);
  expect(acts("unsubscribe+1@example.com", true)).toEqual(["deliver", "open", "unsubscribe"]);
  expect(acts("ooo+1@example.com", false)).toEqual(["deliver", "autoreply"]);
  for (const step of planOf("reply+1@example.com", true)) expect(step.after).toBeLessThan(30);
});

test("replies fit their tone", () => {
  expect(replyText("reply-negative+1@example.com")).toMatch(/not interested|No thanks/);
  expect(replyText("reply-question+1@example.com")).toMatch(/\?/);
});
