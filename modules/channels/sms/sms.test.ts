import { describe, expect, test } from "vitest";
import { conformance, customKeys, person } from "../conformance.ts";
import { valuesOf } from "../variables.ts";
import { sms } from "./channel.ts";
import type { SmsInbound } from "./content.ts";
import { measureText, ucs2Characters } from "./encoding.ts";
import { keyword } from "./opt-out.ts";

const inbound = (text: string, over: Partial<SmsInbound> = {}) => ({
  provider_inbound_id: "SM1",
  from: { address: "+4915112345678" },
  to: ["+15005550006"],
  text,
  details: { opt_out: null, segments: 1, ...over },
});

conformance(sms, {
  addresses: [
    ["+49 151 1234-5678", "+4915112345678"],
    ["0049 (151) 12345678", "+4915112345678"],
    [" +1 (415) 555-2671 ", "+14155552671"],
    // As networks put it in front of an answer.
    ["+5215512345678", "+525512345678"],
  ],
  senders: [
    ["+1 415 555 2671", "+14155552671"],
    ["12345", "12345"],
    ["Acme Ltd", "Acme Ltd"],
    ["MG0123456789abcdef0123456789abcdef", "MG0123456789abcdef0123456789abcdef"],
  ],
  junk: ["call me at +49 151 12345678", "+49", "ada@example.com", "++4915112345678", "a name that is too long", "<x>"],
  template: (body) => ({ body }),
  long: (body) => ({ body }),
  fields: ["body"],
  refused: [
    { template: { body: "{{firstName}}" }, row: { first_name: "x".repeat(1531) }, fault: "segments_limit" },
    { template: { body: "{{title|}}" }, row: {}, fault: "body_empty" },
  ],
  outgoing: () => ({ lines: [], markup: [] }),
  from: { address: "+15005550006", name: "Sam", profile: {} },
  options: {},
  inbound: (text, details) => ({
    provider_inbound_id: details,
    from: { address: details, name: details },
    to: [details],
    text,
    details: { opt_out: null, segments: 1 },
  }),
  kinds: [
    ["STOP", "opt_out"],
    ["start", "opt_in"],
    ["Help", "help"],
    ["Yes", "reply"],
    ["", "reply"],
    ["I cannot stop thinking about it", "reply"],
  ],
});

describe("segments", () => {
  const of = (text: string) => {
    const { encoding, segments, units } = measureText(text);
    return [encoding, segments, units];
  };
  test("GSM-7: 160 in one, 153 in each of several", () => {
    expect(of("")).toEqual(["GSM-7", 0, 0]);
    expect(of("a".repeat(160))).toEqual(["GSM-7", 1, 160]);
    expect(of("a".repeat(161))).toEqual(["GSM-7", 2, 161]);
    expect(of("a".repeat(306))).toEqual(["GSM-7", 2, 306]);
    expect(of("a".repeat(307))).toEqual(["GSM-7", 3, 307]);
  });
  test("characters of the extension table count two, and an escape is never cut from its character", () => {
    expect(of("€".repeat(80))).toEqual(["GSM-7", 1, 160]);
    expect(of("€".repeat(81))).toEqual(["GSM-7", 2, 162]);
    // Beside a character of no GSM alphabet they are characters like any other.
    expect(of(`${"]".repeat(68)}😘`)).toEqual(["UCS-2", 1, 70]);
    // 152 and a pair: the pair does not fit into the one septet left of the first segment.
    expect(of(`${"a".repeat(152)}{${"a".repeat(151)}`)).toEqual(["GSM-7", 2, 305]);
    expect(of(`${"a".repeat(152)}{${"a".repeat(152)}`)).toEqual(["GSM-7", 3, 306]);
    expect(of("[]{}\\|^~€\f")).toEqual(["GSM-7", 1, 20]);
  });
  test("UCS-2: 70 in one, 67 in each of several; a surrogate pair is never cut", () => {
    expect(of("ш".repeat(70))).toEqual(["UCS-2", 1, 70]);
    expect(of("ш".repeat(71))).toEqual(["UCS-2", 2, 71]);
    expect(of("ш".repeat(135))).toEqual(["UCS-2", 3, 135]);
    expect(of("😀".repeat(35))).toEqual(["UCS-2", 1, 70]);
    expect(of("😀".repeat(66))).toEqual(["UCS-2", 2, 132]);
    // 33 pairs fill 66 of 67 units: the 67th cannot begin another.
    expect(of("😀".repeat(67))).toEqual(["UCS-2", 3, 134]);
  });
  test("the whole default alphabet is one segment's worth of septets", () => {
    const basic =
      "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
    expect([...basic]).toHaveLength(127);
    expect(of(basic)).toEqual(["GSM-7", 1, 127]);
    for (const c of "`çáíóúÀê\t") expect(of(c)[0], c).toBe("UCS-2");
  });
  test("characters outside the alphabet are named once with what to write", () => {
    expect(ucs2Characters("“Hi”… it’s ş – ş😀\u00a0€")).toEqual([
      { character: "“", replacement: '"' },
      { character: "”", replacement: '"' },
      { character: "…", replacement: "..." },
      { character: "’", replacement: "'" },
      { character: "ş", replacement: "s" },
      { character: "–", replacement: "-" },
      { character: "😀", replacement: null },
      { character: "\u00a0", replacement: " " },
    ]);
  });
});

