import { Buffer } from "node:buffer"; // Deno has no global one
import { encodeWord, foldLines } from "nodemailer/lib/mime-funcs";
import MimeNode from "nodemailer/lib/mime-node";
import type { EmailContent } from "../../channels/email/content.ts";
import type { OutboundMessage, Party } from "../../kernel/provider.ts";

/**
 * The bytes of a mail (RFC 5322 with MIME), for providers that take a finished message. nodemailer encodes every header that needs it;
 * headers that are plain ASCII and the bodies are written here, because its composer costs more than a millisecond a message.
 */

/** A header that no line of lawful length can hold. */
export class MimeError extends Error {}

/** `utf8`: the headers hold an address whose local part is not ASCII, which only a server with SMTPUTF8 takes (RFC 6531). */
export type Mime = { bytes: Buffer; utf8: boolean };

/** RFC 5322: lines should have 78 characters at most and must have no more than 998. */
const LINE_MAX = 998;
/** Where header lines are folded if they can be, and where lines of encoded bodies end (RFC 2045). */
const FOLD = 76;
/** Addresses that nodemailer would leave as they are: a dot-atom, and a domain of lower-case ASCII that is no IP address. */
const PLAIN_ADDRESS = /^[\w!#$%&'*+\-/=?^`{|}~]+(?:\.[\w!#$%&'*+\-/=?^`{|}~]+)*@(?:[a-z0-9-]+\.)+[a-z]{2,}$/;
/** Unstructured text that may stand as it is. */
const PLAIN_TEXT = /^[ !#-~]*$/;
const PLAIN_IDS = /^<[!-;=?-~]+>(?: <[!-;=?-~]+>)*$/;
const ID_MAX = 900;
const USABLE_ID = new RegExp(`^[!-~]{1,${ID_MAX}}$`);

/** What this file writes itself; the like in the content's own headers would contradict it. */
const OWN = new Set(
  "from sender to cc bcc reply-to subject message-id date mime-version content-type content-transfer-encoding content-disposition".split(
    " ",
  ),
);

/** Encodes values; keeps nothing of them. */
const library = new MimeNode();

/**
 * Builds one message: text and HTML as alternatives, or the one that is there. Every line ends in CRLF, none has more than 998 bytes.
 * Pure: the same message and date give the same bytes. Throws MimeError when a header cannot be written.
 */
export function mime({ id, from, to, content }: OutboundMessage<EmailContent>, date: Date): Mime {
  const head: string[] = [];
  const add = (name: string, value: string) => {
    if (value.trim() !== "") head.push(header(name, value));
  };
  for (const [given, value] of Object.entries(content.headers)) {
    // A field name is printable ASCII without the colon; anything else could end it early.
    const name = given.replace(/[^!-9;-~]+/g, "");
    if (name !== "" && !OWN.has(name.toLowerCase())) add(name, encoded(name, value));
  }
  add("From", mailbox(from));
  add("To", mailbox(to));
  const reply = content.reply_to;
  if (reply) add("Reply-To", PLAIN_ADDRESS.test(reply) ? reply : library.encodeHeaderValue("Reply-To", reply));
  add("Subject", encoded("Subject", content.subject));
  add("Message-ID", encoded("Message-ID", content.message_id));

  const parts = [bodyOf(content.text, "plain"), bodyOf(content.html, "html")].filter((p) => p.text !== "");
  const single = parts.length < 2 ? (parts[0] ?? bodyOf("", "plain")) : null;
  head.push(`Date: ${date.toUTCString().replace("GMT", "+0000")}`);
  if (single) head.push(`Content-Transfer-Encoding: ${single.encoding}`);
  head.push("MIME-Version: 1.0");
  // «=_» occurs in no encoded body, and one that is not encoded does not contain it: no text can end a part.
  const boundary = `=_${id.replace(/[^\w-]+/g, "").slice(0, 60)}`;
  head.push(
    single
      ? `Content-Type: text/${single.subtype}; charset=utf-8`
      : `Content-Type: multipart/alternative;\r\n boundary="${boundary}"`,
  );
  const start = `${head.join("\r\n")}\r\n\r\n`;

  reserve(start.length * 3 + parts.reduce((n, p) => n + p.text.length * 10 + 300, 300));
  let at = scratch.write(start, 0);
  // Encoded words and bodies are ASCII; only an address may have brought other bytes into the headers.
  const utf8 = at !== start.length;
  if (single) {
    at = endLine(write(single, at));
  } else {
    for (const [i, part] of parts.entries()) {
      const type = `Content-Type: text/${part.subtype}; charset=utf-8\r\nContent-Transfer-Encoding: ${part.encoding}`;
      at += scratch.write(`${i > 0 ? "\r\n" : ""}--${boundary}\r\n${type}\r\n\r\n`, at, "latin1");
      at = write(part, at);
    }
    at += scratch.write(`\r\n--${boundary}--\r\n`, at, "latin1");
  }
  return { bytes: Buffer.from(scratch.subarray(0, at)), utf8 };
}

/** An address as a mail server and a header name it: quoted where it must be, its domain in ASCII where its local part is. */
export function addrSpec(address: string): string {
  if (PLAIN_ADDRESS.test(address)) return address;
  return library.encodeHeaderValue("To", { address, name: "" }).replace(/^<(.*)>$/s, "$1");
}

function mailbox({ address, name }: Party): string {
  const shown = (name ?? "").trim();
  if (PLAIN_ADDRESS.test(address)) {
    if (shown === "") return address;
    if (/^[\w ]+$/.test(shown)) return `${shown} <${address}>`;
    if (/^[ -~]+$/.test(shown)) return `"${shown.replace(/["\\]/g, "\\$&")}" <${address}>`;
  }
  return library.encodeHeaderValue("To", { address, name: shown });
}

/** The value as it stands in the header before folding: no line break, no control character, nothing but ASCII. */
function encoded(name: string, value: string): string {
  switch (name.toLowerCase()) {
    case "message-id":
    case "in-reply-to":
    case "references":
      if (value.length <= ID_MAX && PLAIN_IDS.test(value)) return value;
      // An ID is compared byte for byte and has no encoding; one that no line can hold, or not every server takes, is left out.
      return library
        .encodeHeaderValue(name, value)
        .split(/\s+/)
        .filter((one) => USABLE_ID.test(one))
        .join(" ");
    default:
      return PLAIN_TEXT.test(value) && !value.includes("=?") ? value : library.encodeHeaderValue(name, value);
  }
}

function header(name: string, value: string): string {
  const line = `${name}: ${value}`;
  if (line.length < FOLD) return line;
  const folded = foldLines(line, FOLD);
  if (line.length <= LINE_MAX || folded.split("\r\n").every((l) => Buffer.byteLength(l) <= LINE_MAX)) return folded;
  // A word too long for a line: text can be split as encoded words, a structured value cannot.
  if (/^(?:subject|x-.*)$/i.test(name)) return foldLines(`${name}: ${encodeWord(value, "Q", 52)}`, FOLD);
  throw new MimeError(`The header ${name} has a part of more than ${LINE_MAX} characters, which no mail can carry.`);
}

type Encoding = "7bit" | "quoted-printable" | "base64";
type Body = { text: string; subtype: "plain" | "html"; encoding: Encoding };

/** 7bit for short lines of plain ASCII, else quoted-printable for what is mostly ASCII, base64 for the rest. */
function bodyOf(text: string, subtype: Body["subtype"]): Body {
  // oxlint-disable-next-line no-control-regex
  const plain = !/[^\t\n\r -~]/.test(text);
  if (plain && !text.includes("=_") && linesFit(text)) return { text, subtype, encoding: "7bit" };
  const beyondAscii = Buffer.byteLength(text) - text.length;
  return { text, subtype, encoding: beyondAscii * 3 < text.length ? "quoted-printable" : "base64" };
}

function linesFit(text: string): boolean {
  let start = 0;
  for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", start)) {
    if (end - start > FOLD) return false;
    start = end + 1;
  }
  return text.length - start <= FOLD;
}

/** Messages are put together here, one at a time, and copied out. */
let scratch = Buffer.allocUnsafe(64 * 1024);

function reserve(bytes: number): void {
  if (scratch.length < bytes) scratch = Buffer.allocUnsafe(2 * bytes);
}

/** Writes the body at `at` of the scratch; returns where it ends. */
function write({ text, encoding }: Body, at: number): number {
  if (encoding === "quoted-printable") return writeQuoted(text, at);
  // Line breaks of a text are CRLF, also inside base64 (RFC 2045, 6.8).
  const lines = text.includes("\r") ? text.replace(/\r\n?|\n/g, "\r\n") : text.replaceAll("\n", "\r\n");
  if (encoding === "7bit") return at + scratch.write(lines, at, "latin1");
  const base64 = Buffer.from(lines).toString("base64");
  for (let i = 0; i < base64.length; i += FOLD) {
    if (i > 0) at += scratch.write("\r\n", at, "latin1");
    at += scratch.write(base64.slice(i, i + FOLD), at, "latin1");
  }
  return at;
}

const HEX = Buffer.from("0123456789ABCDEF");
const LITERAL = Uint8Array.from({ length: 256 }, (_, c) => (c === 9 || (c > 31 && c < 127 && c !== 61) ? 1 : 0));
/** A line has 76 characters with the «=» of a soft break. */
const QUOTED_MAX = 75;

/** RFC 2045, 6.7: soft breaks before column 76, between characters only; no white space at the end of a line. */
function writeQuoted(text: string, at: number): number {
  const out = scratch;
  const from = Buffer.from(text);
  const length = from.length;
  let column = 0;
  let i = 0;
  const softBreak = () => {
    out[at++] = 61;
    out[at++] = 13;
    out[at++] = 10;
    column = 0;
  };
  const escape = (c: number) => {
    out[at++] = 61;
    out[at++] = HEX[c >> 4]!;
    out[at++] = HEX[c & 15]!;
    column += 3;
  };
  const endOfLine = () => {
    const last = out[at - 1]!;
    if (column === 0 || (last !== 32 && last !== 9)) return;
    at--;
    column--;
    if (column + 3 > QUOTED_MAX + 1) softBreak();
    escape(last);
  };
  while (i < length) {
    const start = i;
    const stop = Math.min(length, i + QUOTED_MAX - column);
    while (i < stop && LITERAL[from[i]!] === 1) out[at++] = from[i++]!;
    column += i - start;
    if (i === length) break;
    const c = from[i]!;
    if (c === 13 || c === 10) {
      endOfLine();
      i += c === 13 && from[i + 1] === 10 ? 2 : 1;
      out[at++] = 13;
      out[at++] = 10;
      column = 0;
      continue;
    }
    const bytes = LITERAL[c] === 1 || c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (i === stop || column + 3 * bytes > QUOTED_MAX) softBreak();
    if (LITERAL[c] === 0) for (const end = i + bytes; i < end; i++) escape(from[i]!);
  }
  endOfLine();
  return at;
}

/** A message ends with a line break. */
const endLine = (at: number): number =>
  scratch[at - 1] === 10 && scratch[at - 2] === 13 ? at : at + scratch.write("\r\n", at, "latin1");
