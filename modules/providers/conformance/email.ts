import { expect } from "vitest";
import type { EmailContent } from "../../channels/email/content.ts";
import { exampleEmail } from "../email/fixtures.ts";
import type { SendSpec } from "./send.ts";

/** The e-mail part of a send spec. `rewrites`: headers this provider is known to extend. */
export const emailSend = (
  rewrites: readonly string[] = [],
): Pick<SendSpec<EmailContent>, "example" | "arrived" | "injections"> => ({
  example: exampleEmail,
  arrived({ from, content }, accepted) {
    const headers = new Map(accepted.headers.map(([name, value]) => [name.toLowerCase(), value.replace(/\s+/g, " ")]));
    expect(accepted.subject).toBe(content.subject);
    expect(accepted.html.trim()).toBe(content.html);
    expect(accepted.text.trim()).toBe(content.text);
    expect(accepted.from).toEqual(from);
    expect(accepted.reply_to).toBe(content.reply_to);
    for (const [name, value] of Object.entries(content.headers)) {
      if (rewrites.includes(name)) expect(headers.get(name.toLowerCase())).toContain(value);
      else expect(headers.get(name.toLowerCase()), name).toBe(value);
    }
    const thread = `${accepted.rfc_message_id} ${headers.get("references") ?? ""}`;
    expect(thread, "a reply must lead back to our own Message-ID").toContain(content.message_id);
  },
  injections: [
    {
      name: "a line break in a name cannot add a header",
      message: exampleEmail({ from: { address: "sales@sandbox.test", name: "Ada\r\nBcc: victim@example.com" } }),
      harmless: (accepted) => expect(accepted.headers.map(([name]) => name.toLowerCase())).not.toContain("bcc"),
    },
  ],
});
