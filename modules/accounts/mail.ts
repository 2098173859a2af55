import { z } from "zod";
import type { EmailContent } from "../channels/email/content.ts";
import { escapeHtml } from "../channels/email/markdown.ts";
import type { Ctx, ManualCtx } from "../kernel/context.ts";
import { uuid7 } from "../kernel/database/ids.ts";
import type { OutboundMessage } from "../kernel/provider.ts";
import { dead, defineManualConsumer, done, type Outcome, retry } from "../kernel/queues/consumer.ts";
import { randomToken, sha256Hex } from "../kernel/secrets/signatures.ts";
import { openConnection } from "../providers/connections.ts";
import { scrub } from "../providers/credentials.ts";
import { tenancyConfig } from "../tenancy/config.ts";

/**
 * Sends the mails about accounts through an email sender of the workspace that runs the installation: its own provider, as for every
 * other message. A token is made only here, with the mail that carries it; the queue names a person and what happened.
 */

const KINDS = ["reset", "email", "address_asked", "address", "password", "theft", "factor", "no_factor"] as const;
type Kind = (typeof KINDS)[number];
type Payload = { tenant_id: string; kind: Kind; person: string; recipient: string | null };

type Text = { subject: string; lines: string[]; link?: string };

/** What each mail says. `link` stands after the first line. */
function textOf(kind: Kind, product: string, link: string | undefined): Text {
  const unknown = "If this was not you, sign in, change your password, and look at the sessions of your account.";
  switch (kind) {
    case "reset":
      return {
        subject: `${product}: choose a new password`,
        lines: [
          "Somebody, probably you, asked for a new password. Open this link to choose one; it works once, for an hour:",
          "If it was not you, there is nothing to do: without the link nothing changes.",
        ],
        link,
      };
    case "email":
      return {
        subject: `${product}: confirm your new email address`,
        lines: [
          "Open this link to sign in with this email address from now on; it works once, for an hour:",
          "If you did not ask for it, there is nothing to do.",
        ],
        link,
      };
    case "address_asked":
      return {
        subject: `${product}: somebody asked to change your email address`,
        lines: [
          "Somebody who is signed in to your account and knows its password, probably you, asked to give it another email address. Nothing changes until the link that we sent to the new address is opened.",
          "If this was you, open that link. If it was not, change your password now: the link then stops working, and every session ends.",
        ],
      };
    case "address":
      return {
        subject: `${product}: your email address was changed`,
        lines: [
          "Your account has another email address now; you can no longer sign in with this one.",
          "If this was not you, tell whoever runs this installation at once.",
        ],
      };
    case "password":
      return {
        subject: `${product}: your password was changed`,
        lines: ["The password of your account was changed, and all other sessions have ended.", unknown],
      };
    case "factor":
      return {
        subject: `${product}: a second factor was added`,
        lines: ["Signing in to your account now takes a code of an authenticator app as well.", unknown],
      };
    case "no_factor":
      return {
        subject: `${product}: the second factor was removed`,
        lines: ["Signing in to your account takes the password alone again.", unknown],
      };
    case "theft":
      return {
        subject: `${product}: a session was ended`,
        lines: [
          "A sign-in of your account was used in two places at once, so it was ended in both: somebody may have copied it.",
          unknown,
        ],
      };
  }
}

export const mailConsumer = defineManualConsumer<Payload>({
  queue: "accounts_mail",
  payload: z.object({
    tenant_id: z.uuid(),
    kind: z.enum(KINDS),
    person: z.uuid(),
    recipient: z.string().nullable(),
  }),
  visibilitySeconds: 400, // longer than the slowest lawful call (SMTP, 180 s), twice
  maxAttempts: 8, // about eight minutes with the backoff: a link is for an hour
  async handle(ctx, payload) {
    if (payload.kind === "address" && !(await followed(ctx, payload))) return done();
    const from = ctx.configOf(tenancyConfig).OVERTURE_MAIL_FROM;
    if (from === undefined) return done();
    const made = await ctx.tx((tx) => prepare(tx, payload, from));
    return "kind" in made ? made : await send(ctx, made);
  },
});

