import { describe, expect, test } from "vitest";
import { wishOf } from "./wish.ts";

/** One plain wish a line, as people write them. */
const CLEAR = `
Please do not contact me again
Please do not contact me again.
remove me from your list
Remove me from your mailing list, please.
Please remove my email address from your database
unsubscribe
UNSUBSCRIBE
Unsubscribe me
Please unsubscribe me from this list
stop emailing me
STOP EMAILING ME!!!
Please stop sending me these emails.
Stop contacting us
Don’t email me again
Don't write to me any more
Never contact me again
Take me off your list
Not interested, please remove me from your list. Thanks
No thanks, please take me off your mailing list
Can you please remove me from your list?
Could you stop emailing me?
I would like to unsubscribe
I want to be removed from your mailing list
I no longer wish to receive emails from you
I do not wish to be contacted again
We do not want to hear from you again
No more emails please
Opt me out
Leave me alone.
Bitte schreiben Sie mir nicht mehr.
Bitte kontaktieren Sie mich nicht mehr
Bitte nehmen Sie mich aus Ihrem Verteiler
Bitte streichen Sie mich von Ihrer Liste!
Löschen Sie bitte meine Daten
Bitte löschen Sie mich aus Ihrem Verteiler. Danke
Keine weiteren E-Mails bitte
Ich möchte keine E-Mails mehr erhalten
Können Sie mich bitte aus Ihrem Verteiler entfernen?
Lassen Sie mich in Ruhe
Merci de ne plus me contacter
Ne me contactez plus
Veuillez me retirer de votre liste
Merci de me désinscrire
Arrêtez de m'envoyer des mails
Je ne souhaite plus recevoir vos mails
Por favor, no me contacten más
No me escriba más
Elimínenme de su lista
Quiero darme de baja
Dejen de enviarme correos
No vuelvan a escribirme
Non mi contatti più
Non contattatemi più
Per favore rimuovetemi dalla vostra lista
Smettete di scrivermi
Não me contacte mais
Por favor remova-me da sua lista
Parem de me enviar emails
Não quero receber mais e-mails
Mail mij niet meer
Verwijder mij uit uw lijst
Neem geen contact meer met mij op
Ik wil geen mails meer ontvangen
Proszę nie pisać więcej
Proszę usunąć mnie z listy
Proszę się ze mną nie kontaktować
Kontakta mig inte igen
Ta bort mig från er lista
Kontakt mig ikke igen
Fjern mig fra jeres liste
Ikke kontakt meg igjen
Fjern meg fra listen
Älkää ottako minuun enää yhteyttä
Poistakaa minut postituslistalta
Lütfen bana bir daha yazmayın
Beni listenizden çıkarın
Nekontaktujte mě
Vyřaďte mě ze seznamu
Kérem, többet ne írjanak
Kérem töröljenek a listáról
Vă rog să nu mă mai contactați
Nu mai doresc să primesc mesaje
Больше не пишите мне
Удалите меня из рассылки, пожалуйста
Не пишите мне больше
Будь ласка, не пишіть мені більше
Видаліть мене зі списку
Παρακαλώ μην επικοινωνήσετε ξανά μαζί μου
Διαγράψτε με από τη λίστα σας
אל תפנו אליי יותר
נא להסיר אותי מרשימת התפוצה
الرجاء عدم التواصل معي مرة أخرى
إلغاء الاشتراك
今後連絡しないでください
リストから削除してください
配信停止
请不要再联系我
請將我從名單中刪除
더 이상 연락하지 마세요
수신거부
`;

/** Which a member must read. */
const UNSURE = `
Please don't call me. Email is best.
Don't email. Call me on 0171 555 0101.
Please do not contact me again before the fair in May. We talk then.
Don't write to me. My colleague Bob takes care of this: bob@acme.test
Bitte schreiben Sie mir nicht mehr. Rufen Sie mich lieber an
Don't stop emailing me, I love spam!
Please do not contact me again before January, we have a freeze.
Unsubscribe?
How did you get my address?
This is spam.
My colleague asked me to tell you to stop emailing him at home, but I am interested.
Should I unsubscribe from the other list?
I will report you under GDPR.
Woher haben Sie meine Daten?
Wir wollen keine Werbung von Dritten, aber Ihr Angebot klingt gut.
Merci de ne plus me contacter par téléphone, le mail me convient.
`;

