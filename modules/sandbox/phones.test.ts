import { expect, test } from "vitest";
import { phones } from "./phones.ts";

test("a crowd is spread as documented, within the bounds of chance", () => {
  const count = new Map<string, number>();
  const total = 20_000;
  for (let i = 0; i < total; i++) {
    const { persona, tone } = phones.characterOf(`+4915${String(i * 7919).padStart(9, "0")}`);
    const name = persona === "reply" ? tone : persona;
    count.set(name, (count.get(name) ?? 0) + 1);
  }
  const expected = { silent: 60, positive: 10, negative: 7, question: 7, stop: 6, help: 2, bounce: 5, softbounce: 3 };
  for (const [name, percent] of Object.entries(expected))
    expect(Math.abs(((count.get(name) ?? 0) / total) * 100 - percent), name).toBeLessThan(1);
});

test("on numbers reserved for fiction the last digit but one decides; on real ones it does not", () => {
  for (const prefix of ["+447700900", "+12025550", "+19075550"]) {
    const number = (digit: number) => `${prefix}1${digit}7`;
    expect(phones.characterOf(number(0)).persona).toBe("silent");
    expect(phones.characterOf(number(1))).toEqual({ persona: "reply", tone: "positive" });
    expect(phones.characterOf(number(4)).persona).toBe("stop");
    expect(phones.characterOf(number(6)).persona).toBe("bounce");
  }
  expect(
    new Set(Array.from({ length: 200 }, (_, i) => phones.characterOf(`+4915112${i}47`).persona)).size,
  ).toBeGreaterThan(3);
});

test("people answer once, a dead number gets nothing, and what they write is their own", () => {
  const acts = (number: string, first: boolean) => phones.planOf(number, first).map((s) => s.act);
  expect(acts("+447700900041", true)).toEqual(["deliver", "reply"]);
  expect(acts("+447700900041", false)).toEqual(["deliver"]);
  expect(acts("+447700900061", true)).toEqual(["bounce"]);
  expect(acts("+447700900071", true)).toEqual(["softbounce"]);
  const message = { from: { address: "+15005550006", name: "" } } as never;
  const text = (number: string) => phones.answer(message, number, false).text;
  expect([text("+447700900041"), text("+447700900051")]).toEqual(["Stop", "HELP"]);
  expect(text("+447700900011")).toBe(text("+447700900011"));
});
