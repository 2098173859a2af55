import MailComposer from "nodemailer/lib/mail-composer";
import PostalMime from "postal-mime";
import { describe, expect, test } from "vitest";
import type { ExampleEmail } from "./fixtures.ts";
import { exampleEmail } from "./fixtures.ts";
import { addrSpec, mime, MimeError } from "./mime.ts";

// Held to nodemailer's own composer: the same headers, byte for byte, and bodies that another parser reads as the same text.

const DATE = new Date("2030-01-02T03:04:05Z");

const ours = (message: ReturnType<typeof exampleEmail>) => mime(message, DATE).bytes;

/** As nodemailer writes it to a server: every line break as CRLF. */
async function theirs({ from, to, content }: ReturnType<typeof exampleEmail>): Promise<Buffer> {
  const mail = new MailComposer({
    from: { address: from.address, name: from.name ?? "" },
    to: { address: to.address, name: to.name ?? "" },
    ...(content.reply_to ? { replyTo: content.reply_to } : {}),
    subject: content.subject,
    html: content.html,
    text: content.text,
    messageId: content.message_id,
    headers: content.headers,
    date: DATE,
  });
  const bytes = (await mail.compile().build()) as Buffer;
  return Buffer.from(bytes.toString("latin1").replace(/\r\n?|\n/g, "\r\n"), "latin1");
}

/** The header block without what each composer chooses for itself: the boundary, and how the one body is encoded. */
function headersOf(bytes: Buffer): string {
  const text = bytes.toString();
  return text
    .slice(0, text.indexOf("\r\n\r\n"))
    .replace(/boundary="[^"]+"/, 'boundary="B"')
    .replace(/\r\nContent-Transfer-Encoding: [^\r]+/, "");
}

const lines = (text: string | undefined) => (text ?? "").replace(/\r\n?/g, "\n").replace(/\n+$/, "");

async function expectSame(message: ReturnType<typeof exampleEmail>): Promise<void> {
  const [mine, other] = [ours(message), await theirs(message)];
  expect(headersOf(mine)).toBe(headersOf(other));
  const [read, expected] = [await PostalMime.parse(mine), await PostalMime.parse(other)];
  expect(lines(read.text)).toBe(lines(expected.text));
  expect(lines(read.html)).toBe(lines(expected.html));
  expect(read.attachments).toEqual([]);
  expect(read.headers.map((h) => h.key)).toEqual(expected.headers.map((h) => h.key));
  const written = [message.content.text, message.content.html].filter((text) => text !== "");
  expect(expectLawful(mine).map(lines)).toEqual(written.map((text) => lines(text.toWellFormed())));
}

/** What RFC 5322, 2047 and 2045 ask of every mail. Gives the bodies, decoded. */
function expectLawful(bytes: Buffer): string[] {
  const text = bytes.toString("latin1");
  expect(text).not.toMatch(/\r(?!\n)|(?<!\r)\n|\0/);
  expect(text.endsWith("\r\n")).toBe(true);
  for (const line of text.split("\r\n")) expect(line.length).toBeLessThanOrEqual(998);
  const head = text.slice(0, text.indexOf("\r\n\r\n"));
  for (const line of head.split("\r\n")) {
    expect(line.trim()).not.toBe("");
    if (line.length > 78) expect(line, "a longer line has no place to be folded at").toMatch(/^(?:[^\s:]+:)? ?\S+$/);
  }
  for (const [word, encoding, data] of head.matchAll(/=\?UTF-8\?([QB])\?([^?\s]*)\?=/g)) {
    expect(word.length).toBeLessThanOrEqual(75);
    const decoded = encoding === "B" ? Buffer.from(data!, "base64") : unquoted(data!);
    new TextDecoder("utf-8", { fatal: true }).decode(decoded); // an encoded word holds whole characters
  }
  const boundary = /boundary="([^"]+)"/.exec(head)?.[1];
  const rest = text.slice(head.length + 4);
  const parts = boundary
    ? rest
        .split(`--${boundary}`)
        .slice(1, -1)
        .map((part) => part.slice(2, -2))
    : [`${/Content-Transfer-Encoding: .*/.exec(head)![0]}\r\n\r\n${rest}`];
  expect(parts).toHaveLength(boundary ? 2 : 1);
  return parts.map((part) => {
    const encoding = /Content-Transfer-Encoding: (\S+)/.exec(part)![1];
    const body = part.slice(part.indexOf("\r\n\r\n") + 4);
    for (const line of body.split("\r\n")) {
      expect(line).toMatch(encoding === "base64" ? /^[A-Za-z0-9+/=]{0,76}$/ : /^[\t -~]{0,76}$/);
      if (encoding === "quoted-printable") expect(line).not.toMatch(/[ \t]$|=(?![0-9A-F]{2}|$)/);
    }
    if (encoding === "base64") return Buffer.from(body, "base64").toString();
    return encoding === "quoted-printable" ? unquoted(body.replaceAll("=\r\n", "")).toString() : body;
  });
}

