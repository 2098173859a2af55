import type { EmailContent } from "../../channels/email/content.ts";
import type { OutboundMessage, Party } from "../../kernel/provider.ts";

export type ExampleEmail = { id?: string; from?: Party; to?: Party } & Partial<EmailContent>;

/** A complete e-mail as the messaging module hands it over; any part of it may be replaced. */
export function exampleEmail({ id = crypto.randomUUID(), from, to, ...content }: ExampleEmail = {}) {
  const message: OutboundMessage<EmailContent> = {
    id,
    action: "email.send",
    from: from ?? { address: "sales@sandbox.test", name: "Ada Sender" },
    to: to ?? { address: `silent+${id}@example.com`, name: "Zoë, the «reader»" },
    content: {
      reply_to: "replies@sandbox.test",
      subject: "Grüße & a question",
      html: `<p>Hello</p><a href="http://127.0.0.1:9/l/${id}">link</a>`,
      text: "Hello",
      message_id: `<${id}@sandbox.test>`,
      headers: {
        "List-Unsubscribe": `<http://127.0.0.1:9/u/${id}>, <mailto:unsubscribe@sandbox.test?subject=${id}>`,
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "In-Reply-To": "<first@sandbox.test>",
        References: "<zero@sandbox.test> <first@sandbox.test>",
      },
      ...content,
    },
  };
  return message;
}
