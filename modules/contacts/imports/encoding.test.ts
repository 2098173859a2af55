import { describe, expect, test } from "vitest";
import { importer } from "../../../tests/support/import-file.ts";
import { testKernel } from "../../../tests/support/kernel.ts";
import { detectCsv, FileWatch, headerNames } from "./detect.ts";
import { damage, type Encoding, ENCODINGS, Evidence } from "./encoding.ts";

// A file is read in the encoding it was written in, or a person sees that it is not and chooses.

/** The text in an encoding that the platform only decodes: each character is looked up in what its bytes decode to. */
function encoded(text: string, encoding: string): Uint8Array {
  const bytesOf = new Map<string, number[]>();
  const decoder = new TextDecoder(encoding);
  const note = (bytes: number[]) => {
    const read = decoder.decode(new Uint8Array(bytes));
    if ([...read].length === 1 && read !== "\ufffd" && !bytesOf.has(read)) bytesOf.set(read, bytes);
  };
  for (let a = 0x80; a < 0x100; a++) note([a]);
  if (/shift_jis|gb|euc|big5/.test(encoding))
    for (let a = 0x81; a < 0xff; a++) for (let b = 0x40; b < 0xff; b++) note([a, b]);
  return new Uint8Array(
    [...text].flatMap((c) => {
      if (c <= "\u007f") return [c.charCodeAt(0)];
      const found = bytesOf.get(c);
      if (!found) throw new Error(`${encoding} has no ${c}`);
      return found;
    }),
  );
}

const fileOf = (names: readonly string[]) =>
  `email,first_name\n${names.map((name, i) => `p${i}@example.com,${name}\n`).join("")}`;
const watched = (bytes: Uint8Array, piece = bytes.length) => {
  const watch = new FileWatch();
  for (let at = 0; at < bytes.length; at += piece) watch.add(bytes.subarray(at, at + piece));
  return watch.finish();
};

const LISTS: readonly [Encoding, string][] = [
  ["windows-1251", "Иван Петров|Ольга Смирнова|Дмитрий Соколов|Наталья Кузнецова"],
  ["koi8-r", "Иван Петров|Ольга Смирнова|Дмитрий Соколов|Наталья Кузнецова"],
  ["windows-1252", "Jürgen Müller|René Lefèvre|José Muñoz|João Conceição|Søren Åberg"],
  ["windows-1252", "Jürgen Müller|Jörg Schröder|Käthe Weiß"],
  // Excel on a Mac.
  ["macintosh", "René Müller|José Muñoz|Søren Åberg|François Lefèvre"],
  ["macintosh", "Jürgen Müller|Jörg Schröder|Käthe Weiß"],
  ["windows-1250", "Łukasz Wiśniewski|Małgorzata Dąbrowska|Zażółć Gęślą"],
  ["windows-1250", "Jiří Dvořák|Tomáš Novák|Kateřina Černá"],
  ["windows-1250", "Győző Szűcs|László Kővári|Ágnes Tóth"],
  ["windows-1254", "Ayşe Yılmaz|Oğuz Çelik|İbrahim Şahin"],
  ["windows-1253", "Γιώργος Παπαδόπουλος|Μαρία Νικολάου|Ελένη Δημητρίου"],
  ["windows-1255", "דוד כהן|שרה לוי|משה פרץ"],
  ["windows-1256", "محمد علي|فاطمة حسن|خالد عبدالله"],
  ["shift_jis", "山田太郎|佐藤花子|鈴木一郎|たなか ゆうこ"],
  ["euc-jp", "山田太郎|佐藤花子|鈴木一郎|たなか ゆうこ|スズキ"],
  ["gb18030", "王伟|李娜|张敏|刘洋|陈静|杨勇"],
  ["euc-kr", "김철수|이영희|박민수|최지우"],
  ["big5", "陳大文|林志明|黃美麗|張國榮"],
];

test.each(LISTS)("a list of names in %s is known: %s", (encoding, names) => {
  const file = encoded(fileOf(names.split("|")), encoding);
  // In pieces as well, whose borders cut words.
  for (const found of [watched(file), watched(file, 7)]) expect(found.encoding).toBe(encoding);
  expect(detectCsv(file, encoding, false).preview_rows.map((row) => row[1])).toEqual(names.split("|"));
});

test("one short name is read, or what it could be is shown with a warning", () => {
  for (const [encoding, name] of [
    ["windows-1251", "Иван"],
    ["koi8-r", "Иван"],
    ["windows-1252", "Jörg"],
    ["windows-1250", "Jiří"],
    ["windows-1254", "Ayşe"],
    ["windows-1253", "Γιώργος"],
    ["shift_jis", "山田"],
    ["gb18030", "王伟"],
    ["euc-kr", "김철수"],
  ] as const) {
    const found = watched(encoded(fileOf([name]), encoding));
    const read = new TextDecoder(found.encoding).decode(encoded(name, encoding));
    expect(
      read === name || (found.warning !== null && found.examples.some((e) => e.text === name)),
      `${encoding}: ${read}`,
    ).toBe(true);
  }
});

