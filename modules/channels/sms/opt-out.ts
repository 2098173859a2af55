import type { InboundKind } from "../../kernel/channel.ts";

/**
 * Words by which people leave, come back, or ask for help. Only a message that is nothing but such a word counts: within a
 * sentence it is an answer for a person to read. Written as `fold` leaves them.
 */

/**
 * CTIA Messaging Principles, FCC 47 CFR 64.1200(a)(10) and Twilio's defaults for English; ARRET, REMOVE and TD are required by
 * AWS End User Messaging. The others are what operators and senders of the country print ("STOPP an …", "RET yaz", "הסר").
 */
const STOP: Record<string, readonly string[]> = {
  en: [
    "stop",
    "stop all",
    "stopall",
    "unsubscribe",
    "cancel",
    "end",
    "quit",
    "revoke",
    "opt out",
    "optout",
    "remove",
    "stop sms",
    "please stop",
    "unsubscribe me",
    "remove me",
  ],
  de: ["stopp", "abmelden", "abbestellen", "austragen", "abmeldung", "halt"],
  fr: ["arret", "arrete", "arretez", "arreter", "desabonner", "desabonnement", "desinscrire", "desinscription"],
  es: ["alto", "baja", "darse de baja", "dar de baja", "parar", "detener", "desuscribir", "cancelar suscripcion"],
  it: ["ferma", "fermare", "cancellami", "disiscrivi", "disiscrivimi", "disiscrizione", "basta sms"],
  pt: ["sair", "parar", "pare", "descadastrar", "remover", "cancelar inscricao", "cancelar"],
  nl: ["stoppen", "afmelden", "uitschrijven", "afmelding"],
  pl: ["zatrzymaj", "wypisz", "rezygnuje", "rezygnacja", "wypisz mnie"],
  sv: ["stoppa", "sluta", "avsluta", "avregistrera", "avanmal"],
  da: ["afmeld", "frameld", "afmeld mig"],
  nb: ["avmeld", "avslutt", "meld meg av"],
  fi: ["lopeta", "seis", "peruuta", "poista"],
  tr: ["dur", "durdur", "iptal", "ret", "uyelik iptal"],
  cs: ["odhlasit", "zrusit", "konec"],
  hu: ["leiratkozas", "leiratkozom"],
  ro: ["dezabonare", "opreste"],
  ru: ["стоп", "отписаться", "отписка", "остановить"],
  uk: ["відписатися", "зупинити"],
  el: ["διαγραφη", "σταματηστε", "στοπ"],
  he: ["הסר", "הסירו", "עצור"],
  ar: ["توقف", "الغاء", "الغاء الاشتراك", "ايقاف"],
  ja: ["停止", "配信停止", "解除", "ストップ"],
  zh: ["td", "t", "退订", "退訂", "取消订阅"],
  ko: ["수신거부", "중지"],
};

/**
 * Not YES, which Twilio also takes: to a salesperson's question it is an answer, and must stop the sequence as one. Where a
 * provider itself resubscribes on it, the provider says so.
 */
const START: Record<string, readonly string[]> = {
  en: ["start", "unstop", "opt in", "optin", "subscribe", "resubscribe", "resume"],
  de: ["anmelden"],
  fr: ["nonarret", "reabonner"],
  es: ["alta", "iniciar", "reanudar"],
  it: ["iscrivi", "iscrivimi"],
  pt: ["iniciar", "retomar"],
  nl: ["aanmelden", "inschrijven"],
  pl: ["wznow", "zapisz mnie"],
  sv: ["starta"],
  da: ["tilmeld"],
  nb: ["meld meg pa"],
  fi: ["aloita"],
  tr: ["baslat"],
  ru: ["старт", "подписаться"],
};

/** Asks who writes and how to leave; not ordinary words for help, which are answers. */
const HELP: Record<string, readonly string[]> = {
  en: ["help", "info"],
  de: ["hilfe"],
  fr: ["aide"],
  es: ["ayuda"],
  it: ["aiuto"],
  pt: ["ajuda"],
  nl: ["hulp"],
  pl: ["pomoc"],
  sv: ["hjalp"],
  da: ["hjaelp"],
  nb: ["hjelp"],
  fi: ["apua"],
  tr: ["yardim"],
  ru: ["помощь"],
};

/** Longer than any of the above; also bounds what folding costs. */
const MAX_LENGTH = 80;

const LETTERS: Record<string, string> = { ß: "ss", ø: "o", æ: "ae", œ: "oe", ł: "l", đ: "d", ð: "d", þ: "th", ı: "i" };

/** Lower case, without accents and with single blanks for everything that is no letter or digit; empty at the ends. */
export const fold = (text: string): string =>
  text
    .normalize("NFKD")
    .replace(/[\p{M}\p{Cf}'’]/gu, "")
    .toLowerCase()
    .replace(/[ßøæœłđðþı]/g, (c) => LETTERS[c]!)
    .replace(/[^\p{L}\p{N}]+/gu, " ")
    .trim();

const KEYWORDS = new Map<string, InboundKind>();
for (const [kind, lists] of [
  ["help", HELP],
  ["opt_in", START],
  // Last: a word that means both in two languages must let the person go.
  ["opt_out", STOP],
] as const)
  for (const words of Object.values(lists)) for (const word of words) KEYWORDS.set(fold(word), kind);

/** Courtesies around such a word change nothing: "Stop. Thank you". In the languages of most of the lists, as `fold` leaves them. */
const COURTESY =
  "please|pls|plz|thanks|thank you|thx|bitte|danke|merci|svp|sil vous plait|por favor|gracias|per favore|grazie|obrigado|obrigada|" +
  "alstublieft|aub|bedankt|dank u|tack|tak|takk|prosze|dziekuje|kiitos|lutfen|tesekkurler|prosim|dekuji|koszonom|multumesc|" +
  "пожалуиста|спасибо|дякую";
const COURTESIES = new RegExp(`^((${COURTESY}) )+|( (${COURTESY}))+$`, "gu");

/**
 * What a whole message asks for, or null when it is an ordinary answer. An opt-out may be polite or said twice; START and HELP may not:
 * "Info please" is an answer.
 */
export function keyword(text: string): InboundKind | null {
  if (text.length > MAX_LENGTH * 4) return null;
  const folded = fold(text);
  const bare = folded.replace(COURTESIES, "").replace(/^(\S+)( \1)+$/u, "$1");
  return KEYWORDS.get(folded) ?? (KEYWORDS.get(bare) === "opt_out" ? "opt_out" : null);
}
