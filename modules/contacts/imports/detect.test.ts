import { describe, expect, it } from "vitest";
import { detectCsv, detectDelimiter, FileWatch, headerNames, refuseBinary } from "./detect.ts";
import { pieces } from "./upload.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const watched = (...parts: Uint8Array[]) => {
  const watch = new FileWatch();
  for (const part of parts) watch.add(part);
  return watch.finish();
};
const utf16 = (text: string, mark: boolean, big: boolean) => {
  const out = new Uint8Array((text.length + (mark ? 1 : 0)) * 2);
  const view = new DataView(out.buffer);
  [...(mark ? "\ufeff" : ""), ...text].forEach((c, i) => view.setUint16(i * 2, c.charCodeAt(0), !big));
  return out;
};

describe("kind of file", () => {
  it.each([
    ["a workbook or zip", [0x50, 0x4b, 3, 4, 20], "zip archive or an Excel workbook"],
    ["an old workbook", [0xd0, 0xcf, 0x11, 0xe0, 0xa1], "old Excel workbook"],
    ["gzip", [0x1f, 0x8b, 8], "gzip"],
    ["PDF", [0x25, 0x50, 0x44, 0x46, 0x2d], "PDF"],
    ["something binary", [1, 2, 0, 4, 0, 0, 0, 9, 9, 9, 9, 9], "binary file"],
  ])("refuses %s and says what it is", (_, head, what) =>
    expect(() => refuseBinary(new Uint8Array(head))).toThrow(what),
  );
  it("lets text pass, UTF-16 too", () => {
    expect(() => refuseBinary(bytes("email,name\n"))).not.toThrow();
    expect(() => refuseBinary(utf16("email,name\n", true, false))).not.toThrow();
    expect(() => refuseBinary(utf16("email,name\n", false, false))).not.toThrow();
  });
});

describe("encoding", () => {
  it("is UTF-8 when every byte agrees, across piece borders", () => {
    const all = bytes("name\nZoë\n");
    const cut = all.indexOf(0xc3) + 1;
    expect(watched(all.subarray(0, cut), all.subarray(cut)).encoding).toBe("utf-8");
  });
  it("is Windows-1252 when a single late byte is none", () => {
    expect(
      watched(bytes("name\n".repeat(100_000)), new Uint8Array([0x4d, 0xfc, 0x6c, 0x6c, 0x65, 0x72])).encoding,
    ).toBe("windows-1252");
    expect(
      detectCsv(
        new Uint8Array([...bytes("name;ort\nM"), 0xfc, ...bytes("ller;K"), 0xf6, ...bytes("ln\n")]),
        "windows-1252",
        false,
      ).preview_rows,
    ).toEqual([["Müller", "Köln"]]);
  });
  it("is UTF-8 cut off in the middle of a letter? then not UTF-8", () =>
    expect(watched(new Uint8Array([0x61, 0x0a, 0xc3])).encoding).toBe("windows-1252"));
  it.each([
    [true, false, "utf-16le"],
    [true, true, "utf-16be"],
    [false, false, "utf-16le"],
    [false, true, "utf-16be"],
  ] as const)("knows UTF-16 with mark %j, big endian %j", (mark, big, encoding) => {
    const file = utf16("email;name\nada@example.com;Ada\nbob@example.com;Bob\n", mark, big);
    expect(watched(file)).toMatchObject({ encoding, rows: 3 });
    expect(detectCsv(file, encoding, false)).toMatchObject({
      delimiter: ";",
      headers: ["email", "name"],
      preview_rows: [
        ["ada@example.com", "Ada"],
        ["bob@example.com", "Bob"],
      ],
    });
  });
  it("takes the UTF-8 mark off the first header", () =>
    expect(detectCsv(bytes("\ufeffemail,name\na@b.co,Ann\n"), "utf-8", false).headers).toEqual(["email", "name"]));
});

describe("rows", () => {
  it.each([
    ["a,b\n1,2\n3,4\n", 3],
    ["a,b\r\n1,2\r\n\r\n3,4", 3],
    ["a,b\r1,2\r3,4\r", 3],
    ['a,b\n"x\ny",2\n', 2],
    ["\n\n", 0],
  ])("of %j are counted as %i", (text, rows) => expect(watched(bytes(text)).rows).toBe(rows));
  it("are counted alike in pieces of any size", () => {
    const all = bytes('a,b\r\n"x\r\ny",2\r\n3,4\r\n');
    for (let size = 1; size < all.length; size++) {
      const parts: Uint8Array[] = [];
      for (let i = 0; i < all.length; i += size) parts.push(all.subarray(i, i + size));
      expect(watched(...parts).rows).toBe(3);
    }
  });
});

describe("delimiter and headers", () => {
  it.each([
    [",", 'name,email\n"Smith; John",a@b.co\n"Doe; Jane",c@d.co\n'],
    [";", "name;email;amount\nAnn;a@b.co;1,5\nBob;b@b.co;2,5\n"],
    ["\t", "name\temail\nAnn, the first\ta@b.co\n"],
    ["|", "name|email\nAnn|a@b.co\n"],
    [",", "email\na@b.co\n"],
  ])("%j is found", (delimiter, text) => expect(detectDelimiter(text)).toBe(delimiter));

  it("a first row with an address in it is no header", () => {
    expect(detectCsv(bytes("ada@example.com,Ada\nbob@example.com,Bob\n"), "utf-8", false)).toMatchObject({
      has_header: false,
      headers: ["Column 1", "Column 2"],
      preview_rows: [
        ["ada@example.com", "Ada"],
        ["bob@example.com", "Bob"],
      ],
    });
  });
  it("headers are unique and never empty", () =>
    expect(headerNames(["Email", " ", "Email", "Email"])).toEqual(["Email", "Column 2", "Email (2)", "Email (3)"]));
  it("shows at most ten rows and ignores the row the sample cut in half", () => {
    const text = `email,name\n${Array.from({ length: 30 }, (_, i) => `p${i}@example.com,"P ${i}"`).join("\n")}\nlast@example.com,"Cut`;
    expect(detectCsv(bytes(text), "utf-8", true).preview_rows).toHaveLength(10);
  });
  it.each([
    ["", "no rows"],
    ["email,name\n", "no rows"],
    ["\n\n\n", "no rows"],
  ])("%j is refused: %s", (text, message) => expect(() => detectCsv(bytes(text), "utf-8", false)).toThrow(message));
});

it("pieces have the size asked for and lose no byte", async () => {
  async function* network() {
    for (const size of [1, 7, 0, 100, 3, 64, 25]) yield new Uint8Array(size).fill(size);
  }
  const got: Uint8Array[] = [];
  for await (const piece of pieces(network(), 32)) got.push(piece);
  expect(got.map((p) => p.length)).toEqual([32, 32, 32, 32, 32, 32, 8]);
  expect(got.flatMap((p) => [...p])).toEqual([1, 7, 100, 3, 64, 25].flatMap((n) => Array<number>(n).fill(n)));
});