const unquoted = (text: string) =>
  Buffer.from(
    text.replace(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16))),
    "latin1",
  );

const LONG_WORD = "x".repeat(150);
const EMOJI = "👩‍👩‍👧‍👦 🇪🇺 naïve 👍🏽";
const CJK = "日本語の件名はとても長くなることがあります。".repeat(6);
const RTL = "שלום עולם، مرحبا بالعالم";

const TEXTS: Record<string, string> = {
  ASCII: "Hello there",
  umlauts: "Grüße aus Köln, schöne Straße",
  emoji: EMOJI.repeat(10),
  CJK,
  "right to left": RTL,
  "long line": "word ".repeat(400).trim(),
  "long word": `a ${"y".repeat(2500)} b`,
  "long word of umlauts": "ü".repeat(1200),
  "a line of 76 and one of 77": `${"a".repeat(76)}\n${"b".repeat(77)}\nc`,
  "76 exactly": `${"a".repeat(76)}\n${"b".repeat(76)}`,
  "trailing spaces": "one  \ntwo\t\nthree \t \n ü ",
  "dots at line starts": ".\n..\n.a\n\n. b\nü\n.",
  "bare CR, bare LF, CRLF": "a\rb\nc\r\nd\r\re\n\r\nf ü",
  "line breaks alone": "\n\n\r\n\r",
  tabs: "\tü\t\t=\t",
  "equals signs": "a=b==c=3D =_ =_x\n=_",
  "NUL and control characters": "a\0b\u0001\u0007\u001b[0m\u007f\u0085 c",
  "a lone surrogate": "a\ud800b\udc00 c",
  "what looks like a boundary": "--=_x\n----_NmP-1-Part_1--\n--",
  "From at a line start": "From me\n>From you\nFrom: x",
  "separators beyond ASCII": "a\u2028b\u2029c\u00a0d\ufeffe",
};

const HEADER_TEXTS: Record<string, string> = {
  ASCII: "A question",
  umlauts: "Grüße & eine Frage",
  emoji: EMOJI,
  CJK,
  "right to left": RTL,
  quotes: 'About "your" offer',
  long: "A very long subject that goes on and on ".repeat(6).trim(),
  "long with umlauts": "Über die Brücke führt ein schöner Weg ".repeat(8).trim(),
  "long word": LONG_WORD,
  "what looks encoded": "=?utf-8?Q?a b?= and =?x?= =?UTF-8?Q?ok?=",
  "line breaks": "a\r\nBcc: victim@example.com\rX: y\nZ: w",
  "control characters": "a\0b\u0007c\u007f",
  tabs: "a\tb",
  "many spaces": `a${" ".repeat(20)}b`,
  colon: "Re: Fwd: x: y",
};

