import type { InboundKind, ReadMessage } from "../../kernel/channel.ts";
import type { InboundMessage } from "../../kernel/provider.ts";
import { oneLine, plain } from "../../kernel/text.ts";
import { normaliseNumber, normaliseSender } from "./address.ts";
import type { SmsInbound } from "./content.ts";
import { keyword } from "./opt-out.ts";

/** Reads a received text message: who wrote it, and whether it is an answer or an opt-out. Pure. */

/** The longest a phone can write is 255 segments of 153; nobody does. */
const MAX_TEXT = 10_000;

const BY_PROVIDER: Record<"stop" | "start" | "help", InboundKind> = { stop: "opt_out", start: "opt_in", help: "help" };

export function readInbound(message: InboundMessage<SmsInbound>): ReadMessage {
  const { opt_out, segments } = message.details;
  const text = plain(message.text.slice(0, MAX_TEXT + 1).replace(/\r\n?/g, "\n"), MAX_TEXT).trim();
  return {
    // The provider has acted on its own list already: to say otherwise would leave the two apart.
    kind: opt_out ? BY_PROVIDER[opt_out] : (keyword(text) ?? "reply"),
    provider_inbound_id: plain(message.provider_inbound_id, 300),
    from_address: addressOf(message.from.address, normaliseNumber),
    from_name: oneLine(message.from.name ?? "", 120),
    to_address: addressOf(message.to[0] ?? "", normaliseSender),
    subject: "",
    text,
    full_text: null,
    references: [],
    content: Number.isInteger(segments) && segments! > 0 ? { segments } : {},
    email: null,
  };
}

/** The normal form, or what came on one line: short codes and names write too. */
const addressOf = (given: string, normalise: (text: string) => string | null): string => {
  const bare = oneLine(given, 64);
  return normalise(bare) ?? bare;
};