describe("what the author is told", () => {
  const faults = (body: string) => sms.compile({ body }, { customKeys, first: true }).faults;
  test("a smart quote is a warning that names it and its replacement", () => {
    expect(faults("It’s us\u00a0…")).toMatchObject([{ level: "warning", id: "ucs2", field: "body" }]);
    expect(faults("It’s us\u00a0…")[0]!.detail).toContain(`"’" (use ' instead), U+00A0 (use a space instead)`);
  });
  test("it also looks at fallbacks", () => {
    expect(faults("Hi {{firstName|you’re}}")).toMatchObject([{ id: "ucs2" }]);
  });
  test("many segments are a warning, too many an error, counted without values", () => {
    expect(faults("a".repeat(459))).toEqual([]);
    expect(faults("a".repeat(460))).toMatchObject([{ level: "warning", id: "segments_many" }]);
    expect(faults(`${"a".repeat(1530)}{{firstName}}`)).toMatchObject([{ level: "warning" }]);
    expect(faults("a".repeat(1531))).toMatchObject([{ level: "error", id: "segments_limit" }]);
  });
  test("a person's values are measured with the text", () => {
    const compiled = sms.compile({ body: "Hi {{firstName}}" }, { customKeys, first: true });
    const measure = (first_name: string) =>
      sms.measure(
        sms.render(compiled, {
          valueOf: valuesOf({ ...person, first_name }),
          thread: { references: [], subject: null },
        }),
      );
    expect(measure("Ada")).toEqual({ encoding: "GSM-7", segments: 1, characters: 6 });
    expect(measure("Łukasz")).toEqual({ encoding: "UCS-2", segments: 1, characters: 9 });
    // A letter with its accent apart is the same letter.
    expect(measure("Rene\u0301")).toEqual({ encoding: "GSM-7", segments: 1, characters: 7 });
  });
  test("a value can neither turn nor hide the text around it", () => {
    const compiled = sms.compile({ body: "{{firstName}}: https://a.test" }, { customKeys, first: true });
    const out = sms.render(compiled, {
      valueOf: valuesOf({ ...person, first_name: "A\u202ed\u2066\u200ba\ufeff" }),
      thread: { references: [], subject: null },
    });
    expect(out.text).toBe("Ada: https://a.test");
  });
  test("links and line breaks stay as written", async () => {
    const compiled = sms.compile(
      { body: "Hi\r\n\r\nhttps://a.test/?x={{firstName}}&y=*b*" },
      { customKeys, first: true },
    );
    const out = sms.render(compiled, { valueOf: valuesOf(person), thread: { references: [], subject: null } });
    expect(out.text).toBe("Hi\n\nhttps://a.test/?x=Ada&y=*b*");
  });
});

describe("opt-out words", () => {
  test.each([
    ...'STOP,Stop!,"stop",«Stop»., stop ,STOP 😡,StopAll,stop-all,OPT-OUT,Opt out,unsubscribe,Cancel,END,quit,REVOKE,optout'.split(
      ",",
    ),
    ..."Stopp,abmelden,ABBESTELLEN,Arrêt,ARRET,désabonner,Baja,alto,Sair,PARAR,cancelar,disiscrivimi,Afmelden,uitschrijven,ZATRZYMAJ".split(
      ",",
    ),
    ..."rezygnuję,avsluta,afmeld,avmeld,Lopeta,İPTAL,iptal,dur,RET,СТОП,отписаться,הסר,توقف,إلغاء,停止,退订,TD,수신거부".split(
      ",",
    ),
  ])("%s lets the person go", (text) => expect(keyword(text)).toBe("opt_out"));
  test.each([
    "Stop. Thank you",
    "please STOP!",
    "Bitte abmelden, danke",
    "Arrêt s'il vous plaît",
    "STOP STOP",
    "Стоп, пожалуйста",
  ])("politely or twice, %s lets the person go", (text) => expect(keyword(text)).toBe("opt_out"));
  test.each(["START", "unstop", "Opt in", "subscribe", "Alta", "başlat"])("%s brings them back", (text) =>
    expect(keyword(text)).toBe("opt_in"),
  );
  test.each(["HELP", "info", "Hilfe", "Aide?", "ayuda", "pomoc"])("%s asks for help", (text) =>
    expect(keyword(text)).toBe("help"),
  );
  // Each holds such a word, or is one in another language.
  const ANSWERS = [
    "Yes",
    "no",
    "Fine",
    "Don't stop",
    "stop by on Tuesday",
    "Please call me at the end of the week",
    "We will have to cancel the meeting",
    "Peru",
    "Red",
    "The end?!",
    "can you help me",
    "stop start",
    "Info please",
    "Subscribe? No thanks",
    "Thank you",
    "s t o p",
    "nonstop",
    "?",
    "",
  ];
  test("a sentence that holds such a word stays an answer", () => {
    for (const text of ANSWERS) expect(keyword(text), text).toBeNull();
  });
  test("the provider's own reading wins over the words, both ways", () => {
    const kind = (text: string, opt_out: SmsInbound["opt_out"]) => sms.readInbound(inbound(text, { opt_out })).kind;
    expect(kind("yes", "start")).toBe("opt_in");
    expect(kind("genug", "stop")).toBe("opt_out");
    expect(kind("STOP", "help")).toBe("help");
    expect(kind("STOP", null)).toBe("opt_out");
  });
});

describe("inbound", () => {
  test("numbers in the normal form; short codes and names as they came", () => {
    expect(sms.readInbound(inbound("Hi"))).toMatchObject({
      from_address: "+4915112345678",
      to_address: "+15005550006",
      text: "Hi",
      full_text: null,
      content: { segments: 1 },
      email: null,
    });
    expect(sms.readInbound({ ...inbound("Hi"), from: { address: "72345" }, to: [] })).toMatchObject({
      from_address: "72345",
      to_address: "",
    });
    expect(sms.readInbound(inbound("Hi", { segments: Number.NaN })).content).toEqual({});
  });
  test("a text is cut between characters", () => {
    expect(sms.readInbound(inbound(`a${"😀".repeat(6000)}`)).text).toBe(`a${"😀".repeat(4999)}`);
  });
});