const ORDINARY = `
Don't bother. I'll book the demo myself.
Hi Sam, we don't need this right now. Please try again in Q3.
Ik wil niet.
Wij willen geen.
Ich möchte keine.
Nechci.
Nie chcę.
Never mind, I found it.
Don't send it yet.
Sounds good, let us talk on Monday.
Not interested.
No thanks
Please contact me again in January.
Can you send me more emails about pricing?
We stopped using that tool last year.
Please remove the second item from the offer.
Who else uses it?
I removed the attachment, see below.
Kein Interesse, danke.
Non, merci.
Ich melde mich nächste Woche.
Bitte kontaktieren Sie mich unter 0123 456.
今は結構忙しいです。
`;
const lines = (text: string) => text.trim().split("\n");

describe("what a reply asks for", () => {
  test.each(lines(CLEAR))("%s: an opt-out", (text) => expect(wishOf(text)).toMatchObject({ sure: true }));
  test.each(lines(UNSURE))("%s: a member is asked", (text) => expect(wishOf(text)).toMatchObject({ sure: false }));
  test.each(lines(ORDINARY))("%s: an ordinary answer", (text) => expect(wishOf(text)).toBeNull());
});

describe("where it stands", () => {
  test.each([
    [
      "between greeting and signature",
      "Hi Sam,\n\nPlease remove me from your list.\n\nThanks,\nAda Lovelace\nCTO, Engines Ltd",
    ],
    ["behind the greeting", "Hello Sam, please do not contact me again.\n\nBest regards\nAda"],
    ["over two lines", "We are not interested.\nPlease remove my email address from your mailing\nlist."],
    ["without a full stop above the name", "stop emailing me\nAda"],
    ["with a reason", "I left the company years ago. Please remove me from your list."],
    ["with a long signature", `Please unsubscribe me.\n\n--\nAda Lovelace\n${"Engines Ltd, London\n".repeat(40)}`],
  ])("%s: an opt-out, with its sentence on record", (_, text) => {
    const wish = wishOf(text)!;
    expect(wish.sure).toBe(true);
    expect(text.replace(/\s+/g, " ")).toContain(wish.words);
  });
  test("in a long answer a member is asked", () => {
    const long = `Thank you for the offer. ${"We looked at it with the whole team and have questions about it. ".repeat(8)}`;
    expect(wishOf(`Please do not contact me again. ${long}`)).toMatchObject({ sure: false });
  });
  test.each([
    ["a quote", "Sounds good.\n\n> Please do not contact me again\n> unsubscribe"],
    [
      "a footer with a link",
      "Sounds good.\nIf you would rather not hear from me, unsubscribe here: https://us.test/links/u/0",
    ],
    ["the signature", "Sounds good.\n\nKind regards\nAda\nTo leave our newsletter reply with unsubscribe"],
  ])("in %s it is not the person's", (_, text) => expect(wishOf(text)).toBeNull());
  test("an empty mail counts by its subject", () => {
    expect(wishOf("", "unsubscribe")).toMatchObject({ sure: true, words: "unsubscribe" });
    expect(wishOf("", "Re: A question")).toBeNull();
    expect(wishOf("Sounds good", "unsubscribe")).toBeNull();
  });
});

test.each([
  ["one word", "please ".repeat(40_000)],
  ["sentences", "stop emailing me. ".repeat(20_000)],
  ["lines", "please remove me\n".repeat(20_000)],
  ["no letters", "?".repeat(200_000)],
  ["a long sentence", `please do not ${"contact me ".repeat(20_000)}`],
  ["blanks", " ".repeat(200_000)],
])("hostile text is read in time: %s", (_, text) => {
  const started = performance.now();
  wishOf(text);
  expect(performance.now() - started).toBeLessThan(500);
});
