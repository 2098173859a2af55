import { html } from "hono/html";
import type { Ctx } from "../kernel/context.ts";
import { AppError } from "../kernel/errors.ts";
import { gather } from "../kernel/gather.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { isMachine } from "./machines.ts";
import type { LinkAct } from "./link-acts.ts";
import { type LinkPurpose, type LinkToken, readLinkToken } from "../channels/email/tokens.ts";

/** What recipients touch. Acts of machines are kept, labelled, and not counted as a person's. */

const actor = { kind: "job", name: "links" } as const;

const PIXEL = Uint8Array.from(atob("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"), (c) => c.charCodeAt(0));

async function read(kernel: Kernel, purpose: LinkPurpose, text: string): Promise<LinkToken> {
  const token = await readLinkToken(kernel.vault, purpose, text);
  if (!token) throw new AppError("not_found", "This link is not valid. An email program may have shortened it.");
  return token;
}

type Act = Pick<LinkAct, "kind" | "is_bot" | "event_key">;

/** At most one act per message, link, kind of caller and hour: reloading a mail is not reading it ten times. */
function actOf(kind: Act["kind"], token: LinkToken, request: Request): Act {
  const machine = isMachine(request.headers);
  const what = kind === "opened" ? `open:${token.messageId}` : `click:${token.messageId}:${token.number}`;
  return { kind, is_bot: machine, event_key: `${what}:${machine ? "m" : "p"}:${Math.floor(Date.now() / 3_600_000)}` };
}

type Taken = { tenant_id: string; message_id: string; number: number } & Partial<Act>;

/** Puts acts that come together on the queue, in one statement. Where each link leads; null: an open, or no such link. */
const takeTogether = gather<Taken, string | null>(async (kernel, acts) => {
  const [row] = await kernel.database.once(
    (sql) =>
      sql<[{ urls: (string | null)[] }]>`select to_jsonb(private.take_link_acts(${sql.json(acts as never)})) as urls`,
  );
  return row.urls;
});

/** A person waits for the answer: what follows from the act comes later, in batches. Null only asks where the link leads. */
const takeAct = (kernel: Kernel, token: LinkToken, act: Act | null): Promise<string | null> =>
  takeTogether(kernel, { tenant_id: token.tenantId, message_id: token.messageId, number: token.number, ...act });

export async function openPixel(kernel: Kernel, text: string, request: Request): Promise<Response> {
  const token = await read(kernel, "open", text);
  if (request.method === "GET") await takeAct(kernel, token, actOf("opened", token, request));
  return new Response(PIXEL, { headers: { "content-type": "image/gif", "cache-control": "no-store, private" } });
}

export async function followLink(kernel: Kernel, text: string, request: Request): Promise<Response> {
  const token = await read(kernel, "click", text);
  // A HEAD asks where it leads, and opens nothing.
  const location = await takeAct(kernel, token, request.method === "GET" ? actOf("clicked", token, request) : null);
  if (location === null) throw new AppError("gone", "This link's message has been deleted.");
  return new Response(null, {
    status: 302,
    headers: { location, "cache-control": "no-store", "referrer-policy": "no-referrer" },
  });
}

type Standing = { team: string; to_address: string; opted_out: boolean };

/** Whether the person of a message gets nothing more on its channel: neither at its address nor, as a contact, at another. */
async function standing(ctx: Ctx, token: LinkToken): Promise<Standing> {
  const [row] = await ctx.db<Standing[]>`
    select t.name as team, m.to_address,
      exists (select from public.suppressions s
        where s.tenant_id = m.tenant_id and s.channel = m.channel and s.address = m.to_address)
      and (m.contact_id is null or exists (select from public.consents c
        where c.tenant_id = m.tenant_id and c.contact_id = m.contact_id and c.channel = m.channel and c.state = 'withdrawn')) as opted_out
    from public.messages m join public.tenants t on t.id = m.tenant_id
    where m.tenant_id = ${token.tenantId} and m.id = ${token.messageId}`;
  if (!row)
    throw new AppError(
      "gone",
      "The message of this link has been deleted, so its address is no longer known. Nothing was changed. To unsubscribe, answer the message.",
    );
  return row;
}

/** Shows, never acts: mail scanners follow every GET. */
export async function showUnsubscribe(kernel: Kernel, text: string): Promise<Response> {
  const token = await read(kernel, "unsubscribe", text);
  const row = await kernel.run({ actor, tenantId: token.tenantId }, (ctx) => standing(ctx, token));
  return page(
    row.opted_out
      ? html`<h1>You are unsubscribed</h1>
          <p>${row.team} will not write to ${masked(row.to_address)} again.</p>`
      : html`<h1>Unsubscribe</h1>
          <p>Stop all mail from <strong>${row.team}</strong> to ${masked(row.to_address)}?</p>
          <form method="post"><button type="submit">Unsubscribe</button></form>`,
  );
}

/**
 * One-click by a mail program (RFC 8058) or the button of our page. Safe to repeat, and it acts each time: the suppression may have been
 * deleted since. The page says what the tables say afterwards.
 */
export async function unsubscribe(kernel: Kernel, text: string, request: Request): Promise<Response> {
  const token = await read(kernel, "unsubscribe", text);
  await request.body?.cancel();
  const row = await kernel.run({ actor, tenantId: token.tenantId }, async (ctx) => {
    const event = {
      kind: "unsubscribed",
      event_key: `unsubscribe:${token.messageId}`,
      message_id: token.messageId,
      at: ctx.now.toISOString(),
    };
    await ctx.db`select private.apply_events(null, ${ctx.db.json([event])})`;
    return await standing(ctx, token);
  });
  if (!row.opted_out) throw new AppError("internal", "The unsubscription could not be stored. Please try again.");
  return page(
    html`<h1>You are unsubscribed</h1>
      <p>
        ${row.team} will not write to ${masked(row.to_address)} again. It takes effect at once. You can close this page.
      </p>`,
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
