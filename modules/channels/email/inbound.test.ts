import { describe, expect, test } from "vitest";
import { plain } from "../../kernel/text.ts";
import { type InboundMail, kindOf, readInbound, referencesOf } from "./inbound.ts";

type Over = {
  from?: { email: string; name?: string };
  subject?: string;
  text?: string;
  html?: string | null;
  headers?: Record<string, string>;
};
const mail = (over: Over = {}): InboundMail => ({
  provider_inbound_id: "in-1",
  from: { address: over.from?.email ?? "Rita@Example.com", name: over.from?.name ?? "Rita" },
  to: ["Sales@sandbox.test"],
  text: over.text ?? "Sounds good",
  details: {
    subject: over.subject ?? "Re: Hello",
    html: over.html ?? null,
    headers: over.headers ?? { "in-reply-to": "<first@sandbox.test>" },
    rfc_message_id: "<abc@example.com>",
  },
});

describe("what kind of mail it is", () => {
  const machine: [string, Over][] = [
    ["RFC 3834", { headers: { "auto-submitted": "auto-replied" } }],
    ["RFC 3834 with a parameter", { headers: { "auto-submitted": "Auto-Generated; owner=x" } }],
    ["Gmail's vacation responder", { headers: { "x-autoreply": "yes", precedence: "bulk", "in-reply-to": "<a@b>" } }],
    ["Precedence: auto_reply", { headers: { precedence: "auto_reply" } }],
    ["X-Autorespond", { headers: { "x-autorespond": "away" } }],
    [
      "an Exchange absence note",
      { subject: "Automatic reply: Hello", headers: { "x-auto-response-suppress": "All", "in-reply-to": "<a@b>" } },
    ],
    ["a read receipt", { headers: { "content-type": "multipart/report; report-type=disposition-notification" } }],
    ["a null return path", { headers: { "return-path": "<>" } }],
    ["a no-reply address", { from: { email: "no-reply@tickets.example.com" } }],
    ["a German subject alone", { subject: "Abwesenheitsnotiz: Hello", headers: {} }],
    ["a French subject alone", { subject: "Réponse automatique : Hello", headers: {} }],
    ["a Japanese subject alone", { subject: "自動返信: Hello", headers: {} }],
  ];
  test.each(machine)("auto_reply: %s", (_, over) => expect(kindOf(mail(over))).toBe("auto_reply"));

  // One for each language of a common mail server; each also with its accents as letters of their own, as macOS writes them.
  test.each([
    "Αυτόματη απάντηση: A question",
    "Εκτός γραφείου",
    "Automatski odgovor: A question",
    "Izvan ureda do 5. prosinca",
    "Réponse automatique : A question",
    "Absence du bureau",
    "Absence : A question",
    "Απουσία έως 5/12",
    "Odsutan do 5. prosinca",
    "Urlaub bis 5.12.",
    "Respuesta automática: A question",
    "Resposta automática: A question",
    "Risposta automatica: A question",
    "Automatisch antwoord: A question",
    "Automatická odpověď: A question",
    "Automatická odpoveď: A question",
    "Automatyczna odpowiedź: A question",
    "Nieobecność do 5 grudnia",
    "Automatikus válasz: A question",
    "Házon kívül: A question",
    "Răspuns automat: A question",
    "Samodejni odgovor: A question",
    "Автоматичен отговор: A question",
    "Автоматический ответ: A question",
    "Автоматична відповідь: A question",
    "Αυτόματη Απάντηση : A question",
    "Automaattinen vastaus: A question",
    "Autosvar: A question",
    "Automatiskt svar: A question",
    "Automatisk svar: A question",
    "Frånvaro: A question",
    "Sjálfvirkt svar: A question",
    "Automaatvastus: A question",
    "Automātiskā atbilde: A question",
    "Automatinis atsakymas: A question",
    "Otomatik yanıt: A question",
    "Trả lời tự động: A question",
    "ตอบกลับอัตโนมัติ: A question",
    "Balasan otomatis: A question",
    "自動返信: A question",
    "【自動返信】お問い合わせ",
    "自动回复: A question",
    "자동 회신: A question",
    "תשובה אוטומטית: A question",
    "رد تلقائي: A question",
    "Out-of-Office: A question",
    "[Automatic reply] A question",
    "OOO: back on Monday",
  ])("an absence note by its subject alone: %s", (subject) => {
    for (const written of [subject, subject.normalize("NFD"), subject.toUpperCase()])
      expect(kindOf(mail({ subject: written, headers: {} })), written).toBe("auto_reply");
  });
  test.each([
    "Absolutely, let us talk",
    "Automation question",
    "Office hours",
    "Vacation plans for the team",
    "Unsere Urlaubsplanung 2027",
    "Absentee voting",
    "Absence management for your HR team",
    "Assenza di risposta sul contratto",
    "Urlaubsplanung 2027",
    "Response to your question",
    "Re: Automatic reply: Hello",
    "A question about automatic replies",
    "Poisson distribution",
  ])("a person's subject that comes close: %s", (subject) => {
    expect(kindOf(mail({ subject, headers: {} }))).toBe("reply");
  });

  const report: [string, Over][] = [
    ["RFC 3464", { headers: { "content-type": 'multipart/report; report-type="delivery-status"; boundary=x' } }],
    ["X-Failed-Recipients", { headers: { "x-failed-recipients": "a@b.c", "auto-submitted": "auto-replied" } }],
    ["the mailer daemon", { from: { email: "MAILER-DAEMON@mx.example.com" } }],
  ];
  test.each(report)("delivery_report: %s", (_, over) => expect(kindOf(mail(over))).toBe("delivery_report"));

  const person: [string, Over][] = [
    ["an ordinary answer", {}],
    ["Auto-Submitted: no", { headers: { "auto-submitted": "no" } }],
    ["an answer that quotes an absence subject", { subject: "Out of office", headers: { "in-reply-to": "<a@b>" } }],
    ["a person writing through a group", { headers: { precedence: "list" } }],
    ["a name that starts like one", { from: { email: "noreplyson@example.com" } }],
    ["«on leave» within a sentence", { subject: "My boss is on leave", headers: {} }],
  ];
  test.each(person)("reply: %s", (_, over) => expect(kindOf(mail(over))).toBe("reply"));
});

