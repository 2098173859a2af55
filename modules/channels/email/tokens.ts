import type { Services } from "../../kernel/context.ts";
import { base64url, fromBase64url } from "../../kernel/secrets/vault.ts";

/**
 * Tokens in links to recipients: which message, which link, signed. They hold no address and no target, need no table,
 * and are bound to their purpose, so that an open pixel's token cannot unsubscribe anybody.
 */

export type LinkPurpose = "open" | "click" | "unsubscribe";
export type LinkToken = { tenantId: string; messageId: string; number: number };

const LETTERS = { open: "o", click: "c", unsubscribe: "u" } as const satisfies Record<LinkPurpose, string>;
const PURPOSES = Object.fromEntries(Object.entries(LETTERS).map(([purpose, letter]) => [letter, purpose])) as Record<
  string,
  LinkPurpose
>;

/**
 * A link as messages are stored: without its token, because whoever reads the ledger (a viewer, a key that only reads, an analyst, a
 * backup) must not be able to act for the recipient. `withTokens` puts it in when the message leaves.
 */
export const storedLink = (base: string, purpose: LinkPurpose, number: number): string =>
  `${base}/links/${LETTERS[purpose]}/${number}`;

/** A whole link: the beginning of a text or of an attribute, a header's value, or a word. */
const STORED = /(?<=^|["\s<])(https?:\/\/[^"\s<>]+?)\/links\/[ouc]\/\d{1,5}(?=$|["\s>])/g;

/** The base URL with which a stored link of the unsubscribe header was made; null for any other text. */
export const baseOfStored = (unsubscribe: string): string | null =>
  /^<(https?:\/\/.+)\/links\/u\/0>$/.exec(unsubscribe)?.[1] ?? null;

/**
 * The texts with the tokens of one message in its stored links. Only a whole link of this installation is one: what an author or a contact
 * wrote, a path of the same form elsewhere or our link within another, stays as it is and learns no token.
 */
export async function withTokens(
  vault: Services["vault"],
  base: string,
  message: Omit<LinkToken, "number">,
  texts: readonly string[],
): Promise<string[]> {
  const links = new Set(
    texts.flatMap((text) => [...text.matchAll(STORED)]).flatMap(([link, at]) => (at === base ? [link] : [])),
  );
  const tokens = new Map(
    await Promise.all(
      [...links].map(async (link): Promise<[string, string]> => {
        const [letter, number] = link.split("/").slice(-2) as [string, string];
        const token = await linkToken(vault, PURPOSES[letter]!, { ...message, number: Number(number) });
        return [link, `${base}/links/${letter}/${token}`];
      }),
    ),
  );
  return texts.map((text) => text.replace(STORED, (link) => tokens.get(link) ?? link));
}

/**
 * A received text without the tokens of links that it quotes, also inside other URLs, as mail scanners rewrite them. Their holder is
 * the recipient, not who reads the conversation.
 */
export const withoutTokens = (text: string): string =>
  text.replace(/(\/|%2f)links\1([ouc])\1[\w-]{88}(?![\w-])/gi, "$1links$1$2$1-");

const HEX = /^[0-9a-f]{32}$/;
const hexOf = (uuid: string) => uuid.replaceAll("-", "");
const uuidOf = (hex: string) =>
  `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
const toHex = (bytes: Uint8Array) => Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
const fromHex = (hex: string) => Uint8Array.from(hex.match(/../g)!, (b) => parseInt(b, 16));

/** 16 bytes tenant, 16 message, 2 link number, 32 signature: 88 characters. */
export async function linkToken(vault: Services["vault"], purpose: LinkPurpose, token: LinkToken): Promise<string> {
  const payload = new Uint8Array([
    ...fromHex(hexOf(token.tenantId)),
    ...fromHex(hexOf(token.messageId)),
    token.number >> 8,
    token.number & 0xff,
  ]);
  const signature = await vault.sign(`link:${purpose}`, base64url(payload));
  return base64url(new Uint8Array([...payload, ...signature]));
}

/** The token's content, or null when it is not ours. */
export async function readLinkToken(
  vault: Services["vault"],
  purpose: LinkPurpose,
  text: string,
): Promise<LinkToken | null> {
  if (!/^[\w-]{88}$/.test(text)) return null;
  const bytes = fromBase64url(text);
  const payload = bytes.slice(0, 34);
  if (!(await vault.verify(`link:${purpose}`, base64url(payload), bytes.slice(34)))) return null;
  const tenant = toHex(payload.slice(0, 16));
  const message = toHex(payload.slice(16, 32));
  if (!HEX.test(tenant) || !HEX.test(message)) return null;
  return { tenantId: uuidOf(tenant), messageId: uuidOf(message), number: (payload[32]! << 8) | payload[33]! };
}
