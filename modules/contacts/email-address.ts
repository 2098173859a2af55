import { addressParser } from "postal-mime";
import { clean } from "../kernel/text.ts";

/** The one reader of email addresses: for contacts, senders, suppressions and imports alike. */

/** Characters of an address that SMTP carries (RFC 5321), and of the part before the @. */
const MAX_ADDRESS = 254;
const MAX_LOCAL = 64;
/** RFC 5321: a dot-string, or a quoted string. */
const LOCAL =
  /^(?:[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*|"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\[\x20-\x7e])*")$/;
const DOMAIN = /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * The address in lower case with an ASCII domain (IDNA: `müller.example` becomes `xn--mller-kva.example`), out of `ada@example.com`,
 * `Ada Lovelace <ada@example.com>` or `mailto:ada@example.com`. A text that names several addresses is refused: which of them was meant
 * is not guessed.
 */
export function readEmailAddress(text: string): { value: string } | { fault: "several" | "too_long" | "invalid" } {
  // Beyond any address with a name: nothing is searched in it.
  if (text.length > 2_000) return { fault: "invalid" };
  const given = clean(text).replace(/^mailto:/i, "");
  const named = given.includes("<") || /[,;]/.test(given.replace(/"[^"]*"/g, ""));
  let bare = given;
  if (named) {
    const found = addressParser(given.replaceAll(";", ","), { flatten: true }).flatMap((a) => a.address || []);
    if (new Set(found.map((a) => a.toLowerCase())).size > 1) return { fault: "several" };
    bare = found[0] ?? "";
  }
  const at = bare.lastIndexOf("@");
  const local = bare.slice(0, at);
  const domain = asciiDomain(bare.slice(at + 1));
  if (at < 1 || !domain || !LOCAL.test(local)) return { fault: "invalid" };
  const value = `${local}@${domain}`.toLowerCase();
  return local.length > MAX_LOCAL || value.length > MAX_ADDRESS ? { fault: "too_long" } : { value };
}

/** A domain as DNS has it, or null. The URL parser reads internationalised names as browsers do. */
export function asciiDomain(domain: string): string | null {
  // What a URL would take for something else than a host.
  if (/[\s/\\?#@:%[\]]/.test(domain) || domain.endsWith(".")) return null;
  let host: string;
  try {
    host = new URL(`http://${domain}`).hostname;
  } catch {
    return null;
  }
  return DOMAIN.test(host) && host.length <= 253 ? host : null;
}
