/**
 * Which part of a plain-text reply the person wrote: quoted lines, the line above them ("On … wrote:") and signatures are hidden. Works
 * line by line, from the bottom up; each expression looks at one short line and has at most one gap that can be cut in several ways, so
 * that no text takes more than its length times LINE_MAX.
 */

/** No header of a quote and no signature is longer; longer lines are text. */
const LINE_MAX = 400;
/** Lines over which mail programs break such a header. */
const HEADER_LINES = 4;

/** How mail programs introduce what they quote, each as one line. */
const QUOTE_HEADERS: readonly RegExp[] = [
  /^-*\s*On\s.+\swrote:?\s?-*$/,
  /^-*\s*Le\s.+\sécrit\s?:?\s?-*$/,
  /^-*\s*El\s.+\sescribió:?\s?-*$/,
  /^-*\s*(?:Il|In data)\s.+\sscritto:?\s?-*$/,
  /^-*\s*Em\s.+\sescreveu:?\s?-*$/,
  /^Am\s.+\sschrieb\s.+:$/,
  /^Op\s.+\sschreef\s.+:$/,
  /^(?:W\sdniu|Dnia)\s.+(?:pisze|napisał(?:\(a\))?):$/,
  /^Den\s.+\sskrev\s.+:$/,
  /^pe\s.+\skirjoitti:$/,
  /^ср,\s.+ г\. в .+>:$/,
  /^在.+写道：$/,
  /^20\d\d\..+\s작성:$/,
  /^20\d\d\/.+のメッセージ:$/,
  /^.+\s<[^<>]+>\sschrieb:$/,
  // Outlook's block of headers, whose first line names the sender.
  /^\*?(?:From|Von|De|Van|Da|Fra|Från|Lähettäjä|Od|От|Від|Kimden|Feladó|Expeditor|差出人|发件人|寄件者|보낸 사람)\*?\s?[:：].*[[<(].+[\]>)]/,
  /^20\d\d-\d\d.\d\d.\d\d:\d\d.*>:$/,
  /^[a-z]{3,4}\.\s.+\sskrev\s.+:$/,
  /^\d\d.\d\d.20\d\d.*" *<[^<>]*> *:$/,
  /^\d\d:\d\d.*" *<[^<>]*> *:$/,
  /^(?:Пн|Вт|Чт|Пт|Сб|Вс|пн|вт|чт|пт|сб|вс|\d{1,2} \S+ \d{4}).{0,60}\S+@\S+.{0,20}:$/u,
  /^.+ (?:написал|пишет|написала)\(?а?\)?:$/,
  /^20\d\d年.+[:：]$/,
  /^-{1,12} ?(?:original message|oprindelig besked|message d'origine) ?-{1,12}$/i,
  /^-{1,12} ?ursprüngliche nachricht ?-{0,12}$/i,
];

/** A line that begins like one of the headers that are broken over lines. */
const HEADER_START =
  /^(?:-*\s*(?:On|Le|El|Il|In data|Em)|Am|Op|W\sdniu|Dnia|Den|pe|ср,|在|From\s?:|Von\s?:|De\s?:|Van\s?:|Da\s?:|Fra\s?:|Från\s?:|От\s?:|20\d\d|[a-z]{3,4}\.)/;

/** `NAME on DATE at TIME wrote:` has no word to begin with. */
function isNamedHeader(line: string): boolean {
  if (!line.endsWith("wrote:")) return false;
  const on = line.search(/.\son/);
  return on >= 0 && line.indexOf("at", on + 4) >= 0;
}

/** A sentence of the person's ("On Monday I asked her, and she wrote:") names neither a time nor an address; a mail program names both or one. */
const NAMES_A_MAIL = /\d|@|写道|のメッセージ/;

function isQuoteHeader(line: string): boolean {
  if (line.length > LINE_MAX) return false;
  const text = line.trimStart();
  return NAMES_A_MAIL.test(text) && (QUOTE_HEADERS.some((header) => header.test(text)) || isNamedHeader(text));
}

/** The divider above what Outlook quotes, and lines of the same kind; also what people put between parts of their text. */
const DIVIDER = /^\s*(?:_{5,}|-{5,})\s*$/;

const SIGNATURES: readonly RegExp[] = [
  /^\s*-{2,4}$/,
  /^\s*_{2,4}$/,
  /^-- $/,
  /^\+{2,4}$/,
  /^={2,4}$/,
  /^Sent from ./,
  /^Get Outlook for ./,
  /^Cheers,?!?$/i,
  /^Best wishes,?!?$/i,
  /^\w{0,20}\s?(?:\sand\s)?Regards,?!?！?$/i,
  /^Von .+ gesendet$/,
  /^Gesendet von .+ für ./,
  /^Sendt fra ./,
  /^Envoyé (?:depuis|de mon|à partir de) ./,
  /^Télécharger Outlook pour ./,
  /^Bien . vous,?!?$/i,
  /^\w{0,20}\s?cordialement,?!?$/i,
  /^Bonne (?:journ.e|soir.e)!?$/i,
  /^Enviado desde ./,
  /^(?:Verzonden|Verstuurd) vanaf ./,
];

const isSignature = (line: string): boolean =>
  line.length <= LINE_MAX && SIGNATURES.some((signature) => signature.test(line));

/** Headers that were broken over lines, each on one line again. */
function joinHeaders(lines: readonly string[]): string[] {
  const joined: string[] = [];
  for (let i = 0; i < lines.length; i++) {
    let header = lines[i]!;
    let last = i;
    if (HEADER_START.test(header) && !isQuoteHeader(header)) {
      for (let n = i + 1; n < Math.min(i + HEADER_LINES, lines.length) && lines[n] !== ""; n++) {
        header = `${header} ${lines[n]!}`;
        if (header.length > LINE_MAX) break;
        if (isQuoteHeader(header)) {
          last = n;
          break;
        }
      }
    }
    joined.push(last > i ? header : lines[i]!);
    i = last;
  }
  return joined;
}

type Part = { lines: string[]; quoted: boolean; hidden: boolean };

/** What is visible of a text with `\n` between its lines; empty when all of it is quoted or signed. */
export function withoutHistory(text: string): string {
  const lines = joinHeaders(text.split("\n"));
  const parts: Part[] = [];
  let part: Part | null = null;
  const close = (hidden: boolean) => {
    if (part) parts.push({ ...part, hidden: hidden || part.quoted || part.lines.every((l) => l === "") });
    part = null;
  };
  for (let i = lines.length - 1; i >= 0; i--) {
    const line = isSignature(lines[i]!) ? lines[i]! : lines[i]!.trimEnd();
    // The line below this one is the part's first so far.
    const below: string | undefined = (part as Part | null)?.lines.at(-1);
    if (below !== undefined) {
      if (isSignature(below)) close(true);
      else if (isQuoteHeader(below)) {
        const isDivider = DIVIDER.test(line);
        if (isDivider || line === "") close(true);
        // It belongs to what is folded below it.
        if (isDivider) continue;
      }
    }
    const quoted = line.startsWith(">");
    const open = part as Part | null;
    if (open && open.quoted !== quoted && !(open.quoted && (line === "" || isQuoteHeader(line)))) close(false);
    part ??= { lines: [], quoted, hidden: false };
    (part as Part).lines.push(line);
  }
  close(false);
  return parts
    .reverse()
    .filter((p) => !p.hidden)
    .map((p) => p.lines.reverse().join("\n").replace(/^\n/, ""))
    .join("\n");
}
