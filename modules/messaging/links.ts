import { html } from "hono/html";
import { isbot } from "isbot";
import { AppError } from "../kernel/errors.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { type LinkPurpose, type LinkToken, readLinkToken } from "../channels/email/tokens.ts";

/** What recipients do with a mail. Acts of machines are kept, labelled, and not counted as a person's. */

const actor = { kind: "job", name: "links" } as const;

const PIXEL = Uint8Array.from(atob("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"), (c) => c.charCodeAt(0));

/**
 * Scanners and prefetchers. Apple's mail proxy sends a bare "Mozilla/5.0"; browsers announce prefetches by header.
 * Google's image proxy is not one: it fetches when the person opens the mail.
 */
export function isMachine(headers: Headers): boolean {
  const agent = headers.get("user-agent") ?? "";
  if (agent === "" || agent === "Mozilla/5.0") return true;
  if (
    /prefetch|preview/i.test(
      `${headers.get("sec-purpose") ?? ""} ${headers.get("purpose") ?? ""} ${headers.get("x-purpose") ?? ""}`,
    )
  )
    return true;
  return !/GoogleImageProxy/.test(agent) && isbot(agent);
}

async function read(kernel: Kernel, purpose: LinkPurpose, text: string): Promise<LinkToken> {
  const token = await readLinkToken(kernel.vault, purpose, text);
  if (!token) throw new AppError("not_found", "This link is not valid. An email program may have shortened it.");
  return token;
}

type Recorded = {
  kind: "opened" | "clicked" | "unsubscribed";
  key: string;
  machine: boolean;
  detail?: Record<string, unknown>;
};

const record = (kernel: Kernel, token: LinkToken, event: Recorded) =>
  kernel.run({ actor, tenantId: token.tenantId }, (ctx) => {
    const row = {
      kind: event.kind,
      event_key: event.key,
      message_id: token.messageId,
      at: ctx.now.toISOString(),
      is_bot: event.machine,
      detail: event.detail ?? {},
    };
    return ctx.db`select private.apply_events(null, ${ctx.db.json([row])})`;
  });

/** At most one open per message, kind of caller and hour: reloading a mail is not reading it ten times. */
const hour = (now: number) => Math.floor(now / 3_600_000);

export async function openPixel(kernel: Kernel, text: string, headers: Headers): Promise<Response> {
  const token = await read(kernel, "open", text);
  const machine = isMachine(headers);
  await record(kernel, token, {
    kind: "opened",
    key: `open:${token.messageId}:${machine ? "m" : "p"}:${hour(Date.now())}`,
    machine,
  });
  return new Response(PIXEL, { headers: { "content-type": "image/gif", "cache-control": "no-store, private" } });
}

export async function followLink(kernel: Kernel, text: string, headers: Headers): Promise<Response> {
  const token = await read(kernel, "click", text);
  const [link] = await kernel.run(
    { actor, tenantId: token.tenantId },
    (ctx) => ctx.db<{ url: string }[]>`
      select url from public.tracked_links where tenant_id = ${token.tenantId} and message_id = ${token.messageId} and number = ${token.number}`,
  );
  if (!link) throw new AppError("gone", "This link's message has been deleted.");
  const machine = isMachine(headers);
  const key = `click:${token.messageId}:${token.number}:${machine ? "m" : "p"}:${hour(Date.now())}`;
  await record(kernel, token, { kind: "clicked", key, machine, detail: { url: link.url } });
  return new Response(null, {
    status: 302,
    headers: { location: link.url, "cache-control": "no-store", "referrer-policy": "no-referrer" },
  });
}

/** Shows, never acts: mail scanners follow every GET. */
export async function showUnsubscribe(kernel: Kernel, text: string): Promise<Response> {
  const token = await read(kernel, "unsubscribe", text);
  const [row] = await kernel.run(
    { actor, tenantId: token.tenantId },
    (ctx) => ctx.db<{ team: string; to_address: string; suppressed: boolean }[]>`
      select t.name as team, m.to_address, exists (select from public.suppressions s
        where s.tenant_id = m.tenant_id and s.channel = m.channel and s.address = m.to_address) as suppressed
      from public.messages m join public.tenants t on t.id = m.tenant_id
      where m.tenant_id = ${token.tenantId} and m.id = ${token.messageId}`,
  );
  if (!row) throw new AppError("gone", "This link's message has been deleted.");
  return page(
    row.suppressed
      ? html`<h1>You are unsubscribed</h1>
          <p>${row.team} will not write to ${masked(row.to_address)} again.</p>`
      : html`<h1>Unsubscribe</h1>
          <p>Stop all mail from <strong>${row.team}</strong> to ${masked(row.to_address)}?</p>
          <form method="post"><button type="submit">Unsubscribe</button></form>`,
  );
}

/** One-click by a mail program (RFC 8058) or the button of our page. Safe to repeat. */
export async function unsubscribe(kernel: Kernel, text: string, request: Request): Promise<Response> {
  const token = await read(kernel, "unsubscribe", text);
  await request.body?.cancel();
  await record(kernel, token, { kind: "unsubscribed", key: `unsubscribe:${token.messageId}`, machine: false });
  return page(
    html`<h1>You are unsubscribed</h1>
      <p>It takes effect at once. You can close this page.</p>`,
  );
}

/** The page may be forwarded: it shows whose address it is without giving it away. */
const masked = (email: string): string => email.replace(/^(.).*(@.*)$/, "$1…$2");

async function page(content: unknown): Promise<Response> {
  const text = await html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="robots" content="noindex" />
        <title>Unsubscribe</title>
        <style>
          :root {
            color-scheme: light dark;
            font:
              16px/1.5 system-ui,
              sans-serif;
          }
          body {
            display: grid;
            place-items: center;
            min-height: 90vh;
            margin: 0;
          }
          main {
            max-width: 26rem;
            padding: 2rem;
          }
          button {
            font: inherit;
            padding: 0.6rem 1.2rem;
            border-radius: 8px;
            border: 0;
            background: #1d4ed8;
            color: #fff;
            cursor: pointer;
          }
          button:focus-visible {
            outline: 3px solid #93c5fd;
            outline-offset: 2px;
          }
        </style>
      </head>
      <body>
        <main>${content as string}</main>
      </body>
    </html>`;
  return new Response(String(text), {
    headers: {
      "content-type": "text/html; charset=utf-8",
      "cache-control": "no-store",
      "content-security-policy":
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
      "referrer-policy": "no-referrer",
      "x-content-type-options": "nosniff",
    },
  });
}
