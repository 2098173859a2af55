import { AppError } from "../../../kernel/errors.ts";
import type { VerifiedDelivery, WebhookRequest } from "../../../kernel/provider.ts";
import { equalBytes, sha256Hex } from "../../../kernel/secrets/signatures.ts";
import * as answers from "../../answers.ts";

/** `X-Twilio-Signature`, https://www.twilio.com/docs/usage/webhooks/webhooks-security. */

/** The query parameter of a status callback's URL that carries our message id; the signature covers it. */
export const MESSAGE_ID_PARAM = "message_id";

/** Base64 of HMAC-SHA1 over the URL and the sorted form fields, each name followed by its value; a repeated field is sorted by value. */
export async function signTwilio(authToken: string, url: string, form: URLSearchParams): Promise<string> {
  let text = url;
  for (const name of [...new Set(form.keys())].sort())
    for (const value of [...new Set(form.getAll(name))].sort()) text += name + value;
  const encoder = new TextEncoder();
  const key = await crypto.subtle.importKey("raw", encoder.encode(authToken), { name: "HMAC", hash: "SHA-1" }, false, [
    "sign",
  ]);
  const bytes = new Uint8Array(await crypto.subtle.sign("HMAC", key, encoder.encode(text)));
  return btoa(String.fromCharCode(...bytes));
}

/** Twilio signs the address with or without the standard port, and without the fragment (its connection overrides). */
function* signedForms(url: string): Generator<string> {
  const bare = url.replace(/#.*$/, "");
  yield bare;
  const match = /^(https?):\/\/([^/?#]+)(.*)$/i.exec(bare);
  if (!match) return;
  const [, scheme, host, rest] = match as unknown as [string, string, string, string];
  const name = host.replace(/:\d+$/, "");
  yield `${scheme}://${name}${rest}`;
  if (name === host) yield `${scheme}://${host}:${scheme.toLowerCase() === "https" ? 443 : 80}${rest}`;
}

/**
 * Proves a form delivery. Twilio's requests hold no time, so the moment of arrival goes into the context; a delivery that comes again is
 * the same by its address and body. Throws `unauthenticated`.
 */
export async function verifyTwilio(request: WebhookRequest, authToken: string): Promise<VerifiedDelivery> {
  const given = request.headers.get("x-twilio-signature");
  if (!given) throw new AppError("unauthenticated", "The header X-Twilio-Signature is missing.");
  let body: string;
  try {
    body = answers.textBody(request.body);
  } catch {
    throw new AppError("unauthenticated", "The signature does not match: the body is not UTF-8 text.");
  }
  const form = new URLSearchParams(body);
  const encoder = new TextEncoder();
  let good = false;
  for (const url of signedForms(request.url))
    if (equalBytes(encoder.encode(given), encoder.encode(await signTwilio(authToken, url, form)))) good = true;
  if (!good)
    throw new AppError("unauthenticated", "The Twilio signature does not match.", {
      suggestion:
        "Check that the auth token is the account's primary one, and that the installation's public URL is the one Twilio calls.",
    });
  const messageId = new URL(request.url).searchParams.get(MESSAGE_ID_PARAM);
  return {
    delivery_id: await sha256Hex(`${request.url}\n${body}`),
    context: { at: request.now.toISOString(), ...(messageId ? { [MESSAGE_ID_PARAM]: messageId } : {}) },
  };
}
