import { z } from "zod";
import { normaliseEmail } from "../../contacts/normalize.ts";
import { defineChannel, type ReadMessage } from "../../kernel/channel.ts";
import { type InboundMail, readInbound } from "./inbound.ts";
import { complete, content, prepare } from "./prepare.ts";
import { compile, emailTemplate, render } from "./template.ts";
import { withoutTokens } from "./tokens.ts";

const normalise = (input: string): string | null => {
  const read = normaliseEmail(input);
  return "value" in read ? read.value : null;
};

/** E-mail: Markdown letters in threads, with tracking and one-click unsubscribing. */
export const email = defineChannel({
  id: "email",
  label: "Email",
  contact_field: "email",
  address: { label: "email address", example: "ada@example.com", normalise },
  sender: {
    label: "email address",
    example: "you@example.com",
    normalise,
    profile: z.object({
      reply_to: z.email().max(254).optional().meta({
        title: "Reply-to address",
        description: "Address for replies, if different from the sender's address.",
      }),
    }),
  },
  actions: {
    // A healthy mailbox of a person; bulk providers take more, a new domain less.
    "email.send": { label: "Send an email", limits: [{ per: "day", cap: 50 }] },
  },
  requires_consent: false,
  options: z.object({
    track_opens: z
      .boolean()
      .default(true)
      .meta({ title: "Track opens", description: "Adds an invisible image to messages." }),
    track_clicks: z
      .boolean()
      .default(true)
      .meta({ title: "Track clicks", description: "Links in messages go through this installation first." }),
  }),
  template: emailTemplate,
  compile,
  render,
  prepare,
  complete,
  content,
  measure: ({ subject, text }) => ({
    subject_characters: [...subject].length,
    words: text.match(/\S+/g)?.length ?? 0,
  }),
  readInbound: (mail: InboundMail) => withoutTokensIn(readInbound(mail)),
});

/** People quote the mail they answer, with its links. */
function withoutTokensIn(mail: ReadMessage): ReadMessage {
  const { email: details } = mail;
  return {
    ...mail,
    text: withoutTokens(mail.text),
    full_text: mail.full_text === null ? null : withoutTokens(mail.full_text),
    wish: mail.wish && { ...mail.wish, words: withoutTokens(mail.wish.words) },
    email: details && {
      ...details,
      headers: Object.fromEntries(Object.entries(details.headers).map(([name, value]) => [name, withoutTokens(value)])),
      html: details.html === null ? null : withoutTokens(details.html),
    },
  };
}