/** After a link to another address was used: the copies follow. False where the auth server did not change the address in the end. */
async function followed(ctx: ManualCtx, { person, recipient }: Payload): Promise<boolean> {
  const [row] = await ctx.tx(
    ({ db }) => db<{ address: string | null }[]>`select private.follow_address(${person}) as address`,
  );
  return row!.address !== null && row!.address !== recipient;
}

type Made = { connectionId: string; message: OutboundMessage<EmailContent> };

/** The mail with its token; or the outcome where there is nothing to send, or nothing to send it with. */
async function prepare(ctx: Ctx, { kind, person, recipient }: Payload, from: string): Promise<Made | Outcome> {
  const [sender] = await ctx.db<{ connection_id: string; address: string; display_name: string }[]>`
    select s.connection_id, s.address, s.display_name from public.senders s
    join public.connections c on c.tenant_id = s.tenant_id and c.id = s.connection_id
    where s.tenant_id = ${ctx.tenantId} and s.channel = 'email' and s.address = ${from.toLowerCase()}
      and s.status = 'active' and c.status = 'active'`;
  if (!sender)
    return retry(
      undefined,
      "OVERTURE_MAIL_FROM is not the address of an active email sender of the operator's workspace.",
    );
  const [account] = await ctx.db<{ address: string | null }[]>`select private.account_address(${person}) as address`;
  if (account!.address === null) return done();
  let to = recipient ?? account!.address;
  let link: string | undefined;
  if (kind === "reset" || kind === "email") {
    const token = randomToken(kind === "reset" ? "ovr_" : "ove_");
    if (kind === "reset") await ctx.db`select private.ask_account_change(${person}, 'reset', ${account!.address})`;
    const [given] = await ctx.db<{ address: string | null }[]>`
      select private.give_account_token(${person}, ${kind}, ${await sha256Hex(token)}) as address`;
    if (given!.address === null) return done();
    to = given!.address;
    link = `${ctx.config.publicUrl}/${kind === "reset" ? "reset" : "confirm-address"}#token=${token}`;
  }
  const id = uuid7();
  const domain = sender.address.slice(sender.address.lastIndexOf("@") + 1);
  const content = { ...contentOf(textOf(kind, ctx.config.productName, link)), message_id: `<${id}@${domain}>` };
  const party = { address: sender.address, name: sender.display_name || ctx.config.productName };
  return {
    connectionId: sender.connection_id,
    message: { id, action: "email.send", from: party, to: { address: to }, content },
  };
}

function contentOf({ subject, lines: [first, ...rest], link }: Text): Omit<EmailContent, "message_id"> {
  const paragraphs = [first!, ...(link === undefined ? [] : [link]), ...rest];
  const html = paragraphs.map((text) =>
    text === link ? `<p><a href="${escapeHtml(text)}">${escapeHtml(text)}</a></p>` : `<p>${escapeHtml(text)}</p>`,
  );
  // Programs that answer mails by themselves leave this one alone.
  const headers = { "Auto-Submitted": "auto-generated" };
  return {
    reply_to: null,
    subject: subject.replaceAll(/[\r\n]+/g, " "),
    html: html.join("\n"),
    text: paragraphs.join("\n\n"),
    headers,
  };
}

async function send(ctx: ManualCtx, { connectionId, message }: Made): Promise<Outcome> {
  const { provider, connection } = await ctx.tx((tx) => openConnection(tx, connectionId));
  if (!provider.send) return dead("The provider of OVERTURE_MAIL_FROM sends no messages.");
  const [outcome] = await provider.send.send([message], connection, ctx.http);
  if (!outcome || outcome.outcome === "sent") return done();
  const reason = scrub(`${provider.label}: ${outcome.detail}`, provider, connection.credentials);
  if (outcome.outcome === "rejected") return dead(reason);
  // Also where it is not known: a mail that comes twice does no harm, the later link replaces the earlier one.
  return retry(outcome.outcome === "retry" ? outcome.after_seconds : undefined, reason);
}
