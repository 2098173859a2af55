import { addressParser } from "postal-mime";
import type { Party } from "../../kernel/provider.ts";

/** The tag or metadata key under which every provider carries our message id. Postmark allows 20 characters. */
export const MESSAGE_ID_KEY = "overture_message_id";

/** RFC 5322 address; control characters are dropped so that a name can never add a header. */
export function formatAddress({ address, name }: Party): string {
  const clean = (name ?? "").replace(/[\u0000-\u001f\u007f]+/g, " ").trim();
  return clean ? `"${clean.replace(/(["\\])/g, "\\$1")}" <${address}>` : address;
}

const MAX_ADDRESS = 2000;

export function parseAddress(raw: string): Party {
  // The parser's expressions take more than a line's length; an address has 320 characters at most, and a name is shown.
  const text = raw.slice(0, MAX_ADDRESS);
  const first = addressParser(text, { flatten: true })[0];
  return { address: (first?.address ?? text).trim(), name: first?.name || null };
}

/** Header names are case-insensitive and may repeat. */
export function headerMap(pairs: Iterable<readonly [string, string]>): Record<string, string> {
  const map: Record<string, string> = {};
  for (const [rawName, value] of pairs) {
    const name = rawName.toLowerCase();
    map[name] = name in map ? `${map[name]}\n${value}` : value;
  }
  return map;
}