describe("what it answers", () => {
  test("In-Reply-To comes first, then References from the newest back, each once", () => {
    expect(referencesOf({ "in-reply-to": "<c@x>", references: "<a@x>\r\n <b@x> <c@x>" })).toEqual([
      "<c@x>",
      "<b@x>",
      "<a@x>",
    ]);
  });
  test("prose in In-Reply-To does not count", () => {
    expect(referencesOf({ "in-reply-to": "Your message of Monday" })).toEqual([]);
  });
});

const visibleReply = (text: string): string => readInbound(mail({ text })).text;

describe("what is new in it", () => {
  const quoted =
    "Thursday works for me.\n\nOn Thu, Nov 19, 2026 at 10:00 AM Sales <sales@sandbox.test> wrote:\n> Are you free?\n> Regards";

  test("quoted history is cut from the text and kept in full_text", () => {
    const read = readInbound(mail({ text: quoted.replaceAll("\n", "\r\n") }));
    expect(read.text).toBe("Thursday works for me.");
    expect(read.full_text).toBe(quoted);
  });
  test("without history there is no second copy", () => {
    expect(readInbound(mail()).full_text).toBeNull();
  });
  test("an answer below the quote is not lost", () => {
    expect(visibleReply("> Are you free?\n\nYes, on Thursday.")).toContain("Yes, on Thursday.");
  });
  test("a mail that is all quote keeps its text", () => {
    expect(visibleReply("> only\n> quotes")).toContain("only");
  });

  const history = "\n\nHi Ada,\n\nfirst.";
  test.each([
    [
      "Danish",
      "Det lyder godt.",
      "Fra: Sam Sender <sam@outreach.example>\nSendt: 30. november 2026 10:00\nTil: Ada <ada@example.com>\nEmne: A question",
    ],
    [
      "Swedish",
      "Låter bra.",
      "Från: Sam Sender <sam@outreach.example>\nSkickat: den 30 november 2026 10:00\nTill: Ada\nÄmne: A question",
    ],
    [
      "Finnish",
      "Sopii.",
      "Lähettäjä: Sam Sender <sam@outreach.example>\nLähetetty: 30. marraskuuta 2026 10:00\nAihe: A question",
    ],
    [
      "German",
      "Klingt gut.",
      "Von: Sam Sender <sam@outreach.example>\nGesendet: Montag, 30. November 2026 10:00\nBetreff: A question",
    ],
    [
      "Portuguese",
      "Parece bom.",
      "De: Sam Sender <sam@outreach.example>\nEnviado: segunda-feira, 30 de novembro de 2026 10:00\nAssunto: A question",
    ],
    [
      "Russian",
      "Хорошо.",
      "От: Sam Sender <sam@outreach.example>\nОтправлено: 30 ноября 2026 г. 10:00\nТема: A question",
    ],
    [
      "Japanese",
      "了解です。",
      "差出人: Sam Sender <sam@outreach.example>\n送信日時: 2026年11月30日 10:00\n件名: A question",
    ],
    [
      "Outlook's divider",
      "Fine.",
      "________________________________\nFrom: Sam Sender <sam@outreach.example>\nSent: Monday, November 30, 2026 10:00\nSubject: A question",
    ],
    ["Russian Gmail", "Хорошо.", "пн, 30 нояб. 2026 г. в 10:00, Sam Sender <sam@outreach.example>:"],
    ["Japanese Gmail", "了解です。", "2026年11月30日(月) 10:00 Sam Sender <sam@outreach.example>:"],
  ])("the history that mail programs append is folded: %s", (_, answer, head) => {
    expect(visibleReply(`${answer}\n\n${head}${history}`)).toBe(answer);
  });

  const below = "\n\nOn Mon, 30 Nov 2026 at 10:00, Sam Sender <sam@outreach.example> wrote:\n> Hi Ada,\n>\n> first.\n";
  test.each([
    "Hello Sam, here are our answers.\n________________________________\n\nBudget: 10k, please send the contract.\n________________________________\n\nWe want to start on Monday.",
    "Hi Sam,\n\nOn Monday I talked to our CFO, and she wrote:\n\nwe can do it in Q1.\n\nSo yes.",
    "Hi Sam,\n\nLe directeur a écrit :\n\noui.\n\nVoilà.",
    "Our plan:\n-----\nStart in May.\n-----\nDone in June.",
    "Am Ende schrieb sie uns:\n\nja.\n\nAlso ja.",
  ])("what the person wrote is whole, whatever lines and words stand in it: %s", (answer) => {
    expect(visibleReply(answer + below)).toBe(answer);
  });

  // Each of these makes a naive parser run for minutes.
  test.each([
    ["blank lines", "\n".repeat(200_000)],
    ["spaces", `${" ".repeat(200_000)}x`],
    ["quote heads", "On a on at ".repeat(20_000)],
    ["quote heads in lines", "On a b\non at x <\n".repeat(10_000)],
    ["angle brackets", "From: <".repeat(20_000)],
    ["dashes", "-".repeat(200_000)],
  ])("hostile text is read in time: %s", (_, text) => {
    const started = performance.now();
    readInbound(mail({ text, headers: { references: "<".repeat(100_000) } }));
    expect(performance.now() - started).toBeLessThan(1500);
  });
});

describe("what the database can hold", () => {
  test("line breaks in subject and name, U+0000 and lone surrogates are gone", () => {
    const read = readInbound(
      mail({
        subject: "Re:\r\nBcc: x@y.z",
        from: { email: "Rita@Example.com", name: "R\u0000i\nta" },
        text: "a\u0000b\ud800c",
      }),
    );
    expect(read.subject).toBe("Re: Bcc: x@y.z");
    expect(read.from_name).toBe("R i ta");
    expect(read.from_address).toBe("rita@example.com");
    expect(read.text).toBe("ab\ufffdc");
  });
  test("sizes are bounded", () => {
    const read = readInbound(mail({ text: "x".repeat(1e6), html: "y".repeat(1e6), headers: { a: "z".repeat(1e5) } }));
    expect(read.text.length).toBe(100_000);
    expect(read.email!.html).toBeNull();
    expect(read.email!.headers.a!.length).toBe(2000);
    // Cut between characters, not within one.
    expect(plain("ab\ud83d\ude00", 3)).toBe("ab");
  });
});