test("what is sure is no guess: UTF-8, UTF-16 and ISO-2022-JP; mere UTF-8 with a broken letter stays UTF-8", () => {
  const utf8 = new TextEncoder().encode(fileOf(["Иван", "Zoë", "山田"]));
  expect(watched(utf8)).toMatchObject({ encoding: "utf-8", warning: null });
  const japanese = new Uint8Array([
    ...new TextEncoder().encode("email,name\na@b.co,"),
    0x1b,
    0x24,
    0x42,
    0x3b,
    0x33,
    0x1b,
    0x28,
    0x42,
    0x0a,
  ]);
  expect(watched(japanese).encoding).toBe("iso-2022-jp");
  expect(detectCsv(japanese, "iso-2022-jp", false).preview_rows[0]![1]).toBe("山");
  const names = ["Müller", "Jörg", "Käthe", "René", "Zoë", "José", "Łukasz"];
  const broken = new Uint8Array([...new TextEncoder().encode(fileOf(names)), ...[0x78, 0xc3, 0x0a]]);
  expect(watched(broken).encoding).toBe("utf-8");
  expect(detectCsv(broken, "utf-8", false).encoding_warning).toContain("cannot be read");
});

test("text that was damaged before shows it, and a choice that makes no words too", () => {
  for (const text of ["MÃ¼ller", "Ð˜Ð²Ð°Ð½", "Oâ€™Brien", "Ada\ufffd"]) expect(damage(text), text).not.toBeNull();
  for (const text of ["SÃO PAULO", "Ângela", "Müller", "Иван", "Ðuro", "naïve – “x”", "Âge"])
    expect(damage(text), text).toBeNull();
  const evidence = new Evidence();
  evidence.add(encoded(fileOf(["Иван", "Ольга"]), "windows-1251"), true);
  expect(evidence.doubt("windows-1251")).toBeNull();
  for (const wrong of ["koi8-r", "windows-1252", "utf-8", "shift_jis"] as const)
    expect(evidence.doubt(wrong), wrong).not.toBeNull();
});

test("every encoding that is offered can be decoded here", () => {
  for (const encoding of ENCODINGS) expect(new TextDecoder(encoding).encoding).toBe(encoding);
});

test("headers are unique whatever they are called", () => {
  expect(headerNames(["A", "A", "A (2)", "", "Column 4", "A"])).toEqual([
    "A",
    "A (3)",
    "A (2)",
    "Column 4",
    "Column 4 (2)",
    "A (4)",
  ]);
});

describe("an import", () => {
  const t = testKernel();
  const file = encoded("email,first_name\nivan@example.com,Иван\n", "windows-1251");

  test("of Cyrillic in Windows-1251 has the name as it was written", async () => {
    const { people, detected } = await importer(t)(await t.tenant(), file);
    expect([people[0]!.first_name, detected.encoding]).toEqual(["Иван", "windows-1251"]);
  });

  test("is read in the encoding that a person chooses, before and after the upload, with headers and rows to look at", async () => {
    const team = await t.tenant();
    const headers = { "content-type": "text/csv" };
    const japanese = encoded("メール,名前\nyamada@example.com,山田太郎\n", "shift_jis");
    const wrong = await team.api("POST", "/imports?file_name=a.csv&encoding=windows-1252", japanese, headers);
    expect(wrong.body.detected.encoding).toBe("windows-1252");
    expect(wrong.body.detected.encoding_warning).toEqual(expect.stringContaining("choose another encoding"));
    expect(wrong.body.detected.encoding_examples.map((e: any) => e.encoding)).toContain("shift_jis");
    const path = `/imports/${wrong.body.id}`;
    // A mapping of the old headers does not outlive them.
    const old = wrong.body.detected.headers as string[];
    await team.api("PUT", `${path}/mapping`, { mapping: { [old[0]!]: "email" } });
    const { status, body } = await team.api("PUT", `${path}/encoding`, { encoding: "shift_jis" });
    expect([status, body.status, body.mapping]).toEqual([200, "uploaded", {}]);
    expect(body.detected).toMatchObject({
      encoding: "shift_jis",
      encoding_warning: null,
      headers: ["メール", "名前"],
      preview_rows: [["yamada@example.com", "山田太郎"]],
    });
    await team.api("PUT", `${path}/mapping`, { mapping: { メール: "email", 名前: "first_name" } });
    await team.api("POST", `${path}/start`);
    await t.drain("contacts_import");
    expect((await team.api("GET", "/contacts")).body.data[0].first_name).toBe("山田太郎");
    expect((await team.api("PUT", `${path}/encoding`, { encoding: "utf-8" })).status).toBe(409);
    expect((await team.api("PUT", `${path}/encoding`, { encoding: "utf-7" })).body.errors[0].pointer).toBe("/encoding");
    expect((await (await t.tenant()).api("PUT", `${path}/encoding`, { encoding: "utf-8" })).status).toBe(404);
    expect((await (await team.member("viewer")).api("PUT", `${path}/encoding`, { encoding: "utf-8" })).status).toBe(
      403,
    );
  });
});
