import { normalisePhone } from "../../contacts/normalize.ts";

/** Numbers of people, and what a text message may come from. */

/** E.164 out of a number with country code, however it is grouped; null for anything else, words around it included. */
export function normaliseNumber(input: string): string | null {
  const text = input.trim();
  if (text.length > 40 || !/^[+＋]?[\p{Nd}\s().\-/\u2010-\u2015]+$/u.test(text)) return null;
  const read = normalisePhone(text);
  return "value" in read ? read.value : null;
}

/**
 * A sender: a number, a short code (3 to 8 digits), a name of up to 11 letters and digits that networks show instead of a number
 * (nobody can answer those), or the id of a provider's pool of numbers.
 */
export function normaliseSender(input: string): string | null {
  const text = input.trim();
  if (/^\d{3,8}$/.test(text)) return text;
  if (/^[A-Z]{2}[0-9a-f]{32}$/.test(text)) return text;
  if (/^[A-Za-z0-9 ]{1,11}$/.test(text) && /[A-Za-z]/.test(text)) return text;
  return normaliseNumber(text);
}
