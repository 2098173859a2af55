import type { OutboundMessage, Party } from "../kernel/provider.ts";

export type TextExample = { id?: string; from?: Party; to?: Party; text?: string };

/** Makes a channel's example of a plain text: complete, as the messaging module hands it over; any part may be replaced. */
export const textExample =
  (action: string, sender: string, recipient: (id: string) => string) =>
  ({
    id = crypto.randomUUID(),
    from = { address: sender, name: "Ada Sender" },
    to = { address: recipient(id), name: "Zoë" },
    text = "Grüße & 50 % off? See https://example.com/a?b=1&c=+ «now»\n– Ada 😀",
  }: TextExample = {}): OutboundMessage<{ text: string }> => ({ id, action, from, to, content: { text } });
