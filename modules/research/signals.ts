import type { FindingKind } from "./finding.ts";

/**
 * Sentences that tell of funding, a change of leadership or a launch, by rules in eight languages. A rule takes the sentence as it stands and
 * adds nothing; what is denied, planned or rumoured is no signal.
 */

const NUMBER = String.raw`\d{1,3}(?:[.,\u00a0 ]\d{3})+(?:[.,]\d{1,2})?|\d+(?:[.,]\d{1,2})?`;
const SCALE = String.raw`k|thousand|tausend|m|mn|mm|mio\.?|million(?:en|es|s)?|millones|millón|milioni|milione|miljoen|miljoner|milionów|mln|milh(?:ões|ão)|bn|b|billion|milliarden?|mrd\.?|milliards?|miljard`;
const CURRENCY = String.raw`€|\$|£|us\$|usd|eur(?:os?)?|gbp|chf|sek|pln|dollars?|pounds?`;
const BEFORE = new RegExp(String.raw`(?<![\p{L}\d])(${CURRENCY})\s?(${NUMBER})\s?(${SCALE})?(?![\p{L}\d])`, "iu");
const AFTER = new RegExp(
  String.raw`(?<![\p{L}\d.,])(${NUMBER})\s?(${SCALE})?\s?(?:de |d['’]|di |of |in )?(${CURRENCY})(?![\p{L}\d])`,
  "iu",
);

const CODES: Record<string, string> = { "€": "EUR", $: "USD", us$: "USD", "£": "GBP", dollar: "USD", dollars: "USD" };
const TIMES: [RegExp, number][] = [
  [/^(?:k|thousand|tausend)$/i, 1e3],
  [/^(?:bn|b|billion|milliarden?|mrd\.?|milliards?|miljard)$/i, 1e9],
  [/./, 1e6],
];

export type Money = { amount: number; currency: string };

/** 1.200.000 and 1,200,000 alike; the last mark before one or two digits is the decimal one. */
function numeric(text: string): number {
  const decimal = /[.,](\d{1,2})$/.exec(text);
  const whole = (decimal ? text.slice(0, -decimal[0].length) : text).replace(/\D/g, "");
  return Number(decimal ? `${whole}.${decimal[1]}` : whole);
}

/** The first amount of money in a text; null: there is none, or its currency is not known. */
export function moneyIn(text: string): Money | null {
  const before = BEFORE.exec(text);
  const after = AFTER.exec(text);
  const [currency, number, scale] =
    before && (!after || before.index <= after.index)
      ? [before[1]!, before[2]!, before[3]]
      : after
        ? [after[3]!, after[1]!, after[2]]
        : [];
  if (!currency || !number) return null;
  const word = currency.toLowerCase();
  const code = CODES[word] ?? (/^euros?$/.test(word) ? "EUR" : /^pounds?$/.test(word) ? "GBP" : word.toUpperCase());
  const times = scale ? TIMES.find(([named]) => named.test(scale))![1] : 1;
  const amount = numeric(number) * times;
  return Number.isFinite(amount) && amount > 0 ? { amount, currency: code } : null;
}

const words = (list: string) => new RegExp(String.raw`(?<![\p{L}\d])(?:${list})(?![\p{L}\d])`, "iu");

