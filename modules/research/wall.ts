/** Pages that ask whether a person is there. They are recognised and left alone: never answered, never worked around. */

/** Scripts and headers of the services that make them. */
const CHALLENGE =
  /challenges\.cloudflare\.com|cdn-cgi\/challenge-platform|cf-chl-|captcha-delivery\.com|px-captcha|_Incapsula_Resource|aws-waf-token|geo\.captcha|hcaptcha\.com\/1\/api|recaptcha\/(?:api|enterprise)\.js|arkoselabs\.com|funcaptcha|friendly-challenge/i;

/** What such a page says, in the languages of our users. */
const WORDS =
  /verify (?:that )?you are (?:a )?human|are you a (?:robot|human)|i(?:'|’)?m not a robot|just a moment\.\.\.|attention required|unusual traffic|checking your browser|bitte bestätigen sie, dass sie ein mensch|kein roboter|sind sie ein mensch|je ne suis pas un robot|êtes-vous un humain|vérifiez que vous êtes (?:un )?humain|no soy un robot|verifica que eres humano|non sono un robot|verifica di essere umano|ik ben geen robot|bevestig dat u een mens bent|não sou um robô|nie jestem robotem|jag är inte en robot|я не робот/i;

/** A page with more text than this is a page, whatever form it carries. */
const SHORT = 1500;

/** Whether the answer is such a page. A form of a normal page may carry a CAPTCHA too: that alone is none. `textOf` is its readable text. */
export function wallIn(status: number, headers: Headers, html: string, textOf: () => string): boolean {
  if (headers.get("cf-mitigated") === "challenge" || headers.has("x-amzn-waf-action")) return true;
  const head = html.slice(0, 200_000);
  const refused = [401, 403, 405, 429, 503].includes(status);
  if (refused) return CHALLENGE.test(head) || WORDS.test(head);
  if (status !== 200 && status !== 202) return false;
  if (!CHALLENGE.test(head) && !WORDS.test(head)) return false;
  return textOf().length < SHORT;
}
