import type { Language } from "../case.ts";
import { phrases, type Phrases } from "./phrases.ts";

/** Short lists for single rules, by language; the rule that uses a list says what it is for. */

const LISTS = {
  /** The writer of the letter, in words or in the form of the verb. */
  self: {
    en: "i, my, me, mine, i d, i ll",
    de: "ich, mein, meine, meinen, meiner, mir, mich, gern, gerne",
    fr: "je, j, mon, ma, mes, moi, me, volontiers",
    es: "yo, mi, mis, me, mando, propongo, espero, quedo, envío, puedo, quisiera, ofrezco, llamo, escribo, adjunto, agradezco, agradecería, encantaría, gustaría, preparo, enseño, dejo, con gusto",
    it: "io, mio, mia, miei, mie, mi, me, resto, propongo, spero, mando, invio, posso, vorrei, offro, scrivo, attendo, allego, ringrazio, preparo, volentieri, rimango, porto, chiamo",
    nl: "ik, mijn, mij, me, graag",
    pl: "ja, mnie, mi, mój, moja, moje, przyjadę, proponuję, chętnie, mogę, wyślę, prześlę, chciałbym, chciałabym, czekam, liczę, zapraszam, piszę, pokażę, przygotuję, zadzwonię, przywiozę, dziękuję, proszę, opowiem, przedstawię",
  },
  /** The writer learned something: what follows is a claim. */
  perceive: {
    en: "heard, hear, read, saw, seen, noticed, notice, know, understand, understood, learned, learnt, gather, gathered, see that, see you, aware, told, found out, remember, believe you, think you, congratul*",
    de: "gehört, gelesen, gesehen, bemerkt, weiß, erfahren, verstehe, verstanden, lese, sehe, aufgefallen, las, hörte, gratuliere, vernommen",
    fr: "entendu, lu, vu, remarqué, sais, appris, comprends, compris, vois, lis, félicit*, constaté",
    es: "oído, leído, visto, notado, sé que, sabido, enterado, entiendo, leí, vi, oí, veo, enter*, comprendo, felicit*",
    it: "sentito, letto, visto, notato, so che, saputo, capito, capisco, vedo, leggo, appreso, congratul*, complimenti",
    nl: "gehoord, gelezen, gezien, opgemerkt, weet dat, begrijp, begrepen, vernomen, las, zag, zie dat, hoorde, feliciteer",
    pl: "słyszał*, czytał*, przeczytał*, widział*, zauważył*, wiem, dowiedział*, rozumiem, widzę, usłyszał*, gratuluj*",
  },
  /** Holds until a day that is past, or held once. */
  until: {
    en: "until, till, up until, formerly, used to, previously, in the past, no longer, back then, once had, had been, ended in, before then",
    de: "bis, früher, ehemals, damals, vormals, zuvor, nicht mehr, einst",
    fr: "jusqu en, jusqu à, jusqu au, jusque, autrefois, anciennement, auparavant, ne plus, n plus, jadis",
    es: "hasta, antes, anteriormente, antiguamente, ya no, antaño",
    it: "fino al, fino a, sino al, in passato, un tempo, precedentemente, non più, una volta",
    nl: "tot, tot en met, vroeger, voorheen, niet meer, eertijds",
    pl: "do, dawniej, wcześniej, kiedyś, już nie, niegdyś, uprzednio",
  },
  /** Begins a part of a question that takes something for granted. */
  given: {
    en: "since, as, now that, because, given that, after, seeing that, with",
    de: "da, nachdem, weil, seit, jetzt wo, nun da, wo",
    fr: "puisque, comme, depuis que, maintenant que, vu que, étant donné, après",
    es: "ya que, como, dado que, ahora que, puesto que, desde que, tras",
    it: "visto che, dato che, poiché, siccome, ora che, da quando, dopo",
    nl: "aangezien, nu, omdat, sinds, gezien, nadat",
    pl: "skoro, ponieważ, jako że, odkąd, teraz gdy, po tym jak",
  },
  /** Denies the noun that follows, as `no` does, without a verb. */
  without: {
    en: "without, free of, free, absence",
    de: "ohne, frei von, verzicht",
    fr: "sans",
    es: "sin",
    it: "senza",
    nl: "zonder",
    pl: "bez",
  },
  /** Before a comma, they open a part of their own even where no event is told. */
  although: {
    en: "while, whereas, although, though, but, however, even though",
    de: "während, obwohl, aber, wobei, hingegen, sondern",
    fr: "tandis que, alors que, bien que, mais, même si",
    es: "mientras, aunque, pero, sino",
    it: "mentre, sebbene, ma, anche se, benché",
    nl: "terwijl, hoewel, maar, al",
    pl: "podczas gdy, choć, chociaż, ale, natomiast, mimo że",
  },
  /** Days of the week: no names, and in a proposal no claims. */
  weekday: {
    en: "monday, tuesday, wednesday, thursday, friday, saturday, sunday, mondays, tuesdays, wednesdays, thursdays, fridays",
    de: "montag*, dienstag*, mittwoch*, donnerstag*, freitag*, samstag*, sonnabend*, sonntag*",
    fr: "lundi, mardi, mercredi, jeudi, vendredi, samedi, dimanche",
    es: "lunes, martes, miércoles, jueves, viernes, sábado, domingo",
    it: "lunedì, martedì, mercoledì, giovedì, venerdì, sabato, domenica",
    nl: "maandag, dinsdag, woensdag, donderdag, vrijdag, zaterdag, zondag",
    pl: "poniedziałek, wtorek, środa, środę, czwartek, piątek, sobota, niedziela",
  },
  /** Beside a number: it may be the difference of two of the source. */
  difference: {
    en: "more, less, fewer, lower, higher, points, point, ahead",
    de: "mehr, weniger, niedriger, höher, punkte*, prozentpunkte",
    fr: "de plus, de moins, points",
    es: "más, menos, puntos",
    it: "in più, in meno, più, meno, punti",
    nl: "meer, minder, punten, hoger, lager",
    pl: "więcej, mniej, punkt*",
  },
  /** Has not happened so far. */
  notYet: {
    en: "not yet, yet to, still to, still has to",
    de: "noch nicht, steht noch aus",
    fr: "pas encore, reste à",
    es: "aún no, todavía no, no todavía",
    it: "non ancora, non è ancora, deve ancora",
    nl: "nog niet, moet nog",
    pl: "jeszcze nie, nie jeszcze",
  },
} satisfies Record<string, Record<Language, string>>;

const made = new Map<string, Phrases>();

export function talk(list: keyof typeof LISTS, language: Language): Phrases {
  const key = `${list}:${language}`;
  let found = made.get(key);
  if (!found) made.set(key, (found = phrases(LISTS[list][language])));
  return found;
}
