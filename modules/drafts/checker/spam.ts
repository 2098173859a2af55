import type { Language } from "./case.ts";
import { fold, phrases, type Phrases } from "./words/phrases.ts";

/** Words that filters and readers take for advertising. Ours, kept by hand: add a word here, in the language it belongs to. */
const SPAM: Record<Language, string> = {
  en: "act now, limited time, once in a lifetime, risk free, risk-free, 100% free, 100 free, free trial, free money, no catch, no obligation, no strings attached, click here, click below, buy now, order now, special offer, exclusive deal, best price, lowest price, guarantee*, cash, cheap, discount*, double your, earn money, extra income, fast cash, winner, you have been selected, urgent, hurry, don't miss, do not miss, last chance, while stocks last, miracle, amazing deal, incredible deal, apply now, call now, satisfaction guaranteed, money back, this is not spam, dear friend, make money, million dollars, promise you, lose weight, credit card, unsecured, viagra, casino, crypto giveaway, instant access, unlimited, revolutionary, game changer, game-changing, skyrocket*, explode your, 10x your, too good to be true, act immediately, offer expires, prize, bonus, save big, unbeatable",
  de: "jetzt handeln, nur heute, gratis, kostenlos, umsonst, risikofrei, ohne risiko, garantiert*, garantie, rabatt*, sonderangebot*, schnäppchen, bestpreis, günstigster preis, klicken sie hier, hier klicken, jetzt kaufen, jetzt bestellen, letzte chance, nur noch kurze zeit, einmalig*, gewinner, gewonnen haben, sie wurden ausgewählt, dringend, verpassen sie nicht, geld verdienen, schnelles geld, unschlagbar*, revolutionär*, wunder, exklusives angebot, verdoppeln sie, unbegrenzt, sofort zugreifen, keine verpflichtung, geld zurück, preisnachlass, bonus, casino",
  fr: "agissez maintenant, offre limitée, gratuit*, sans risque, garanti*, remise*, promotion*, meilleur prix, cliquez ici, achetez maintenant, commandez maintenant, dernière chance, urgent, gagnant*, vous avez été sélectionné, ne manquez pas, argent facile, gagnez de l argent, imbattable*, révolutionnaire*, miracle, offre exclusive, doublez vos, illimité*, sans engagement, satisfait ou remboursé, bonus, casino, soldes, profitez vite, offre spéciale",
  es: "actúe ahora, actúa ya, oferta limitada, gratis, gratuito*, sin riesgo, garantizad*, garantía, descuento*, mejor precio, haga clic aquí, haz clic aquí, compre ahora, compra ahora, última oportunidad, urgente, ganador*, ha sido seleccionado, no se lo pierda, no te lo pierdas, dinero fácil, gane dinero, imbatible*, revolucionari*, milagro*, oferta exclusiva, duplique sus, ilimitad*, sin compromiso, devolución del dinero, bono, casino, oferta especial, rebajas",
  it: "agisci ora, agisca subito, offerta limitata, gratis, gratuit*, senza rischi, garantit*, garanzia, sconto, sconti, miglior prezzo, clicca qui, clicchi qui, acquista ora, compra ora, ultima occasione, ultima possibilità, urgente, vincitore, sei stato selezionato, è stato selezionato, non perdere, non perda, soldi facili, guadagna, imbattibil*, rivoluzionari*, miracolo, offerta esclusiva, raddoppia, illimitat*, senza impegno, soddisfatti o rimborsati, bonus, casinò, offerta speciale, saldi",
  nl: "nu handelen, handel nu, alleen vandaag, gratis, risicovrij, zonder risico, gegarandeerd*, garantie, korting*, aanbieding*, beste prijs, laagste prijs, klik hier, koop nu, bestel nu, laatste kans, dringend, winnaar, u bent geselecteerd, je bent geselecteerd, mis het niet, snel geld, geld verdienen, onverslaanbaar*, revolutionair*, wonder*, exclusief aanbod, verdubbel uw, verdubbel je, onbeperkt*, vrijblijvend, niet goed geld terug, bonus, casino, uitverkoop",
  pl: "działaj teraz, tylko dziś, tylko dzisiaj, oferta ograniczona, za darmo, darmow*, bezpłatn*, bez ryzyka, gwarantow*, gwarancja, rabat*, promocj*, najlepsza cena, najniższa cena, kliknij tutaj, kliknij, kup teraz, zamów teraz, ostatnia szansa, pilne, zwycięzc*, został pan wybrany, zostałeś wybrany, nie przegap, łatwe pieniądze, szybka gotówka, zarabiaj, bezkonkurencyjn*, rewolucyjn*, cud, ekskluzywna oferta, podwój swoje, nieograniczon*, bez zobowiązań, zwrot pieniędzy, bonus, kasyno, wyprzedaż, okazja",
};

/** What makes a reader feel pressed, flattered or talked down to. */
const TONE: Record<Language, string> = {
  en: "asap, you must, you need to, you have to, you should have, you are failing, you are wasting, wake up, mistake, stupid, obviously, honestly, trust me, believe me, frankly, guys, dude, bro, lol, omg, per my last, as i already, why have you not, still waiting, ignoring my, last email, shame, desperate, hate",
  de: "sie müssen, du musst, sofort, endlich, offensichtlich, ehrlich gesagt, glauben sie mir, vertrauen sie mir, fehler, dumm, peinlich, wie bereits gesagt, warum haben sie nicht, krass, geil, alter",
  fr: "vous devez, tu dois, immédiatement, évidemment, franchement, croyez moi, faites moi confiance, erreur, stupide, honte, comme je l ai déjà dit, pourquoi n avez vous pas",
  es: "usted debe, debe usted, tienes que, tiene que, inmediatamente, obviamente, francamente, créame, confíe en mí, error, estúpid*, vergüenza, como ya dije",
  it: "lei deve, dovete, devi, immediatamente, ovviamente, francamente, mi creda, si fidi, errore, stupid*, vergogna, come già detto",
  nl: "u moet, je moet, onmiddellijk, uiteraard, eerlijk gezegd, geloof me, vertrouw me, fout, dom, schande, zoals ik al zei",
  pl: "musi pan, musi pani, musisz, musicie, natychmiast, oczywiście, szczerze mówiąc, proszę mi wierzyć, zaufaj mi, błąd, głup*, wstyd, jak już pisał*",
};

const compiled = new Map<string, Phrases>();
const of = (lists: Record<Language, string>, name: string, language: Language): Phrases => {
  const key = `${name}:${language}`;
  let found = compiled.get(key);
  if (!found) compiled.set(key, (found = phrases(lists[language])));
  return found;
};

function told(list: Phrases, text: string): string[] {
  const words = fold(text).split(/[^\p{L}\p{N}]+/u).filter(Boolean); // prettier-ignore
  const found = new Set<string>();
  for (let i = 0; i < words.length; i++) {
    const n = list.at(words, i);
    if (n > 0) found.add(words.slice(i, i + n).join(" "));
  }
  return [...found];
}

export const spamWords = (text: string, language: Language): string[] => told(of(SPAM, "spam", language), text);
export const toneWords = (text: string, language: Language): string[] => told(of(TONE, "tone", language), text);