describe("a mail is the one nodemailer would compose", () => {
  test.each(Object.entries(TEXTS))("with a body of %s", async (_, text) => {
    await expectSame(exampleEmail({ text, html: `<p>${text}</p>` }));
    await expectSame(exampleEmail({ text, html: "" }));
    await expectSame(exampleEmail({ text: "", html: `<p>${text}</p>` }));
  });

  test.each(Object.entries(HEADER_TEXTS))("with a subject, names and a header of %s", async (_, value) => {
    const name = value.trim();
    await expectSame(
      exampleEmail({
        subject: value,
        from: { address: "sales@sandbox.test", name },
        to: { address: "reader@example.com", name },
        headers: { "X-Note": value, "List-Help": value },
      }),
    );
  });

  test("with each kind of address", async () => {
    for (const address of [
      "plain@example.com",
      "plus+tag@sub.example.co",
      "UPPER@EXAMPLE.COM",
      "o'neil@example.com",
      "a@bücher.example",
      "zoë@bücher.example",
      "zoë@example.com",
      '"quoted one"@example.com',
      "two words@example.com",
      "a..b@example.com",
      "a@[192.0.2.1]",
      "a@1.2.3.4",
      "a@xn--bcher-kva.example",
      "a@x",
      "evil@example.com> SIZE=1",
      "evil@example.com\r\nBcc: victim@example.com",
      "a, b@example.com",
    ]) {
      for (const name of [null, "Ada", 'Ada, the "first" \\ one', "Zoë Ünal", CJK]) {
        await expectSame(
          exampleEmail({ from: { address, name }, to: { address, name }, reply_to: address.split(/[\r\n]/)[0]! }),
        );
      }
    }
    await expectSame(exampleEmail({ reply_to: "Ada Sender <ada@example.com>" }));
    await expectSame(exampleEmail({ reply_to: null }));
  });

  test("with long chains of references and long links", async () => {
    const id = (n: number) => `<${"a".repeat(60)}.${n}@mail.example.com>`;
    await expectSame(
      exampleEmail({
        headers: {
          References: Array.from({ length: 21 }, (_, n) => id(n)).join(" "),
          "In-Reply-To": id(20),
          "List-Unsubscribe": `<https://links.example.com/u/${"t".repeat(400)}>, <mailto:u@example.com?subject=${"s".repeat(200)}>`,
          "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
          "X-Empty": "",
        },
      }),
    );
    await expectSame(exampleEmail({ headers: { References: "bare@x <b c@y>  \t<d@z>", "In-Reply-To": "bare@x" } }));
  });

  test("with neither subject nor body", async () => {
    const empty = exampleEmail({ subject: "", text: "", html: "", headers: {} });
    expect(headersOf(ours(empty))).toBe(`${headersOf(await theirs(empty))}; charset=utf-8`);
    expect((await PostalMime.parse(ours(empty))).text?.trim() ?? "").toBe("");
    expectLawful(ours(empty));
  });

  test("with anything at all", async () => {
    // Mulberry32: the same thousand mails in every run.
    let seed = 20300102;
    const random = () => {
      seed = (seed + 0x6d2b79f5) | 0;
      let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
    const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
    const BITS = [
      ..."abc .,=?_\"'<>@;:\\()\t-",
      "ü",
      "ß",
      "日",
      "本",
      "👍",
      "שׁ",
      "\n",
      "\r\n",
      "\r",
      "\0",
      "word",
      "=?",
      "?=",
      "--",
    ];
    const some = (most: number, from: readonly string[] = BITS) =>
      Array.from({ length: Math.floor(random() * most) }, () => pick(from)).join("");
    // A line of the head has no break that its sender did not mean, and no run of spaces longer than a line.
    const line = (most: number) =>
      some(
        most,
        BITS.filter((bit) => !/[\r\n\t\0]/.test(bit)),
      )
        .replace(/ {3,}/g, "  ")
        .trim();
    for (let i = 0; i < 1000; i++) {
      const address = `${pick(["a", "b.c", "x+y", "zoë", "p q", 'r"s'])}@${pick(["example.com", "bücher.example", "Example.ORG"])}`;
      const message = exampleEmail({
        id: `message-${i}`,
        from: { address, name: line(30) },
        to: { address, name: line(60) },
        subject: line(pick([10, 100, 400])),
        text: some(pick([3, 50, 600])),
        html: some(pick([3, 50, 600])),
        headers: { "X-Some": line(100), "List-Help": `<https://example.com/${"h".repeat(random() * 300)}>` },
      });
      if (message.content.text === "" && message.content.html === "") continue;
      await expectSame(message);
    }
  });
});

describe("a mail", () => {
  test("has no header or recipient that a name, a subject or a header's name or value smuggled in", async () => {
    const evil = "x\r\nBcc: victim@example.com\r\n\r\nbody";
    const message = exampleEmail({
      subject: evil,
      from: { address: "sales@sandbox.test", name: evil },
      to: { address: "reader@example.com", name: evil },
      reply_to: "r@sandbox.test\r\nBcc: victim@example.com",
      message_id: "<a@b>\r\nBcc: victim@example.com",
      headers: {
        "X-One": evil,
        "Bcc: victim@example.com\r\nX": "1",
        Bcc: "victim@example.com",
        "b\r\ncc": "victim@example.com",
        From: "ceo@example.com",
        "Content-Type": "text/x-evil",
        References: evil,
      },
    });
    const names = headersOf(ours(message))
      .split("\r\n")
      .filter((line) => !/^\s/.test(line))
      .map((line) => line.slice(0, line.indexOf(":")));
    expect(names).toEqual([
      "X-One",
      "Bccvictim@example.comX",
      "References",
      "From",
      "To",
      "Reply-To",
      "Subject",
      "Message-ID",
      "Date",
      "MIME-Version",
      "Content-Type",
    ]);
    const read = await PostalMime.parse(ours(message));
    expect(read.bcc ?? []).toEqual([]);
    expect(read.to?.map((a) => a.address)).toEqual(["reader@example.com"]);
    expect(lines(read.text)).toBe("Hello");
  });

  test("has no text that ends its part, however it is written", async () => {
    const id = "0198c0ff-ee00-7000-8000-000000000001";
    for (const ending of [`--=_${id}--`, `--=_${id}`]) {
      const text = `one\n${ending}\nContent-Type: text/plain\n\ntwo`;
      const read = await PostalMime.parse(ours(exampleEmail({ id, text, html: `<p>\n${ending}\n</p>` })));
      expect(lines(read.text)).toBe(text);
      expect(read.html).toContain(ending);
    }
  });

  test("leaves out message IDs that no line can hold or not every server takes, and refuses other headers too long for a line", () => {
    const id = "<a@example.com>";
    const references = `${id} <${"b".repeat(1000)}@x> <zoë@x> <c@example.com>`;
    const headers = { References: references, "In-Reply-To": `<${"b".repeat(1000)}@x>` };
    const head = headersOf(ours(exampleEmail({ headers })));
    expect(head).toContain(`References: ${id} <c@example.com>\r\n`);
    expect(head).not.toContain("In-Reply-To");
    const url = `<https://example.com/${"u".repeat(1000)}>`;
    expect(() => ours(exampleEmail({ headers: { "List-Unsubscribe": url } }))).toThrow(MimeError);
    const subject = "s".repeat(2000);
    const long = ours(exampleEmail({ subject }));
    expectLawful(long);
    return expect(PostalMime.parse(long)).resolves.toMatchObject({ subject });
  });

  test("says whether its headers need a server with SMTPUTF8", () => {
    const utf8 = (message: ExampleEmail) => mime(exampleEmail(message), DATE).utf8;
    expect(utf8({ subject: "Grüße", from: { address: "a@bücher.example", name: "Zoë" }, text: "ü" })).toBe(false);
    expect(utf8({ to: { address: "zoë@example.com" } })).toBe(true);
    expect(utf8({ reply_to: "zoë@example.com" })).toBe(true);
  });

  test("names the same address in the envelope as in the header", () => {
    expect(addrSpec("Ada@Example.COM")).toBe("Ada@example.com");
    expect(addrSpec("a@bücher.example")).toBe("a@xn--bcher-kva.example");
    expect(addrSpec("zoë@bücher.example")).toBe("zoë@bücher.example");
    expect(addrSpec("two words@example.com")).toBe('"two words"@example.com');
    for (const evil of ["a@example.com>\r\nRCPT TO:<b@example.com", "a@example.com> NOTIFY=NEVER"])
      expect(addrSpec(evil)).not.toMatch(/[\r\n<>]/);
  });
});
