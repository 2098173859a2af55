import { expect, test } from "vitest";
import decode from "jsqr";
import { drawQr, QUIET_ZONE } from "./qr.ts";

/** What a camera sees of the drawing: pixels, `scale` of them per module. */
function paint({ size, path }: { size: number; path: string }, scale = 4) {
  const width = size * scale;
  const pixels = new Uint8ClampedArray(width * width * 4).fill(255);
  for (const [, x, y, run] of path.matchAll(/M(\d+) (\d+)h(\d+)v1h-\d+z/g))
    for (let row = Number(y) * scale; row < (Number(y) + 1) * scale; row++)
      for (let col = Number(x) * scale; col < (Number(x) + Number(run)) * scale; col++)
        pixels.fill(0, (row * width + col) * 4, (row * width + col) * 4 + 3);
  return { pixels, width };
}
const link = (email: string) =>
  `otpauth://totp/Overture:${encodeURIComponent(email)}?secret=${"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"}&issuer=Overture`;

test.each([
  ["a usual address", link("ada@people.example")],
  ["the longest address", link(`${"a".repeat(64)}@${"b".repeat(185)}.com`)],
  ["an address in other letters", link("grüße@пример.example")],
])("a reader finds the whole link in the drawing: %s", (_what, text) => {
  const { pixels, width } = paint(drawQr(text));
  expect(decode(pixels, width, width)?.data).toBe(text);
});

test("the drawing has white on every side, as wide as readers need", () => {
  const drawing = drawQr(link("ada@people.example"));
  const runs = [...drawing.path.matchAll(/M(\d+) (\d+)h(\d+)/g)].map((m) => m.slice(1).map(Number));
  expect(Math.min(...runs.map(([x]) => x!))).toBe(QUIET_ZONE);
  expect(Math.min(...runs.map(([, y]) => y!))).toBe(QUIET_ZONE);
  expect(Math.max(...runs.map(([x, , run]) => x! + run!))).toBe(drawing.size - QUIET_ZONE);
  expect(Math.max(...runs.map(([, y]) => y! + 1))).toBe(drawing.size - QUIET_ZONE);
});
