import { AppError } from "../errors.ts";

/**
 * Proof that a request comes from who it says. Everything compares in constant time and over the raw bytes:
 * a body that was parsed and written again is another body.
 */

const encoder = new TextEncoder();

/** A Uint8Array over its own plain ArrayBuffer, which is what WebCrypto's types ask for. */
const own = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => new Uint8Array(bytes);

/** Hex SHA-256 of bytes or of text as UTF-8; also how tokens are stored. */
export async function sha256Hex(data: Uint8Array | string): Promise<string> {
  const digest = new Uint8Array(
    await crypto.subtle.digest("SHA-256", own(typeof data === "string" ? encoder.encode(data) : data)),
  );
  return Array.from(digest, (b) => b.toString(16).padStart(2, "0")).join("");
}

async function hmacSha256(key: Uint8Array, message: Uint8Array): Promise<Uint8Array> {
  const imported = await crypto.subtle.importKey("raw", own(key), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, own(message)));
}

/** Equal in a time that does not depend on where they differ. Lengths are not secret. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.byteLength !== b.byteLength) return false;
  let diff = 0;
  for (let i = 0; i < a.byteLength; i++) diff |= a[i]! ^ b[i]!;
  return diff === 0;
}

/** Compares two secrets without telling their lengths. */
export async function equalSecrets(a: string, b: string): Promise<boolean> {
  const [x, y] = await Promise.all([sha256Hex(encoder.encode(a)), sha256Hex(encoder.encode(b))]);
  return equalBytes(encoder.encode(x), encoder.encode(y));
}

function fromBase64(text: string): Uint8Array | null {
  try {
    return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  } catch {
    return null;
  }
}

const toBase64 = (bytes: Uint8Array) => btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join(""));

const refuse = (detail: string) => new AppError("unauthenticated", detail);

/** The key inside a `whsec_…` secret. Throws `unauthenticated` for an empty or unreadable one: no key proves nothing. */
function webhookKey(secret: string): Uint8Array {
  const key = fromBase64(secret.replace(/^whsec_/, ""));
  if (!key || key.byteLength < 16) {
    throw refuse("No usable webhook signing secret is stored for this connection. Register the webhook again.");
  }
  return key;
}

/** The `v1,<base64>` signature of Standard Webhooks and Svix: HMAC-SHA256 over `id.timestamp.body`. */
export async function signWebhook(secret: string, id: string, timestamp: number, body: Uint8Array): Promise<string> {
  const head = encoder.encode(`${id}.${timestamp}.`);
  const message = new Uint8Array(head.byteLength + body.byteLength);
  message.set(head);
  message.set(body, head.byteLength);
  return `v1,${toBase64(await hmacSha256(webhookKey(secret), message))}`;
}

/**
 * Verifies a Standard Webhooks / Svix delivery and returns its id, which stays the same across retries.
 * `toleranceSeconds` bounds replays in both directions. Several signatures may be present while a secret rotates.
 */
export async function verifyWebhook(
  request: { headers: Headers; body: Uint8Array; now: Date },
  secret: string | undefined,
  toleranceSeconds = 300,
): Promise<{ delivery_id: string }> {
  const header = (name: string) => request.headers.get(`svix-${name}`) ?? request.headers.get(`webhook-${name}`);
  const id = header("id");
  const timestamp = header("timestamp");
  const signatures = header("signature");
  if (!secret) throw refuse("No webhook signing secret is stored for this connection. Register the webhook first.");
  if (!id || !timestamp || !signatures)
    throw refuse("The headers with the webhook's id, timestamp and signature are missing.");
  if (!/^\d{1,12}$/.test(timestamp)) throw refuse("The signature timestamp is not a number of seconds.");
  if (Math.abs(request.now.getTime() / 1000 - Number(timestamp)) > toleranceSeconds) {
    throw refuse(`The signature is older or newer than ${toleranceSeconds} seconds.`);
  }
  const expected = encoder.encode(await signWebhook(secret, id, Number(timestamp), request.body));
  let good = false;
  for (const candidate of signatures.split(" ")) {
    if (equalBytes(encoder.encode(candidate), expected)) good = true;
  }
  if (!good) throw refuse("The webhook signature does not match.");
  return { delivery_id: id };
}

/** Verifies HTTP Basic credentials. Throws `unauthenticated`, never 403, which some senders take as «stop for good». */
export async function verifyBasicAuth(
  headers: Headers,
  expected: { username: string | undefined; password: string | undefined },
): Promise<void> {
  if (!expected.username || !expected.password) {
    throw refuse("No webhook user name and password are stored for this connection. Register the webhook first.");
  }
  const match = /^basic\s+(\S+)$/i.exec(headers.get("authorization") ?? "");
  const bytes = match ? fromBase64(match[1]!) : null;
  const given = bytes ? new TextDecoder().decode(bytes) : "";
  if (!(await equalSecrets(given, `${expected.username}:${expected.password}`))) {
    throw refuse("The webhook's user name or password is wrong.");
  }
}

/** 32 random bytes, URL-safe: a password or token nobody can guess. The prefix tells people and scanners what it is. */
export function randomToken(prefix = ""): string {
  const raw = crypto.getRandomValues(new Uint8Array(32));
  return prefix + toBase64(raw).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
