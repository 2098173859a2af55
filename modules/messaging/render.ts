import type { Services } from "../kernel/context.ts";
import { linkToken } from "./tokens.ts";

/** Turns a written mail into what is sent: document, tracked links, pixel, unsubscribe line and headers. */

export type PrepareInput = {
  config: Services["config"];
  vault: Services["vault"];
  tenantId: string;
  messageId: string;
  settings: { track_opens?: boolean; track_clicks?: boolean };
  /** A fragment made by our own renderer: attribute values are quoted with `"` and escaped. */
  html: string;
  text: string;
};

export type Prepared = {
  html: string;
  text: string;
  headers: Record<string, string>;
  /** Where each tracked link leads, for public.tracked_links. */
  links: { number: number; url: string }[];
};

/** RFC 8058 headers; both are needed for one-click, and the mailbox providers want them on every bulk mail. */
export const unsubscribeHeaders = (url: string): Record<string, string> => ({
  "List-Unsubscribe": `<${url}>`,
  "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
});

export async function prepareBody(input: PrepareInput): Promise<Prepared> {
  const { vault, tenantId, messageId, config } = input;
  const base = `${config.publicUrl}/links`;
  const unsubscribe = `${base}/u/${await linkToken(vault, "unsubscribe", { tenantId, messageId, number: 0 })}`;
  const links: Prepared["links"] = [];

  let html = input.html;
  if (input.settings.track_clicks) {
    const targets = [...new Set([...html.matchAll(/<a\s+href="(https?:\/\/[^"]+)"/g)].map((m) => m[1]!))];
    const tracked = new Map<string, string>();
    for (const target of targets) {
      const number = links.length + 1;
      links.push({ number, url: unescapeAttribute(target) });
      tracked.set(target, `${base}/c/${await linkToken(vault, "click", { tenantId, messageId, number })}`);
    }
    html = html.replace(/<a\s+href="(https?:\/\/[^"]+)"/g, (_, target: string) => `<a href="${tracked.get(target)}"`);
  }

  const pixel = input.settings.track_opens
    ? `<img src="${base}/o/${await linkToken(vault, "open", { tenantId, messageId, number: 0 })}" width="1" height="1" alt="" style="display:block;border:0">`
    : "";
  const footer = `<p style="margin-top:24px;font-size:12px;color:#6b7280">If you would rather not hear from me, <a href="${unsubscribe}" style="color:#6b7280">unsubscribe here</a>.</p>`;
  return {
    html: `<!doctype html><html><body style="font-family:system-ui,-apple-system,'Segoe UI',sans-serif;font-size:15px;line-height:1.5;color:#111827">${html}${footer}${pixel}</body></html>`,
    text: `${input.text.trimEnd()}\n\n--\nIf you would rather not hear from me, unsubscribe here: ${unsubscribe}\n`,
    headers: unsubscribeHeaders(unsubscribe),
    links,
  };
}

const unescapeAttribute = (text: string): string =>
  text
    .replaceAll("&quot;", '"')
    .replaceAll("&#39;", "'")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&amp;", "&");