const RAISED = words(
  String.raw`raises?|raised|secures?|secured|closes?|closed|lands|landed|receives?|received|sammelt|sammelte|erhält|erhielt|sichert sich|schließt|schloss|lève|levé|boucle|bouclé|obtient|recauda|recaudó|recaudado|cierra|levanta|obtiene|raccoglie|raccolto|chiude|ottiene|haalt|haalde|opgehaald|ontvangt|tar in|säkrar|pozyskuje|pozyskała?|capta|captou|levantou`,
);
const FUNDING = words(
  String.raw`funding|financing|investment|seed|series [a-h]|venture|round|investors?|capital|finanzierung(?:srunde)?|finanzierungsrunde|serie [a-h]|investoren|kapital|wachstumskapital|tour de table|levée(?: de fonds)?|fonds|investisseurs?|série [a-h]|financiación|ronda|inversión|inversores|finanziamento|investimento|investitori|financiering(?:sronde)?|investering|investeerders|finansiering|finansowanie|inwestorów|rodada|financiamento`,
);
const NAMED = words(
  String.raw`appoint(?:s|ed)|names|named|hires|hired|joins|joined|promotes|promoted|takes over as|steps down|succeeds|ernennt|ernannt|beruft|berufen|wird neuer?|übernimmt|verstärkt|nomme|nommée?|rejoint|succède|nombra|nombrad[oa]|ficha|asume|nomina|nominat[oa]|entra|benoemt|benoemd|utser|powołuje|powołan[ya]|nomeia|nomead[oa]`,
);
const ROLE = words(
  String.raw`ceo|cfo|cto|coo|cmo|cro|cpo|ciso|chief [a-z]+(?: [a-z]+)? officer|president|chair(?:man|woman|person)?|managing director|vice president|vp(?: of)?|head of|geschäftsführer(?:in)?|vorstand(?:svorsitzende[rn]?)?|finanzvorstand|vertriebsleiter(?:in)?|directeur(?: général)?|directrice(?: générale)?|pdg|director(?:a)? general|consejer[oa] delegad[oa]|amministratore delegato|direttore generale|algemeen directeur|bestuursvoorzitter|vd|prezes|dyrektor|diretora?(?: geral)?`,
);
const LAUNCHED = words(
  String.raw`launch(?:es|ed)|introduc(?:es|ed)|unveil(?:s|ed)|releas(?:es|ed)|announces the (?:launch|availability)|debuts|auf den markt|stellt(?: [\p{L}\d -]{1,40})? vor|führt(?: [\p{L}\d -]{1,40})? ein|veröffentlicht|lance|lancé|dévoile|présente|lanza|lanzó|presenta|lancia|lanciato|lanceert|introduceert|lanserar|wprowadza na rynek|lança|lançou`,
);
const THING = words(
  String.raw`product|platform|app|software|solution|service|feature|tool|version|model|line|collection|produkt|plattform|lösung|dienst|produit|plateforme|solution|service|gamme|producto|plataforma|solución|servicio|prodotto|piattaforma|soluzione|servizio|oplossing|dienst|tjänst|lösning|usługa|produto|solução|serviço`,
);

/** Not told as done. */
const UNSURE = words(
  String.raw`not|no|never|n['’]t|won['’]t|without|denies|denied|plans? to|planning|intends?|intend to|hopes?|aims? to|might|could|would|expects?|reportedly|rumou?red?|seeks?|looking to|is set to|will|nicht|keine?[nmrs]?|plant|planen|will|wollen|möchte|könnte|soll(?:en|te)?|angeblich|beabsichtigt|ne|pas|jamais|prévoit|envisage|souhaite|pourrait|serait|no|nunca|planea|prevé|podría|quiere|non|prevede|potrebbe|vuole|niet|geen|wil|plant|zou|inte|planerar|kan|nie|planuje|não|planeja|pode`,
);
/** Also months, with a capital. */
const UNSURE_SMALL = /(?<![\p{L}\d])(?:may|mai)(?![\p{L}\d])/u;
const unsure = (text: string): boolean => UNSURE.test(text) || UNSURE_SMALL.test(text);
/** Somebody else's: what customers and partners did, and what is asked. */
const OTHERS = words(
  String.raw`customers?|clients?|portfolio|competitors?|case study|kunden?|kundin|mandant(?:en)?|wettbewerber|clientes?|concurrents?|competidor(?:es)?|clienti|klanten|kunder|klientów`,
);

export type Signal = { kind: FindingKind; data: Record<string, string | number> };

/** What a sentence tells; null: nothing that the rules know. */
export function signalIn(sentence: string): Signal | null {
  if (sentence.length < 12 || sentence.length > 500 || sentence.endsWith("?")) return null;
  if (unsure(sentence) || OTHERS.test(sentence)) return null;
  if (RAISED.test(sentence) && FUNDING.test(sentence)) {
    const money = moneyIn(sentence);
    if (money) {
      const round = /(?:series|serie|série)\s([a-h])(?![\p{L}])/iu.exec(sentence)?.[1];
      return { kind: "funding", data: { ...money, ...(round ? { round: `Series ${round.toUpperCase()}` } : {}) } };
    }
  }
  if (NAMED.test(sentence) && ROLE.test(sentence))
    return { kind: "leadership", data: { role: ROLE.exec(sentence)![0] } };
  if (LAUNCHED.test(sentence) && THING.test(sentence)) return { kind: "launch", data: {} };
  return null;
}

/** A headline is shorter than a sentence: an amount and the verb are enough for funding. */
export function signalInTitle(title: string): Signal | null {
  const found = signalIn(title);
  if (found || title.length > 300 || title.endsWith("?") || unsure(title) || OTHERS.test(title)) return found;
  const money = RAISED.test(title) ? moneyIn(title) : null;
  return money ? { kind: "funding", data: money } : null;
}
