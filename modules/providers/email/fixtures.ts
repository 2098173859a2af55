import type { OutboundEmail } from "../../kernel/provider.ts";

/** A complete e-mail as the messaging module hands it over. */
export function exampleEmail(overrides: Partial<OutboundEmail> = {}): OutboundEmail {
  const id = overrides.id ?? crypto.randomUUID();
  return {
    id,
    from: { email: "sales@sandbox.test", name: "Ada Sender" },
    to: { email: `silent+${id}@example.com`, name: "Zoë, the «reader»" },
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
    ...overrides,
  };
}
