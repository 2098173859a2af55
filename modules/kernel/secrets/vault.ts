import { AppError } from "../errors.ts";

/**
 * Secrets at rest: AES-256-GCM under a key ring. `v1.<key id>.<nonce>.<ciphertext>`, base64url.
 * The additional data names the tenant and the row, so a ciphertext copied to another row does not open.
 */
export type Vault = {
  seal(plain: unknown, aad: string): Promise<string>;
  open<T>(sealed: string, aad: string): Promise<T>;
  /** The current key's id: rows sealed under another one want re-sealing. */
  currentKey: string;
  keyOf(sealed: string): string;
  /** HMAC-SHA256 under a key derived for one purpose; for link tokens and webhook path secrets. */
  sign(purpose: string, data: string): Promise<Uint8Array>;
  /** Constant-time check against every key of the ring, so that rotation does not break links already sent. */
  verify(purpose: string, data: string, signature: Uint8Array): Promise<boolean>;
};

const bytes = (s: string) => new TextEncoder().encode(s);

/** Sealing and opening name the same row, or nothing opens. */
const bound = (iv: Uint8Array<ArrayBuffer>, aad: string) => ({ name: "AES-GCM", iv, additionalData: bytes(aad) });

export const base64url = (data: Uint8Array): string =>
  btoa(String.fromCharCode(...data))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replace(/=+$/, "");

export const fromBase64url = (text: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));

export function createVault(ring: readonly { id: string; secret: Uint8Array }[]): Vault {
  const aes = new Map<string, Promise<CryptoKey>>();
  const hmac = new Map<string, Promise<CryptoKey>>();
  const current = ring[0]!;

  const aesKey = (id: string) => {
    const entry = ring.find((k) => k.id === id);
    if (!entry) throw new AppError("internal", `The key ${id} is no longer in OVERTURE_KEYS.`);
    if (!aes.has(id))
      aes.set(id, crypto.subtle.importKey("raw", entry.secret.slice(), "AES-GCM", false, ["encrypt", "decrypt"]));
    return aes.get(id)!;
  };

  const hmacKey = (entry: { id: string; secret: Uint8Array }, purpose: string) => {
    const name = `${entry.id}:${purpose}`;
    if (!hmac.has(name)) {
      hmac.set(
        name,
        (async () => {
          const base = await crypto.subtle.importKey("raw", entry.secret.slice(), "HKDF", false, ["deriveKey"]);
          const algorithm = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(0), info: bytes(purpose) };
          return await crypto.subtle.deriveKey(algorithm, base, { name: "HMAC", hash: "SHA-256", length: 256 }, false, [
            "sign",
            "verify",
          ]);
        })(),
      );
    }
    return hmac.get(name)!;
  };

  const parts = (sealed: string) => {
    const [version, id, nonce, data] = sealed.split(".");
    if (version !== "v1" || !id || !nonce || !data) throw new AppError("internal", "A stored secret is damaged.");
    return { id, nonce, data };
  };

  return {
    currentKey: current.id,
    keyOf: (sealed) => parts(sealed).id,
    async seal(plain, aad) {
      const iv = crypto.getRandomValues(new Uint8Array(12));
      const algorithm = bound(iv, aad);
      const data = await crypto.subtle.encrypt(algorithm, await aesKey(current.id), bytes(JSON.stringify(plain)));
      return `v1.${current.id}.${base64url(iv)}.${base64url(new Uint8Array(data))}`;
    },
    async open<T>(sealed: string, aad: string) {
      const { id, nonce, data } = parts(sealed);
      const algorithm = bound(fromBase64url(nonce), aad);
      const key = await aesKey(id);
      try {
        const plain = await crypto.subtle.decrypt(algorithm, key, fromBase64url(data));
        return JSON.parse(new TextDecoder().decode(plain)) as T;
      } catch (cause) {
        throw new AppError("internal", "A stored secret cannot be decrypted with this installation's keys.", { cause });
      }
    },
    async sign(purpose, data) {
      return new Uint8Array(await crypto.subtle.sign("HMAC", await hmacKey(current, purpose), bytes(data)));
    },
    async verify(purpose, data, signature) {
      for (const entry of ring) {
        if (await crypto.subtle.verify("HMAC", await hmacKey(entry, purpose), signature.slice(), bytes(data)))
          return true;
      }
      return false;
    },
  };
}
