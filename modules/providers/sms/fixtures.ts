import type { SmsContent } from "../../channels/sms/content.ts";
import type { OutboundMessage, Party } from "../../kernel/provider.ts";

export type ExampleSms = { id?: string; from?: Party; to?: Party } & Partial<SmsContent>;

/** Sandbox numbers that stay silent: +44 7700 900x0x and its like are reserved for fiction. */
let next = 0;
const silentNumber = () => `+1${201 + (Math.floor(next / 10) % 700)}555010${next++ % 10}`;

/** A complete text message as the messaging module hands it over; any part of it may be replaced. */
export const exampleSms = ({
  id = crypto.randomUUID(),
  from,
  to,
  ...content
}: ExampleSms = {}): OutboundMessage<SmsContent> => ({
  id,
  action: "sms.send",
  from: from ?? { address: "+15005550006", name: "Ada Sender" },
  to: to ?? { address: silentNumber(), name: "Zoë" },
  content: { text: "Grüße & 50 % off? See https://example.com/a?b=1&c=+ «now»\n– Ada 😀", ...content },
});
